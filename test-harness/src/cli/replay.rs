//! `seawall replay`: the same trace and the same outage, without the filter and with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use seawall_policy::route::Routing;
use seawall_policy::time::Span;

use super::filter::Filter;
use super::progress;
use super::reading::{Reading, shown};
use super::stdout::say;
use super::unmatched::unmatched;
use crate::check;
use crate::fault::Fault;
use crate::measure::Measure;
use crate::process::{Process, ProcessOptions};
use crate::report::words::{counted, quoted};
use crate::report::{Report, table};
use crate::router::{ROUTE_TIMEOUT, Route};
use crate::sim::{CLUSTER, Environment, Lane, RecordedOutage, START, Scenario, play};
use crate::trace::{self, Format, Outage, Request};

/// Outages that are told one by one.
const TOLD: usize = 5;

/// Replays a trace without the filter and with it, on a virtual clock, while something goes wrong.
#[derive(Debug, Args)]
#[command(
    after_help = "A log holds an outage where, for a second or as long as twenty requests of a cluster take to come, five of them or more
failed and they were a fifth or more. A request failed if its status is 500 or more or its flags say so, and its client did not end it.

Examples:
  seawall replay --trace trace.jsonl --policy examples/policies/start.yaml --fault errors,at=30s,for=60s --workers 4
  seawall replay --trace access.log.gz --policy examples/policies/start.yaml --recorded-outcomes
  seawall replay --trace access.log --policy policy.yaml --route-timeout 5s --fault hang,at=30s,for=60s
  seawall replay --trace nginx.log --cluster 'outbound|80||cart.shop.svc.cluster.local' --policy policy.yaml --fault hang,at=30s,for=60s

Exit codes: 0 the trace was replayed; 2 bad usage or input (with --strict, also one bad line)."
)]
pub(super) struct Replay {
    /// The trace, or a log as `seawall trace import` reads it; - is standard input.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// The policy file, YAML or JSON; its policies apply by the cluster that each request of the trace names. - is standard
    /// input.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The cluster of requests that name none. [default: upstream]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// What the log says failed fails, as its status and flags say, after the time that it says, on every attempt.
    #[arg(long)]
    recorded_outcomes: bool,
    /// What goes wrong: `KIND,at=TIME,for=TIME[,share=PERCENT][,by=TIME][,attempts=COUNT]`; may be given several times.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// The route's limit of a request, such as 15s. [default: Envoy's 15s, or more where a request of the trace takes as
    /// long: then a second more than the longest]
    #[arg(long, value_parser = super::nanos_above_0, value_name = "TIME")]
    route_timeout: Option<u64>,
    /// Envoy's workers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Servers of each cluster: so many of its requests are in work at the same time.
    #[arg(long, default_value_t = 256, value_parser = at_least_1)]
    servers: usize,
    /// A user's patience, such as 2s; then the client goes away.
    #[arg(long, value_parser = super::nanos_above_0, value_name = "TIME")]
    patience: Option<u64>,
    /// The trace runs so many times as fast.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// The upstream's work takes so many times as long.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    filter: Filter,
    /// Writes report.json there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let report = self.report()?;
        for warning in &report.warnings {
            eprintln!("seawall: warning: {warning}");
        }
        if let Some(out) = &self.out {
            let json = serde_json::to_string_pretty(&report)?;
            std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
            let file = out.join("report.json");
            std::fs::write(&file, &json).with_context(|| format!("writing {}", file.display()))?;
        }
        if self.json {
            say!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            crate::stdout::text(&table(&report).to_string());
        }
        Ok(())
    }

    fn report(&self) -> anyhow::Result<Report> {
        ensure!(
            self.speed > 0.0 && self.speed.is_finite(),
            "--speed {}: expected a number above 0, such as 2 for twice as fast",
            self.speed
        );
        ensure!(
            self.scale > 0.0 && self.scale.is_finite(),
            "--scale {}: expected a number above 0, such as 0.5 for half the work",
            self.scale
        );
        let stdin = Path::new("-");
        ensure!(
            self.trace != stdin || self.policy != stdin,
            "--trace - and --policy -: one of them must be a file"
        );
        let (trace, summary) = self.reading.all(&self.trace)?;
        eprint!("{summary}");
        let trace = self.adjusted(trace);
        let trace = trace::bounded(trace).context("with this --speed and --scale")?;
        let (configuration, routing) = configuration(&self.policy)?;
        let outages = trace::outages(&trace);
        let scenario = self.scenario(&outages);
        let route_timeout = self.route_timeout(&trace);
        let mut warnings = self.warnings(&routing, &trace, &outages);
        if self.route_timeout.is_none() && route_timeout > ROUTE_TIMEOUT {
            let limit = Span::nanos(route_timeout);
            warnings.push(format!(
                "requests of the trace take longer than Envoy's route limit of 15s: it is {limit} here (--route-timeout sets it)"
            ));
        }
        let module = self.filter.module()?;
        let options = ProcessOptions {
            workers: usize::from(self.workers),
            configuration,
            seed: self.seed,
            ..ProcessOptions::default()
        };
        let process = Process::start(&module, options, START)?;
        process.take_log();
        let fault = scenario.faulty();
        let lane = |name: &str, measure: Measure| measure.figures(name, fault);
        let bar = progress::requests(2 * trace.len() as u64);
        let route = Route {
            timeout: Some(route_timeout),
            ..Route::default()
        };
        let bare = Lane {
            route: route.clone(),
            ..Lane::default()
        };
        let without = play(&scenario, &trace, &bare, || bar.inc(1));
        let filtered = Lane {
            route,
            ..Lane::both(std::slice::from_ref(&process))
        };
        let with = play(&scenario, &trace, &filtered, || bar.inc(1));
        bar.finish_and_clear();
        Ok(Report {
            version: 1,
            reproduce: self.reproduce(summary.format),
            seed: self.seed,
            requests: trace.len(),
            length_ms: trace.last().map_or(0, |last| last.at_us / 1_000),
            workers: usize::from(self.workers),
            route_timeout_ms: route_timeout / 1_000_000,
            faults: scenario.environment.faults,
            outages,
            recorded_outcomes: self.recorded_outcomes,
            warnings,
            lanes: vec![lane("without", without), lane("with Seawall", with)],
        })
    }

    fn scenario(&self, outages: &[Outage]) -> Scenario {
        let of = |outage: &Outage| RecordedOutage {
            cluster: outage.cluster.clone(),
            from: outage.from_us * 1_000,
            to: outage.to_us * 1_000,
        };
        let recorded = self
            .recorded_outcomes
            .then(|| outages.iter().map(of).collect());
        Scenario {
            cluster: self.cluster().to_owned(),
            recorded,
            ..Scenario::from(Environment {
                servers: self.servers,
                queue: 100_000,
                faults: self.fault.clone(),
                patience: self.patience,
                seed: self.seed,
            })
        }
    }

    /// The cluster of requests that name none.
    fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or(CLUSTER)
    }

    /// The route's limit, in nanoseconds: one that no request of the trace meets by its own time, unless it was asked for.
    fn route_timeout(&self, trace: &[Request]) -> u64 {
        const SECOND_US: u64 = 1_000_000;
        let longest = trace.iter().map(|request| request.service_us).max();
        let beyond = longest.unwrap_or(0).div_ceil(SECOND_US) + 1;
        self.route_timeout
            .unwrap_or_else(|| ROUTE_TIMEOUT.max(beyond * SECOND_US * 1_000))
    }

    /// What a reader of the report should know before.
    fn warnings(&self, routing: &Routing, trace: &[Request], outages: &[Outage]) -> Vec<String> {
        let mut clusters: BTreeMap<&str, u64> = BTreeMap::new();
        for request in trace {
            let cluster = request.cluster.as_deref().unwrap_or(self.cluster());
            *clusters.entry(cluster).or_default() += 1;
        }
        let mut warnings = unmatched(routing, &clusters);
        if let Some(cluster) = &self.cluster
            && trace.iter().all(|request| request.cluster.is_some())
        {
            warnings.push(format!(
                "--cluster {cluster} changes nothing: every request of the trace names its cluster"
            ));
        }
        let end = trace
            .last()
            .map_or(0, |last| last.at_us.saturating_mul(1_000));
        let late = self.fault.iter().filter(|fault| fault.at > end);
        warnings.extend(late.map(|fault| {
            let seconds = end as f64 / 1e9;
            format!(
                "--fault {fault} begins after the trace's end at {seconds:.1} s: it hits nothing"
            )
        }));
        let says = |request: &Request| request.status.is_some() || request.flags.is_some();
        if self.recorded_outcomes && outages.is_empty() && trace.iter().any(says) {
            let failed = trace.iter().filter(|request| request.failed()).count();
            let what = match failed {
                0 => "says of no request that it failed, so nothing fails".to_owned(),
                failed => format!(
                    "holds no outage; {} failed now and then, and fail again",
                    counted(failed as u64, "request")
                ),
            };
            warnings.push(format!("--recorded-outcomes: the log {what}"));
        }
        let hint = match self.recorded_outcomes {
            true => "",
            false => {
                "; here all goes well but what --fault says (--recorded-outcomes lets fail what failed)"
            }
        };
        let told = outages.iter().take(TOLD);
        warnings.extend(told.map(|outage| format!("the log holds an outage {outage}{hint}")));
        if outages.len() > TOLD {
            warnings.push(format!(
                "the log holds {} more outages",
                outages.len() - TOLD
            ));
        }
        if self.recorded_outcomes && !trace.iter().any(says) {
            warnings.push("the trace says of no request what became of it, so --recorded-outcomes changes nothing".to_owned());
        }
        warnings
    }

    fn adjusted(&self, mut trace: Vec<Request>) -> Vec<Request> {
        for request in &mut trace {
            request.at_us = (request.at_us as f64 / self.speed) as u64;
            request.service_us = (request.service_us as f64 * self.scale) as u64;
        }
        trace
    }

    fn reproduce(&self, format: Format) -> String {
        let mut line = format!(
            "seawall replay --trace {}{} --policy {} --workers {} --servers {} --speed {} --scale {} --seed {}",
            quoted(&self.trace.to_string_lossy()),
            self.reading.arguments(format),
            quoted(&self.policy.to_string_lossy()),
            self.workers,
            self.servers,
            self.speed,
            self.scale,
            self.seed
        );
        line.push_str(&self.filter.argument());
        if let Some(cluster) = &self.cluster {
            line.push_str(&format!(" --cluster {}", quoted(cluster)));
        }
        if let Some(limit) = self.route_timeout {
            line.push_str(&format!(" --route-timeout {limit}ns"));
        }
        if self.recorded_outcomes {
            line.push_str(" --recorded-outcomes");
        }
        if let Some(patience) = self.patience {
            line.push_str(&format!(" --patience {patience}ns"));
        }
        for fault in &self.fault {
            line.push_str(&format!(" --fault {fault}"));
        }
        line
    }
}

fn at_least_1(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "expected 1 or more".to_owned())
}

/// Keys of what is no policy file, but has one in it or beside it: Envoy's bootstrap and dumps, manifests of Kubernetes.
const OTHERS: [(&str, &str); 6] = [
    ("static_resources", "a bootstrap of Envoy"),
    ("admin", "a bootstrap of Envoy"),
    ("dynamic_resources", "a bootstrap of Envoy"),
    ("configs", "a dump of Envoy's configuration"),
    ("resources", "a file of Envoy's resources"),
    ("apiVersion", "a manifest of Kubernetes"),
];

/// The plugin's configuration from a policy file, checked before the filter sees it.
fn configuration(path: &Path) -> anyhow::Result<(Vec<u8>, Routing)> {
    let text = super::text(path).with_context(|| shown(path))?;
    let value = check::parse(&text).with_context(|| shown(path))?;
    let other = value.iter().find_map(|value| {
        let mut others = OTHERS.iter();
        others.find(|(key, _)| value.get(key).is_some() && value.get("policies").is_none())
    });
    if let Some((key, what)) = other {
        anyhow::bail!(
            "{}: this is {what} (it has \"{key}\"), and --policy wants a policy file: what stands as the plugin's configuration \
             in it, such as examples/policies/start.yaml",
            shown(path)
        );
    }
    let [value] = value.as_slice() else {
        anyhow::bail!("{}: more than one document", shown(path));
    };
    let routing = seawall_policy::config::from_value(value);
    let routing = routing.with_context(|| shown(path))?;
    Ok((value.to_string().into_bytes(), routing))
}
