//! The bulkhead: so many requests at an upstream at the same time, over all workers, and no more.
//!
//! It may stand for the whole upstream, or for each value of a header, so that one tenant that floods takes none of
//! another's slots. The slots themselves are counted in [`crate::concurrency`].

use crate::ratio::{Enforcement, Share};

/// Until when a request holds its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// Until the headers of its answer: for streams that stay open.
    Headers,
    /// Until its end.
    #[default]
    End,
}

/// What a bulkhead is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is done with a request that finds no slot.
    pub mode: Enforcement,
    /// How many requests at the same time; at least 1.
    pub max_concurrent: u32,
    /// For each value of this header, where there is one.
    pub per: Option<Per>,
    /// Until when a slot is held.
    pub until: Until,
    /// Which share of the slots requests may hold whose body is not complete.
    pub unfinished: Share,
}

impl Settings {
    /// The most slots of a bulkhead.
    pub const PLACES_MAX: u32 = 1_000_000;
    /// So much unfinished requests may hold where the configuration is silent.
    pub const UNFINISHED: Share = Share::percent(50);
}

/// What parts a bulkhead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Per {
    /// The header's name, in lower case; all requests without it share one part.
    pub header: String,
    /// How many values have slots of their own at the same time; those beyond share one part.
    pub max_keys: u32,
}
