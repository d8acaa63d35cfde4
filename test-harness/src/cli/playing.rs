//! What is played: the arguments that `replay` and `compare` have in common, and what they are read into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use seawall_policy::route::Routing;
use seawall_policy::time::Span;

use super::filter::Filter;
use super::reading::{Read, Reading, shown};
use super::unmatched::unmatched;
use crate::fault::Fault;
use crate::lanes::Setting;
use crate::measure::{Measure, lanes};
use crate::module::Module;
use crate::report::words::{counted, quoted};
use crate::report::{Report, VERSION};
use crate::router::ROUTE_TIMEOUT;
use crate::sim::{CLUSTER, Environment, RecordedOutage, Scenario};
use crate::trace::{Adjust, Facts, Failures, Format, Outage, Source};
use crate::world::{OTHERS, World};

/// Outages that are told one by one.
const TOLD: usize = 5;

/// What is played, and in what.
#[derive(Debug, Args)]
pub(super) struct Playing {
    /// The trace, or a log as `seawall trace import` reads it; - is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "access_log")]
    trace: Option<PathBuf>,
    /// The log of an incident, in the place of --trace FILE --recorded-outcomes.
    #[arg(long, value_name = "FILE", conflicts_with = "trace")]
    access_log: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// The cluster of requests that name none. [default: upstream]
    #[arg(long, conflicts_with = "world", value_name = "NAME")]
    cluster: Option<String>,
    /// What the log says failed fails, as its status and flags say, after the time that it says, on every attempt.
    #[arg(long)]
    recorded_outcomes: bool,
    /// What goes wrong: `KIND,at=TIME,for=TIME[,share=PERCENT][,by=TIME][,jitter=TIME][,left=PERCENT][,attempts=COUNT][,service=NAME][,hosts=FIRST-LAST][,zone=NAME][,from=ZONE]`; may be given
    /// several times. docs/worlds.md has the kinds, and what else some of them take.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// The route's limit of a request, such as 15s. [default: Envoy's 15s, or more where a request of the trace takes as
    /// long: then a second more than the longest]
    #[arg(long, value_parser = super::nanos_above_0, value_name = "TIME")]
    route_timeout: Option<u64>,
    /// The world: services, whom they call, their clients, what goes wrong. docs/worlds.md has its keys.
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// Envoy's workers.
    #[arg(long, conflicts_with = "world", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Servers of each cluster: so many of its requests are in work at the same time.
    #[arg(long, conflicts_with = "world", default_value_t = 256, value_parser = at_least_1)]
    servers: usize,
    /// A user's patience, such as 2s; then the client goes away.
    #[arg(long, conflicts_with = "world", value_parser = super::nanos_above_0, value_name = "TIME")]
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
}

/// What was read.
pub(super) struct Prepared {
    pub(super) module: Module,
    /// What the trace's file is.
    pub(super) format: Format,
    pub(super) world: World,
    pub(super) trace: Source,
    /// What is known of it.
    pub(super) facts: Facts,
    pub(super) outages: Vec<Outage>,
    pub(super) scenario: Scenario,
    /// The route's limit of a request, in nanoseconds.
    pub(super) route_timeout: u64,
    pub(super) warnings: Vec<String>,
    /// What the figures rest on.
    pub(super) assumptions: Vec<String>,
}

impl Playing {
    /// Reads the trace, and says what it is played in. `stdin` says whether a policy is read from there.
    pub(super) fn prepare(&self, stdin: bool) -> anyhow::Result<Prepared> {
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
        ensure!(
            self.trace() != Path::new("-") || !stdin,
            "--trace - and --policy -: one of them must be a file"
        );
        let world = self.world()?;
        let adjust = Adjust {
            speed: self.speed,
            scale: self.scale,
        };
        let Read {
            source: trace,
            facts,
            summary,
        } = self.reading.source(self.trace(), adjust)?;
        eprint!("{summary}");
        let outages = outages(&trace, &facts);
        let scenario = self.scenario(&world, &outages)?;
        let route_timeout = self.route_timeout(&facts);
        let mut warnings = strangers(&world, &scenario, &facts);
        warnings.extend(self.warnings(&scenario, &facts, &outages));
        if self.route_timeout.is_none() && route_timeout > ROUTE_TIMEOUT {
            let limit = Span::nanos(route_timeout);
            warnings.push(format!(
                "requests of the trace take longer than Envoy's route limit of 15s: it is {limit} here (--route-timeout sets it)"
            ));
        }
        Ok(Prepared {
            module: self.filter.module()?,
            format: summary.format,
            world,
            trace,
            facts,
            outages,
            scenario,
            route_timeout,
            warnings,
            assumptions: Vec::new(),
        })
    }

    /// The file that is played.
    fn trace(&self) -> &Path {
        let file = self.trace.as_deref().or(self.access_log.as_deref());
        file.unwrap_or(Path::new("-"))
    }

    /// Whether what the log says failed fails.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded_outcomes || self.access_log.is_some()
    }

    /// The world of the file, or one Envoy with so many workers and nothing special.
    fn world(&self) -> anyhow::Result<World> {
        let Some(file) = &self.world else {
            let mut world = World::default();
            world.edge.workers = usize::from(self.workers);
            return Ok(world);
        };
        let text = super::text(file).with_context(|| shown(file))?;
        World::read(&text).with_context(|| shown(file))
    }

    fn scenario(&self, world: &World, outages: &[Outage]) -> anyhow::Result<Scenario> {
        let recorded = outages.iter().map(RecordedOutage::from);
        let recorded = self.is_recorded().then(|| recorded.collect());
        let mut scenario = match self.world {
            Some(_) => world.scenario(self.seed)?,
            None => Scenario {
                cluster: self.cluster.clone().unwrap_or_else(|| CLUSTER.to_owned()),
                ..Scenario::from(Environment {
                    servers: self.servers,
                    queue: 100_000,
                    faults: Vec::new(),
                    patience: self.patience,
                    seed: self.seed,
                })
            },
        };
        for fault in &self.fault {
            if fault.zone.is_some() || fault.from.is_some() {
                let known = world.knows(fault);
                known.map_err(|problem| anyhow::anyhow!("--fault {fault}: {problem}"))?;
            }
        }
        scenario.faults.extend(self.fault.iter().cloned());
        scenario.recorded = recorded;
        Ok(scenario)
    }

    /// The route's limit, in nanoseconds: one that no request of the trace meets by its own time, unless it was asked for.
    fn route_timeout(&self, facts: &Facts) -> u64 {
        const SECOND_US: u64 = 1_000_000;
        let beyond = facts.longest_us.div_ceil(SECOND_US) + 1;
        self.route_timeout
            .unwrap_or_else(|| ROUTE_TIMEOUT.max(beyond * SECOND_US * 1_000))
    }

    /// What a reader of the report should know before.
    fn warnings(&self, scenario: &Scenario, facts: &Facts, outages: &[Outage]) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(cluster) = &self.cluster
            && !facts.clusters.contains_key(&None)
        {
            warnings.push(format!(
                "--cluster {cluster} changes nothing: every request of the trace names its cluster"
            ));
        }
        let end = facts.length_us.saturating_mul(1_000);
        let late = scenario.faults.iter().filter(|fault| fault.at > end);
        warnings.extend(late.map(|fault| {
            let seconds = end as f64 / 1e9;
            format!(
                "--fault {fault} begins after the trace's end at {seconds:.1} s: it hits nothing"
            )
        }));
        if self.is_recorded() && outages.is_empty() && facts.says {
            let what = match facts.failed {
                0 => "says of no request that it failed, so nothing fails".to_owned(),
                failed => format!(
                    "holds no outage; {} failed now and then, and fail again",
                    counted(failed, "request")
                ),
            };
            warnings.push(format!("--recorded-outcomes: the log {what}"));
        }
        let hint = match self.is_recorded() {
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
        if self.is_recorded() && !facts.says {
            warnings.push("the trace says of no request what became of it, so --recorded-outcomes changes nothing".to_owned());
        }
        warnings
    }

    /// These arguments again, after the name of a command.
    pub(super) fn arguments(&self, format: Format) -> String {
        let trace = self.trace().to_string_lossy();
        // A name that looks like a flag is read as a value only behind the sign.
        let between = match trace.starts_with('-') && trace != "-" {
            true => "=",
            false => " ",
        };
        let mut line = format!(
            " --trace{between}{}{}",
            quoted(&trace),
            self.reading.arguments(format),
        );
        match &self.world {
            Some(world) => line.push_str(&format!(" --world {}", quoted(&world.to_string_lossy()))),
            None => line.push_str(&format!(
                " --workers {} --servers {}",
                self.workers, self.servers
            )),
        }
        line.push_str(&format!(
            " --speed {} --scale {} --seed {}",
            self.speed, self.scale, self.seed
        ));
        line.push_str(&self.filter.argument());
        if let Some(cluster) = &self.cluster {
            line.push_str(&format!(" --cluster {}", quoted(cluster)));
        }
        if let Some(limit) = self.route_timeout {
            line.push_str(&format!(" --route-timeout {limit}ns"));
        }
        if self.is_recorded() {
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

impl Prepared {
    /// Warns of what policies govern nothing, before all else.
    pub(super) fn warn_unmatched<'a>(&mut self, routings: impl Iterator<Item = &'a Routing>) {
        let clusters = clusters(&self.scenario, &self.facts);
        let mut found: Vec<String> = Vec::new();
        for warning in routings.flat_map(|routing| unmatched(routing, &clusters)) {
            if !found.contains(&warning) {
                found.push(warning);
            }
        }
        self.warnings.splice(0..0, found);
    }

    /// What all lanes have in common.
    pub(super) fn setting(&self) -> Setting<'_> {
        Setting {
            module: &self.module,
            world: &self.world,
            seed: self.scenario.seed,
            route_timeout: self.route_timeout,
        }
    }

    /// All clusters that get requests.
    pub(super) fn clusters(&self) -> Vec<String> {
        let all = clusters(&self.scenario, &self.facts).into_keys();
        all.map(str::to_owned).collect()
    }

    /// Whether neither the trace nor a world names a cluster.
    pub(super) fn is_nameless(&self) -> bool {
        let named = self.facts.clusters.keys().any(Option::is_some);
        self.world.services.is_empty() && !named
    }

    /// The report of lanes that were played.
    ///
    /// # Errors
    /// If the trace's file was another one while it was played.
    pub(super) fn report(
        self,
        reproduce: String,
        measured: Vec<(&str, Measure)>,
    ) -> anyhow::Result<Report> {
        ensure!(
            !self.trace.changed(),
            "the trace's file was changed while it was played: play it again"
        );
        let fault = self.scenario.faulty();
        Ok(Report {
            version: VERSION,
            wasm_sha256: Some(self.module.sha256().to_owned()),
            reproduce,
            seed: self.scenario.seed,
            requests: self.trace.len(),
            length_ms: self.facts.length_us / 1_000,
            workers: self.world.edge.workers,
            route_timeout_ms: self.route_timeout / 1_000_000,
            recorded_outcomes: self.scenario.recorded.is_some(),
            faults: self.scenario.faults,
            outages: self.outages,
            warnings: self.warnings,
            assumptions: self.assumptions,
            lanes: lanes(measured, fault),
            ..Report::default()
        })
    }
}

/// What the world and the trace do not have in common, and faults at services that nobody asks.
fn strangers(world: &World, scenario: &Scenario, facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    let asked = clusters(scenario, facts);
    let names: Vec<&str> = asked.keys().copied().collect();
    let names = names.join(", ");
    if !world.services.is_empty() && !world.services.contains_key(OTHERS) {
        let unknown = asked
            .keys()
            .filter(|name| !world.services.contains_key(**name));
        warnings.extend(unknown.map(|name| {
            format!("the world has no service {name}, which the trace asks: it is one host with 256 servers, and meets no fault of a service")
        }));
    }
    let idle = world.services.keys().filter(|name| *name != OTHERS);
    let idle = idle.filter(|name| !asked.contains_key(name.as_str()));
    warnings.extend(idle.map(|name| {
        format!("nobody asks the world's service {name}: there are requests to {names}")
    }));
    for fault in &scenario.faults {
        if let Some(service) = &fault.service
            && !asked.contains_key(service.as_str())
        {
            warnings.push(format!(
                "--fault {fault}: nobody asks {service}, so it hits nothing: there are requests to {names}"
            ));
        }
        let hosts = asked.keys().map(|name| scenario.service(name).hosts).max();
        if let (Some((first, _)), Some(most)) = (fault.hosts, hosts)
            && first >= most
        {
            warnings.push(format!(
                "--fault {fault}: there is no host {first}, so it hits nothing: hosts count from 0, and no service has more than {most}"
            ));
        }
    }
    warnings
}

/// The outages that a trace says there were.
fn outages(trace: &Source, facts: &Facts) -> Vec<Outage> {
    if facts.failed == 0 {
        return Vec::new();
    }
    let mut failures = Failures::default();
    trace.requests().for_each(|request| failures.add(&request));
    failures.outages()
}

/// How many requests of a trace each cluster has; services that are called have none of their own, and count.
fn clusters<'a>(scenario: &'a Scenario, facts: &'a Facts) -> BTreeMap<&'a str, u64> {
    let mut clusters: BTreeMap<&str, u64> = BTreeMap::new();
    for (cluster, count) in &facts.clusters {
        let cluster = cluster.as_deref().unwrap_or(&scenario.cluster);
        *clusters.entry(cluster).or_default() += count;
    }
    for call in scenario
        .services
        .values()
        .flat_map(|service| &service.calls)
    {
        *clusters.entry(&call.service).or_default() += 1;
    }
    clusters
}

fn at_least_1(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "expected 1 or more".to_owned())
}
