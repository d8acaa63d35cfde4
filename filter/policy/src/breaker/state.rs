//! What a breaker holds, is asked and says, as data. It changes only in the transitions of the module above.

use super::{Holders, HostId, Hosts, Transition};
use crate::outcome::Outcome;
use crate::time::{Span, Timestamp};
use crate::window::{Counts, Geometry, Window};

/// When a step is taken, and one random draw for it, uniform over all of `u32`.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The clock's reading.
    pub now: Timestamp,
    /// For the jitter of an open time.
    pub draw: u32,
}

/// One breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// What its windows look like.
    pub geometry: Geometry,
    /// Counts the transitions.
    pub generation: u64,
    /// Trips since it was last closed.
    pub trips: u32,
    /// The time of the last step that was kept.
    pub last: Timestamp,
    /// Where it stands.
    pub state: State,
}

/// Where a breaker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Requests pass and are counted.
    Closed(Closed),
    /// Nothing passes.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// Probes pass.
    HalfOpen(Probing),
}

/// What a closed breaker keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The verdicts.
    pub window: Window,
    /// Failures in a row.
    pub consecutive: u32,
    /// When the last of them was.
    pub last_failure: Timestamp,
    /// Since when the admitted share grows.
    pub ramp_from: Option<Timestamp>,
    /// Since when a trip is withheld.
    pub grace_from: Option<Timestamp>,
    /// Verdicts so far, wrapping: the tick of host tracking in a count window.
    pub verdicts: u32,
    /// The hosts.
    pub hosts: Hosts,
}

impl Closed {
    pub(super) fn new(geometry: Geometry, ramp_from: Option<Timestamp>) -> Self {
        Self {
            window: Window::new(geometry),
            consecutive: 0,
            last_failure: Timestamp::ZERO,
            ramp_from,
            grace_from: None,
            verdicts: 0,
            hosts: Hosts::default(),
        }
    }
}

/// What a half-open breaker keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probing {
    /// Who holds permits.
    pub holders: Holders,
    /// The verdicts so far.
    pub verdicts: Counts,
    /// The first permit held since it began, or the last verdict.
    pub wait_from: Option<Timestamp>,
}

/// Permission for one request, to be settled once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The generation it belongs to.
    pub generation: u64,
    /// The VM instance that holds it, where it is one of the counted ones.
    pub probe: Option<u64>,
}

/// What a VM believes to hold of a half-open generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Its instance number.
    pub instance: u64,
    /// The generation of its permits.
    pub generation: u64,
    /// How many it took and has not settled.
    pub permits: u32,
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The breaker is open.
    Open,
    /// All permits are taken.
    HalfOpen,
    /// Outside the share that a breaker just closed admits.
    Ramp,
}

/// What the breaker says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may go.
    Admitted(Permit),
    /// It may not.
    Refused {
        /// Why.
        refusal: Refusal,
        /// When it may be worth another try.
        retry_after: Span,
    },
}

/// What became of an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The judgement.
    pub outcome: Outcome,
    /// The host that answered, 0 if unknown.
    pub host: HostId,
    /// What the answer said about when to come again.
    pub retry_after: Option<Span>,
}

/// The transitions of one step, in order. At most three: an open time ends, probing ends without a verdict, and the
/// step itself.
pub type Transitions = Vec<Transition>;
