//! By which kind of listener a request came.

use crate::environment::facts::{Facts, StreamFact};

/// The direction of a request's listener, as far as anybody asked: that costs a call of the host, and seldom decides anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Nobody asked.
    #[default]
    Unasked,
    /// By an inbound listener, before the application itself.
    Inbound,
    /// By any other.
    Other,
}

impl Direction {
    /// Asks the host.
    pub(crate) fn ask(facts: &impl Facts<StreamFact>) -> Self {
        const INBOUND: u64 = 1;
        match facts.number(StreamFact::Direction) {
            Some(INBOUND) => Self::Inbound,
            Some(_) | None => Self::Other,
        }
    }

    /// Whether it is known to be inbound.
    pub(crate) fn is_inbound(self) -> bool {
        self == Self::Inbound
    }

    /// Whether nobody asked.
    pub(crate) fn is_unasked(self) -> bool {
        self == Self::Unasked
    }
}
