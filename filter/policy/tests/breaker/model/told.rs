//! What the model is told, and what it says.

use seawall_policy::breaker::Phase;
use seawall_policy::outcome::Outcome;

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    FailureRate,
    SlowRate,
    Consecutive,
    TimeOver,
    OwnProbe,
    OwnProbes,
    ProbesGood,
    ProbesBad,
}

/// A change of state: from, to, why, when, the open time that follows, and the trips in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) from: Phase,
    pub(crate) to: Phase,
    pub(crate) why: Why,
    pub(crate) at: u64,
    pub(crate) open_for: Option<u64>,
    pub(crate) trips: u32,
}

/// What a request is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Admitted { generation: u64, probe: bool },
    Open { retry_after: u64 },
    NoPermit,
    Ramp,
}

/// A request that ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) id: u64,
    pub(crate) generation: u64,
    pub(crate) probe: Option<u64>,
    pub(crate) peer: u32,
    pub(crate) outcome: Outcome,
    pub(crate) host: u32,
    pub(crate) retry_after: Option<u64>,
}
