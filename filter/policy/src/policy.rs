//! One policy: everything that is asked of one kind of upstream.

use crate::breaker::Settings;
use crate::deadline::Limits;
use crate::fallback::Ladder;
use crate::outcome::Rules;
use crate::retry;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// What is answered instead of a refusal or a failure.
    pub fallback: Ladder,
}
