//! One policy: everything that is asked of one kind of upstream.

use crate::breaker::{Mode, Settings};
use crate::deadline::Limits;
use crate::exempt::Exempt;
use crate::fallback::Ladder;
use crate::health_check::settings::HealthCheck;
use crate::long_poll::LongPolls;
use crate::outcome::Rules;
use crate::ratio::{Enforcement, Share};
use crate::{bulkhead, retry, shedding};

/// What shares one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All requests to a cluster.
    #[default]
    Cluster,
    /// All requests of a route to a cluster.
    Route,
}

/// A valid policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in the configuration: part of the state's key and a label of every metric.
    pub name: String,
    /// What shares one state.
    pub scope: Scope,
    /// Time limits, set on Envoy's router.
    pub time: Limits,
    /// Retries; `None` leaves them to the route.
    pub retries: Option<retry::Settings>,
    /// What counts as a failure.
    pub outcomes: Rules,
    /// The circuit breaker.
    pub breaker: Settings,
    /// Which requests wait for something to happen: their silence says nothing.
    pub long_polls: LongPolls,
    /// What asks an open upstream whether it is well again.
    pub probe: Option<HealthCheck>,
    /// How many requests there may be at the same time.
    pub bulkhead: Option<bulkhead::Settings>,
    /// What is refused when there is too much to do.
    pub shedding: Option<shedding::Settings>,
    /// Which requests neither of both refuses or counts.
    pub exempt: Exempt,
    /// What is answered instead of a refusal or a failure.
    pub fallback: Ladder,
    /// Whether answers of our own say so in `x-seawall-*` headers.
    pub answer_headers: bool,
}

impl Policy {
    /// Whether it has a say in anything. Where all of a policy is off, its requests pass as if it were not there.
    pub fn governs(&self) -> bool {
        self.breaker.mode != Mode::Off
            || self.retries.is_some()
            || self.counts_slots()
            || !self.fallback.rungs.is_empty()
            || self.time != Limits::default()
    }

    /// Whether it counts requests in flight.
    pub const fn counts_slots(&self) -> bool {
        self.bulkhead.is_some() || self.shedding.is_some()
    }

    /// Whether what an upstream reports of its load counts.
    pub fn reads_reports(&self) -> bool {
        let shedding = self.shedding.as_ref();
        shedding.is_some_and(|shedding| shedding.load_over > Share::NONE)
    }

    /// Whether a draw decides who is refused for want of a place: only a share of the requests is.
    pub fn draws_for_slots(&self) -> bool {
        let modes = [
            self.bulkhead.as_ref().map(|bulkhead| bulkhead.mode),
            self.shedding.as_ref().map(|shedding| shedding.mode),
        ];
        let partial = |mode: &Enforcement| matches!(mode, Enforcement::Enforce(share) if *share != Share::ALL);
        modes.iter().flatten().any(partial)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            name: String::new(),
            scope: Scope::default(),
            time: Limits::default(),
            retries: None,
            outcomes: Rules::default(),
            breaker: Settings::default(),
            long_polls: LongPolls::default(),
            probe: None,
            bulkhead: None,
            shedding: None,
            exempt: Exempt::default(),
            fallback: Ladder::default(),
            answer_headers: true,
        }
    }
}
