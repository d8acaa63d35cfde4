//! The bulkhead: so many requests at an upstream at the same time, over all workers, and no more.
//!
//! It may stand for the whole upstream, or for each value of a header, so that one tenant that floods takes none of
//! another's places. The places themselves are counted in [`crate::places`].

use crate::ratio::{Enforcement, Share};

/// Until when a request holds its place.
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
    /// What is done with a request that finds no place.
    pub mode: Enforcement,
    /// How many requests at the same time; at least 1.
    pub max_concurrent: u32,
    /// For each value of this header, where there is one.
    pub per: Option<Per>,
    /// Until when a place is held.
    pub until: Until,
    /// Which share of the places requests may hold whose body is not complete.
    pub unfinished: Share,
}

impl Settings {
    /// The most places of a bulkhead.
    pub const PLACES_MAX: u32 = 1_000_000;
    /// So much unfinished requests may hold where the configuration is silent.
    pub const UNFINISHED: Share = Share::percent(50);
}

/// What parts a bulkhead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Per {
    /// The header's name, in lower case; all requests without it share one part.
    pub header: String,
    /// How many values have places of their own at the same time; those beyond share one part.
    pub max_keys: u32,
}
