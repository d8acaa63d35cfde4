//! Where a trace is played: the environment and what else its clients, its network and its upstream are like.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::fate::Fate;
use super::upstream::ControlledDelay;
use super::{Clients, Environment, START};
use crate::fault::Fault;
use crate::trace::Request;

/// From Envoy to the upstream and back, in nanoseconds, unless a scenario says otherwise.
const ROUND_TRIP: u64 = 1_000_000;

/// An environment with its details.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is common to all scenarios.
    pub environment: Environment,
    /// The clients.
    pub clients: Clients,
    /// The mean of an exponential way to the upstream, and back, in nanoseconds; none is a fixed millisecond for both.
    pub network: Option<u64>,
    /// Work takes so much longer for each request that is in work when it starts, itself included; in nanoseconds.
    pub crowding: u64,
    /// When the upstream works slower.
    pub slowdowns: Vec<Slowdown>,
    /// The upstream's bound on how long requests wait; what waited longer gets 503.
    pub delay: Option<ControlledDelay>,
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

/// The cluster of traces that name none.
pub const CLUSTER: &str = "upstream";

/// A time in which all work that starts takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowdown {
    /// From when, in nanoseconds since the trace began.
    pub at: u64,
    /// For how long, in nanoseconds.
    pub length: u64,
    /// So much of the speed is left, in percent, at least 1.
    pub left: u32,
}

impl From<Environment> for Scenario {
    /// Clients that never try again, a short network, an upstream of even speed.
    fn from(environment: Environment) -> Self {
        Self {
            environment,
            clients: Clients::default(),
            network: None,
            crowding: 0,
            slowdowns: Vec::new(),
            delay: None,
            cluster: CLUSTER.to_owned(),
            recorded: None,
            skips_idle: true,
        }
    }
}

impl Scenario {
    /// The ways to the upstream and back, in nanoseconds.
    pub(super) fn ways(&self, random: &mut ChaCha8Rng) -> (u64, u64) {
        let Some(mean) = self.network else {
            return (0, ROUND_TRIP);
        };
        let mut way = || {
            let times: f64 = Exp1.sample(random);
            (times * mean as f64) as u64
        };
        (way(), way())
    }

    /// How long a piece of work takes that starts now beside so many, itself included.
    pub(super) fn work(&self, now: u64, work: u64, busy: usize) -> u64 {
        let busy = u64::try_from(busy).unwrap_or(u64::MAX);
        let work = work.saturating_add(self.crowding.saturating_mul(busy));
        let now = now - START;
        let holds = |slow: &&Slowdown| (slow.at..slow.at + slow.length).contains(&now);
        let slow = self.slowdowns.iter().find(holds);
        slow.map_or(work, |slow| {
            work.saturating_mul(100) / u64::from(slow.left.max(1))
        })
    }

    /// The cluster of a request.
    pub(super) fn cluster_of<'a>(&'a self, request: &'a Request) -> &'a str {
        request.cluster.as_deref().unwrap_or(&self.cluster)
    }

    /// What becomes of an attempt of this request that is at the upstream now: its number, what it drew, and its work.
    pub(super) fn fate(&self, now: u64, request: &Request, job: (u32, f64, u64)) -> Fate {
        let (number, draw, work) = job;
        let fate = match self.recorded {
            Some(_) => Fate::recorded(request, work),
            None => Fate::well(work),
        };
        // What never comes to the upstream meets none of its faults.
        if !fate.reaches() {
            return fate;
        }
        let holds = |fault: &&Fault| {
            fault.holds(now - START)
                && draw < fault.share
                && fault.attempts.is_none_or(|first| number <= first)
        };
        let fault = self.environment.faults.iter().find(holds);
        fault.map_or(fate, |fault| fate.with(fault))
    }

    /// Whether the upstream of this request is sick now: a fault holds for all clusters, an outage of the trace for its own.
    pub(super) fn in_fault(&self, now: u64, request: &Request) -> bool {
        let since = now - START;
        let mut faults = self.environment.faults.iter();
        let mut recorded = self.recorded.iter().flatten();
        faults.any(|fault| fault.holds(since))
            || recorded.any(|outage| {
                outage.cluster == request.cluster && (outage.from..=outage.to).contains(&since)
            })
    }

    /// From when to when something goes wrong, in nanoseconds since the trace began.
    pub fn faulty(&self) -> Option<(u64, u64)> {
        let faults = self
            .environment
            .faults
            .iter()
            .map(|fault| (fault.at, fault.end()));
        let recorded = self.recorded.iter().flatten();
        let all = faults.chain(recorded.map(|outage| (outage.from, outage.to)));
        all.reduce(|(from, to), (begin, end)| (from.min(begin), to.max(end)))
    }
}
