//! Where a trace is played: what its clients and its services are like, and what goes wrong.

use std::collections::BTreeMap;

use super::fate::Fate;
use super::service::{Service, in_turn};
use super::wire::{Delivery, Wire, held};
use super::{Clients, Environment, START};
use crate::fault::{Direction, Fault, Kind};
use crate::random::chance;
use crate::trace::{Outage, Request};

/// An environment with its details.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// A user's patience, in nanoseconds; then the client goes away.
    pub patience: Option<u64>,
    /// Seed of all chance.
    pub seed: u64,
    /// The clients.
    pub clients: Clients,
    /// Services by name. The name is that of the cluster.
    pub services: BTreeMap<String, Service>,
    /// The zones that the Envoys at the edge are in, in turn; none are in none.
    pub edge_zones: Vec<String>,
    /// What any other cluster is like.
    pub service: Service,
    /// The cluster of requests that name none.
    pub cluster: String,
    /// What the trace says failed fails, and these are the times in which it is known to.
    pub recorded: Option<Vec<RecordedOutage>>,
    /// Whether ticks of the filter are left out in long times in which no request is on its way.
    pub skips_idle: bool,
}

/// A time in which the trace says that a cluster is sick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedOutage {
    /// Whose; none is that of requests that name none.
    pub cluster: Option<String>,
    /// Its first failure, in nanoseconds since the trace began.
    pub from: u64,
    /// Its last one.
    pub to: u64,
}

impl From<&Outage> for RecordedOutage {
    fn from(outage: &Outage) -> Self {
        Self {
            cluster: outage.cluster.clone(),
            from: outage.from_us * 1_000,
            to: outage.to_us * 1_000,
        }
    }
}

/// The cluster of traces that name none.
pub const CLUSTER: &str = "upstream";

/// An attempt that is at a host now.
pub(super) struct Reached<'a> {
    pub(super) service: &'a str,
    pub(super) host: usize,
    /// The zone of the host, and that of who asks.
    pub(super) zone: Option<&'a str>,
    pub(super) from: Option<&'a str>,
    /// Its number, counted over all tries of the request.
    pub(super) number: u32,
    /// What it drew, from 0 to 100.
    pub(super) draw: f64,
    /// Its work.
    pub(super) work: u64,
}

impl Reached<'_> {
    /// Whether a fault is at this host, and this attempt is among those that it hits.
    fn is_hit(&self, fault: &Fault) -> bool {
        fault.hits(self.service, self.host, self.zone)
            && fault.is_between(self.from, self.zone)
            && self.draw < fault.share
            && fault.attempts.is_none_or(|first| self.number <= first)
    }
}

impl From<Environment> for Scenario {
    /// Clients that never try again, a short network, an upstream of even speed.
    fn from(environment: Environment) -> Self {
        Self {
            faults: environment.faults,
            patience: environment.patience,
            seed: environment.seed,
            clients: Clients::default(),
            services: BTreeMap::new(),
            edge_zones: Vec::new(),
            service: Service::new(environment.servers, environment.queue),
            cluster: CLUSTER.to_owned(),
            recorded: None,
            skips_idle: true,
        }
    }
}

impl Scenario {
    /// What a cluster is like.
    pub fn service(&self, cluster: &str) -> &Service {
        self.services.get(cluster).unwrap_or(&self.service)
    }

    /// The cluster of a request.
    pub(super) fn cluster_of<'a>(&'a self, request: &'a Request) -> &'a str {
        request.cluster.as_deref().unwrap_or(&self.cluster)
    }

    /// What becomes of an attempt that is at a host now. `recorded` is its request, where the trace says what became of it.
    pub(super) fn fate(&self, now: u64, recorded: Option<&Request>, at: &Reached<'_>) -> Fate {
        let fate = match recorded.filter(|_| self.recorded.is_some()) {
            Some(request) => Fate::recorded(request, at.work),
            None => Fate::well(at.work),
        };
        // What never comes to the upstream meets none of its faults.
        if !fate.reaches() {
            return fate;
        }
        let holds = |fault: &&Fault| {
            fault.holds(now - START)
                && fault.kind != Kind::Slow
                && !fault.kind.is_of_envoys()
                && !fault.kind.is_of_bytes()
                && at.is_hit(fault)
        };
        let fault = self.faults.iter().find(holds);
        fault.map_or(fate, |fault| fate.with(fault, at.draw))
    }

    /// Whether a fault is at this host of this service.
    pub(super) fn hits(&self, fault: &Fault, service: &str, host: usize) -> bool {
        fault.hits(service, host, self.service(service).zone(host))
    }

    /// Whether nothing comes back now from a host that a request has reached.
    pub(super) fn is_parted(&self, now: u64, at: &Reached<'_>) -> bool {
        let since = now.saturating_sub(START);
        let mut faults = self.faults.iter();
        faults.any(|fault| fault.kind == Kind::Partition && fault.holds(since) && at.is_hit(fault))
    }

    /// Whether something may go wrong with the bytes of connections.
    pub(super) fn has_toxics(&self) -> bool {
        self.faults.iter().any(|fault| fault.kind.is_of_bytes())
    }

    /// Whether there is a fault of this kind.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }

    /// The faults that hit the bytes of an attempt that go this way now.
    fn toxics<'a>(
        &'a self,
        now: u64,
        stream: Direction,
        at: &'a Reached<'_>,
    ) -> impl Iterator<Item = &'a Fault> {
        let since = now.saturating_sub(START);
        self.faults.iter().filter(move |fault| {
            fault.toxic.is_some_and(|toxic| toxic.stream == stream)
                && fault.holds(since)
                && at.is_hit(fault)
        })
    }

    /// A message that is sent now, through what goes wrong with its bytes.
    pub(super) fn sent(
        &self,
        now: u64,
        stream: Direction,
        at: &Reached<'_>,
        wire: Wire,
        concern: &str,
    ) -> Delivery {
        let mut wire = wire;
        for fault in self.toxics(now, stream, at) {
            let ends = fault.end().saturating_sub(now.saturating_sub(START));
            let mut random = chance(self.seed, format_args!("{concern} {}", fault.at));
            wire = wire.through(fault, ends, &mut random);
        }
        wire.delivery()
    }

    /// When it is seen that a connection was closed now that had nothing to carry.
    pub(super) fn close_seen(&self, now: u64, at: &Reached<'_>) -> u64 {
        let toxics = self.toxics(now, Direction::Downstream, at);
        let slow = toxics.filter(|fault| fault.kind == Kind::SlowClose);
        slow.fold(now, |seen, fault| {
            held(seen, fault.by, START.saturating_add(fault.end()))
        })
    }

    /// The zone of an Envoy at the edge.
    pub(super) fn edge_zone(&self, envoy: usize) -> Option<&str> {
        in_turn(&self.edge_zones, envoy)
    }

    /// How long work takes that starts now at a host, with what slows it.
    pub(super) fn work(&self, now: u64, at: (&str, usize), work: (u64, usize, Option<u64>)) -> u64 {
        let (service, host) = at;
        let (work, busy, up) = work;
        let since = now - START;
        let mut faults = self.faults.iter();
        let slow = faults.find(|fault| {
            fault.kind == Kind::Slow && fault.holds(since) && self.hits(fault, service, host)
        });
        let work = slow.map_or(work, |slow| super::service::slower(work, slow.left));
        self.service(service).work(since, work, busy, up)
    }

    /// How far the wall clocks of Envoys are ahead now, in nanoseconds.
    pub(super) fn clock_ahead(&self, now: u64) -> u64 {
        let clocks = self.faults.iter().filter(|fault| fault.kind == Kind::Clock);
        let ahead = clocks.filter(|fault| fault.holds(now.saturating_sub(START)));
        ahead.map(|fault| fault.by).sum()
    }

    /// Whether the upstream of this request is sick now: a fault holds for all clusters, an outage of the trace for its own.
    pub(super) fn in_fault(&self, now: u64, request: &Request) -> bool {
        let since = now - START;
        let mut faults = self.faults.iter();
        let mut recorded = self.recorded.iter().flatten();
        faults.any(|fault| fault.holds(since))
            || recorded.any(|outage| {
                outage.cluster == request.cluster && (outage.from..=outage.to).contains(&since)
            })
    }

    /// From when to when something goes wrong, in nanoseconds since the trace began.
    pub fn faulty(&self) -> Option<(u64, u64)> {
        let faults = self.faults.iter().map(|fault| (fault.at, fault.end()));
        let recorded = self.recorded.iter().flatten();
        let all = faults.chain(recorded.map(|outage| (outage.from, outage.to)));
        all.reduce(|(from, to), (begin, end)| (from.min(begin), to.max(end)))
    }
}
