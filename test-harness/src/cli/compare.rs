//! `seawall compare`: the same trace, world and faults under several policies, and under what one would have without Seawall.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use seawall_policy::route::Routing;

use super::outputs::Outputs;
use super::playing::{Playing, Prepared};
use super::policy::{configuration, shipped};
use super::progress;
use super::reading::shown;
use super::shadow::manifest;
use super::threads::Threads;
use crate::baseline::{self, Baseline};
use crate::lanes::{ENVOY_LIMIT, NAIVE_RETRIES, Other};
use crate::measure::Measure;
use crate::parallel;
use crate::report::Report;
use crate::report::words::quoted;
use crate::router::{RetryOn, Route};
use crate::sim::{Lane, Native, play};

/// What Istio's routes repeat unless they say otherwise: so often, and on this.
const ISTIO_RETRIES: u32 = 2;
const ISTIO_RETRY_ON: &str = "connect-failure,refused-stream";
const ISTIO_RETRY_GRPC_ON: &str = "unavailable,cancelled";

/// Plays the same trace, world and faults in several lanes side by side: without protection, with naive retries, with Envoy's own
/// limits, with a DestinationRule, and with each policy. The last policy is the one that criteria judge.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seawall compare --trace trace.jsonl --policy examples/policies/enforce.yaml --fault errors,at=30s,for=60s --html report.html
  seawall compare --trace trace.jsonl --world world.yaml --policy a.yaml --policy b.yaml --criteria 'failed<1%'
  seawall compare --access-log yesterday.json --baseline destinationrule.yaml --manifest seawall-shadow.yaml

The last one re-enacts an incident from an access log, beside what the mesh had then, and writes a manifest for Istio that decides and
counts and refuses nothing.

Exit codes: 0 it was played, and every criterion was met; 1 a criterion was missed; 2 bad usage or input.")]
pub(super) struct Compare {
    #[command(flatten)]
    playing: Playing,
    /// A policy file, YAML or JSON; may be given several times. [default: the defaults of every key]
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Istio's DestinationRules that the services have today: their limits and outlier detection, with Istio's default retries.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// What is played beside the policies.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "none,naive,envoy"
    )]
    lanes: Vec<Other>,
    /// Writes a WasmPlugin for Istio with the last policy there, in shadow: it decides and counts, and refuses nothing.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    threads: Threads,
    #[command(flatten)]
    outputs: Outputs,
}

/// One lane, before it has its Envoys.
enum Spec<'a> {
    Other(Other),
    Baseline(&'a [Baseline]),
    Seawall(Vec<u8>),
}

impl Compare {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let stdin = self.policy.iter().any(|file| file == Path::new("-"));
        let mut prepared = self.playing.prepare(stdin)?;
        let policies = self.policies()?;
        let rules = self.rules()?;
        prepared.warn_unmatched(policies.iter().map(|(_, _, routing)| routing));
        let mut lanes: Vec<(String, Spec<'_>)> = Vec::new();
        for (number, other) in self.lanes.iter().enumerate() {
            if !self.lanes[..number].contains(other) {
                lanes.push((other.name().to_owned(), Spec::Other(*other)));
            }
        }
        if let Some(file) = &self.baseline {
            lanes.push((name_of(file), Spec::Baseline(&rules)));
            prepared.warnings.extend(unlike(&rules));
            prepared.warnings.extend(idle(&prepared, &rules));
        }
        for (name, configuration, _) in &policies {
            lanes.push((name.clone(), Spec::Seawall(configuration.clone())));
        }
        tell_apart(&mut lanes);
        prepared.assumptions.extend(self.assumptions());
        let measured = play_all(&prepared, &lanes, self.threads.count())?;
        let report = self.report(prepared, &lanes, measured)?;
        for warning in &report.warnings {
            eprintln!("seawall: warning: {warning}");
        }
        if let Some(file) = &self.manifest
            && let Some((_, configuration, _)) = policies.last()
        {
            let text = manifest(configuration)?;
            std::fs::write(file, text).with_context(|| format!("writing {}", shown(file)))?;
        }
        self.outputs.write(&report)
    }

    /// The policies: a name, the plugin's configuration, and what it says.
    fn policies(&self) -> anyhow::Result<Vec<(String, Vec<u8>, Routing)>> {
        if self.policy.is_empty() {
            let (configuration, routing) = shipped()?;
            return Ok(vec![("Seawall".to_owned(), configuration, routing)]);
        }
        let read = |file: &PathBuf| {
            let (configuration, routing) = configuration(file)?;
            Ok((name_of(file), configuration, routing))
        };
        self.policy.iter().map(read).collect()
    }

    fn rules(&self) -> anyhow::Result<Vec<Baseline>> {
        let Some(file) = &self.baseline else {
            return Ok(Vec::new());
        };
        let text = super::text(file).with_context(|| shown(file))?;
        baseline::read(&text).with_context(|| shown(file))
    }

    /// What the figures rest on.
    fn assumptions(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.playing.is_recorded() {
            all.push(
                "what failed in the log fails on every attempt and at any host: retries and outlier detection cannot mend it"
                    .to_owned(),
            );
        }
        if self.lanes.contains(&Other::None) || self.lanes.contains(&Other::Naive) {
            all.push(
                "lanes without a limit have none of Envoy's defaults either, as under Istio"
                    .to_owned(),
            );
        }
        if self.lanes.contains(&Other::Naive) {
            all.push(format!(
                "\"{}\": {NAIVE_RETRIES} retries of the route on any 5xx and on what broke, without a budget",
                Other::Naive.name()
            ));
        }
        if self.lanes.contains(&Other::Envoy) {
            all.push(format!(
                "\"{}\": one retry on any 5xx and on what broke, at another host, at most 3 at a time; at most {ENVOY_LIMIT} requests in \
                 flight in each Envoy; outlier detection after 5 failures in a row, for 30s and longer, for half of the hosts at most",
                Other::Envoy.name()
            ));
        }
        if self.baseline.is_some() {
            all.push(format!(
                "the DestinationRule's lane has Istio's default retries: {ISTIO_RETRIES} on {ISTIO_RETRY_ON},{ISTIO_RETRY_GRPC_ON}, at \
                 another host"
            ));
        }
        all
    }

    fn report(
        &self,
        prepared: Prepared,
        lanes: &[(String, Spec<'_>)],
        measured: Vec<Measure>,
    ) -> anyhow::Result<Report> {
        let mut line = format!("seawall compare{}", self.playing.arguments(prepared.format));
        for file in &self.policy {
            line.push_str(&format!(" --policy {}", quoted(&file.to_string_lossy())));
        }
        if let Some(file) = &self.baseline {
            line.push_str(&format!(" --baseline {}", quoted(&file.to_string_lossy())));
        }
        let others: Vec<String> = self
            .lanes
            .iter()
            .filter_map(|other| Some(other.to_possible_value()?.get_name().to_owned()))
            .collect();
        line.push_str(&format!(" --lanes {}", others.join(",")));
        line.push_str(&self.outputs.arguments());
        let names = lanes.iter().map(|(name, _)| name.as_str());
        prepared.report(line, names.zip(measured).collect())
    }
}

/// The lane of a user's rules; a cluster without one has what Istio has without one.
fn governed(prepared: &Prepared, rules: &[Baseline]) -> Lane<'static> {
    let mut lane = prepared.setting().bare();
    let on = RetryOn::parse(ISTIO_RETRY_ON) | RetryOn::parse_grpc(ISTIO_RETRY_GRPC_ON);
    lane.route = Route {
        timeout: lane.route.timeout,
        ..Route::retrying(on, ISTIO_RETRIES)
    };
    lane.native = Native::default();
    lane.avoids_tried = true;
    for cluster in prepared.clusters() {
        if let Some(rule) = rules.iter().find(|rule| rule.is_for(&cluster)) {
            lane.native_of.insert(cluster, rule.native.clone());
        }
    }
    // Where nobody names a cluster there is one service without a name, and the rule is meant for it.
    if let ([rule], true) = (rules, prepared.is_nameless()) {
        lane.native = rule.native.clone();
    }
    lane
}

/// Rules that are for no cluster that is played.
fn idle(prepared: &Prepared, rules: &[Baseline]) -> Vec<String> {
    let clusters = prepared.clusters();
    let mut warnings = Vec::new();
    if rules.len() == 1 && prepared.is_nameless() {
        return warnings;
    }
    for rule in rules {
        if !clusters.iter().any(|cluster| rule.is_for(cluster)) {
            let host = &rule.host;
            let names = clusters.join(", ");
            warnings.push(format!(
                "DestinationRule of {host}: no request comes to it, so it does nothing here; there are requests to {names}"
            ));
        }
    }
    warnings
}

/// What of the rules the simulation does not have.
fn unlike(rules: &[Baseline]) -> Vec<String> {
    let left_out = rules.iter().filter(|rule| !rule.left_out.is_empty());
    left_out
        .map(|rule| {
            let what = rule.left_out.join(", ");
            format!(
                "DestinationRule of {}: nothing is taken from {what}",
                rule.host
            )
        })
        .collect()
}

/// Plays all lanes, as many at a time as there are threads. Each has its figures whatever ran beside it.
fn play_all(
    prepared: &Prepared,
    lanes: &[(String, Spec<'_>)],
    threads: usize,
) -> anyhow::Result<Vec<Measure>> {
    let bar = progress::requests((lanes.len() * prepared.trace.len()) as u64);
    let play_one = |number: usize| {
        let (scenario, trace) = (&prepared.scenario, &prepared.trace);
        let mut tick = || bar.inc(1);
        let measure = match &lanes[number].1 {
            Spec::Other(other) => play(
                scenario,
                trace.requests(),
                &prepared.setting().other(*other),
                &mut tick,
            ),
            Spec::Baseline(rules) => play(
                scenario,
                trace.requests(),
                &governed(prepared, rules),
                &mut tick,
            ),
            Spec::Seawall(configuration) => {
                let envoys = prepared.setting().processes(configuration)?;
                play(
                    scenario,
                    trace.requests(),
                    &prepared.setting().filtered(&envoys),
                    &mut tick,
                )
            }
        };
        anyhow::Ok(measure)
    };
    let found = parallel::each(lanes.len(), threads, play_one);
    bar.finish_and_clear();
    found
        .context("a lane could not be played")?
        .into_iter()
        .collect()
}

/// Gives each lane a name of its own.
fn tell_apart(lanes: &mut [(String, Spec<'_>)]) {
    for number in 1..lanes.len() {
        let (before, rest) = lanes.split_at_mut(number);
        let taken = |name: &str| before.iter().any(|(other, _)| other == name);
        let name = rest[0].0.clone();
        let mut names =
            std::iter::once(name.clone()).chain((2..).map(|nth| format!("{name} ({nth})")));
        if let Some(free) = names.find(|name| !taken(name)) {
            rest[0].0 = free;
        }
    }
}

/// A lane's name: its file's, without the ending.
fn name_of(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}
