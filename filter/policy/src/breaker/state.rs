//! What a breaker holds, is asked and says, as data. It changes only in the transitions of the module above.

use super::closed::{Closed, Entry};
use super::{Probing, Transition};
use crate::breaker::window::Geometry;
use crate::outcome::Outcome;
use crate::time::{Span, Timestamp};

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
    /// Trips since it was last closed, and since a request was answered where own probes closed it.
    pub trips: u32,
    /// The time of the last step that was kept.
    pub last: Timestamp,
    /// Where it stands.
    pub state: State,
}

/// Where a breaker stands. What is large is in a box: a breaker is handed on often, and looked into rarely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Requests pass and are counted.
    Closed(Box<Closed>),
    /// Nothing passes.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// Probes pass.
    HalfOpen(Box<Probing>),
}

/// Permission for one request, to be settled once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The generation it belongs to.
    pub generation: u64,
    /// The VM instance that holds it, where it is one of the counted ones.
    pub probe: Option<u64>,
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

/// Where a verdict was counted. A request that fails later hands it back, so that it is counted once, as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub(super) generation: u64,
    pub(super) at: CountedAt,
}

impl Counted {
    /// Whether the upstream was silent when it was counted, so that the end of its silence is worth telling.
    pub const fn is_silent(&self) -> bool {
        match &self.at {
            CountedAt::Closed(entry) => entry.is_silent(),
            CountedAt::HalfOpen(_) => false,
        }
    }

    /// The same once its silence is over.
    #[must_use]
    pub const fn answered(self) -> Self {
        match self.at {
            CountedAt::Closed(entry) => Self {
                at: CountedAt::Closed(entry.answered()),
                ..self
            },
            CountedAt::HalfOpen(_) => self,
        }
    }
}

/// Where that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedAt {
    /// In the window.
    Closed(Entry),
    /// Among the verdicts of half-open, as this.
    HalfOpen(Outcome),
}

/// What came of a settlement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The transitions that it made.
    pub made: Transitions,
    /// Where its verdict was counted, if it was one that counts.
    pub counted: Option<Counted>,
    /// Whether it changed the breaker, beyond the transitions.
    pub changed: bool,
}

/// The transitions of one step, in order. At most two: an open time ends, and the step itself.
pub type Transitions = Vec<Transition>;
