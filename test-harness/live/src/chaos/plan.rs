//! What an experiment needs of the real world, and why some cannot be played there.

use std::time::Duration;

use seawall_harness::chaos::{Against, Stage};
use seawall_harness::fault::{Fault, Kind};
use seawall_harness::sim::{Network, Order};

use crate::upstream::{ColdStart, Knobs};

/// Where a part of the attempts is refused, each host has so many sockets, of which that part is closed.
const DOORS: usize = 10;
/// How long a connection, or a request that nothing delays, may take at most, in nanoseconds.
const CONNECT: u64 = 1_000_000_000;
/// Where an experiment's policy holds, an attempt is over after so many seconds in the mean, at most.
const SPARED: usize = 3;

/// What a lane needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// The cluster.
    pub(super) cluster: String,
    /// Hosts.
    pub(super) hosts: usize,
    /// Sockets of each host.
    pub(super) doors: usize,
    /// How each of them is while nothing is wrong.
    pub(super) well: Knobs,
    /// How long a connection may take.
    pub(super) connect: Duration,
    /// Whether VMs of the filter are killed.
    pub(super) kills: bool,
    /// Connections that the upstream may have at the same time.
    pub(super) connections: Connections,
}

/// Connections that an upstream may have at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    /// Where nothing keeps requests from it.
    all: usize,
    /// Where they are kept from it.
    spared: usize,
}

impl Connections {
    /// Those of a lane.
    pub(super) fn of(self, stage: &Stage<'_>, against: &Against) -> usize {
        match (against, stage.experiment().seawall()) {
            (Against::Seawall(policy), Against::Seawall(own)) if *policy == own => self.spared,
            _ => self.all,
        }
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { all: 0, spared: 0 }
    }
}

impl Plan {
    /// What an experiment needs.
    ///
    /// # Errors
    /// Why it cannot be played on a real Envoy here.
    pub(super) fn of(stage: &Stage<'_>) -> Result<Self, String> {
        let scenario = stage.scenario();
        let world = stage.experiment().world();
        let cluster = scenario.cluster.clone();
        if world.edge.envoys != 1 || !world.edge.seawall {
            return Err("here there is one Envoy, with the filter, in front of one service".into());
        }
        if scenario.services.keys().any(|name| *name != cluster) {
            return Err("here there is one service".into());
        }
        let mut named = stage
            .trace
            .iter()
            .filter_map(|request| request.cluster.as_ref());
        if let Some(other) = named.find(|name| **name != cluster) {
            return Err(format!(
                "here there is one service, and the trace asks {other} too"
            ));
        }
        if scenario.clients.tokens.is_some() {
            return Err("the load client has no budget of retries of its own".into());
        }
        let service = scenario.service(&cluster);
        let lacks = [
            (!service.calls.is_empty(), "calls of other services"),
            (service.pauses.is_some(), "pauses"),
            (service.cache.is_some(), "a cache"),
            (service.crowding > 0, "work that is slower for each request"),
            (service.delay.is_some(), "a queue with controlled delay"),
            (
                service.order == Order::Lifo,
                "a queue that serves the last one first",
            ),
            (
                service.network != Network::default(),
                "a network of its own",
            ),
        ];
        if let Some((_, what)) = lacks.iter().find(|(has, _)| *has) {
            return Err(format!("the upstream program has not {what}"));
        }
        for fault in &scenario.faults {
            possible(fault)?;
        }
        let of = |kind: Kind| {
            scenario
                .faults
                .iter()
                .filter(move |fault| fault.kind == kind)
        };
        let parts = of(Kind::Refuse).any(|fault| fault.share < 100.0);
        let doors = if parts { DOORS } else { 1 };
        let cold_start = service.cold_start.map(|cold| ColdStart {
            for_ms: cold.length / 1_000_000,
            speed: cold.speed,
        });
        Ok(Self {
            cluster,
            hosts: service.hosts.max(1),
            doors,
            well: Knobs {
                latency_ms: 0,
                capacity: Some(service.servers.div_ceil(doors)),
                stubborn: true,
                cold_start,
                ..Knobs::default()
            },
            connect: Duration::from_nanos(
                of(Kind::Blackhole)
                    .map(|fault| fault.by)
                    .min()
                    .unwrap_or(CONNECT),
            ),
            kills: of(Kind::KillVm).next().is_some(),
            connections: connections(stage),
        })
    }
}

/// Whether the upstream program can do this.
fn possible(fault: &Fault) -> Result<(), String> {
    let whole = match fault.kind {
        Kind::Clock => {
            return Err("Envoy's clock is the machine's, which other programs read too".into());
        }
        Kind::CorruptState => {
            return Err(
                "nothing outside of the filter can write what Envoy's workers share".into(),
            );
        }
        Kind::RefuseStream | Kind::ResetStream => {
            return Err(
                "Envoy speaks HTTP/1 to the upstream program: there are no streams to reset".into(),
            );
        }
        Kind::Partition => {
            return Err("all processes are on one machine: there are no zones to part".into());
        }
        Kind::Bandwidth | Kind::Slicer | Kind::LimitData | Kind::SlowClose => {
            return Err("the upstream program cannot spoil the bytes of a connection".into());
        }
        Kind::Errors | Kind::NotFound | Kind::Reset => false,
        // A tenth of the sockets is the least part.
        Kind::Refuse => fault.share % (100.0 / DOORS as f64) != 0.0,
        _ => true,
    };
    if fault.zone.is_some() || fault.from.is_some() {
        return Err("all processes are on one machine: there are no zones".into());
    }
    if fault.attempts.is_some() {
        return Err("the upstream program cannot tell which attempt it is that fails".into());
    }
    match whole && fault.share < 100.0 {
        true => Err(format!(
            "the upstream program cannot do it to a part of the requests: {fault}"
        )),
        false => Ok(()),
    }
}

/// Connections that the upstream may have at the same time where nothing keeps requests from it: as many as come while one waits. Whoever
/// keeps its requests short, as an experiment's own policy does, has `spared`.
fn connections(stage: &Stage<'_>) -> Connections {
    const SECOND: u64 = 1_000_000;
    let scenario = stage.scenario();
    let seconds = stage
        .trace
        .chunk_by(|one, other| one.at_us / SECOND == other.at_us / SECOND);
    let peak = seconds.map(<[_]>::len).max().unwrap_or(0);
    let route_timeout = stage.experiment().route_timeout();
    let longest = scenario
        .patience
        .unwrap_or(route_timeout)
        .min(route_timeout);
    let surges = !stage.timeline.surges.is_empty();
    let waits = scenario.faults.iter().map(|fault| match fault.kind {
        Kind::Latency => fault
            .by
            .saturating_add(fault.jitter)
            .saturating_add(CONNECT),
        Kind::Hang | Kind::Slow | Kind::Blackhole => longest,
        _ => CONNECT,
    });
    let waits = waits.chain(surges.then_some(longest));
    let waits = waits.max().unwrap_or(CONNECT).min(longest);
    let seconds = usize::try_from(waits.div_ceil(1_000_000_000)).unwrap_or(1);
    let all = peak * scenario.clients.tries as usize * seconds;
    Connections {
        all,
        spared: all.min(SPARED * peak),
    }
}
