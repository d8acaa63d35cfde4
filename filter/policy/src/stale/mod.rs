//! Stale answers: the last good answer to the same request, kept for the time when the upstream gives none.
//!
//! The danger is not an old answer but somebody else's. So each rule here keeps less than a cache may: RFC 9111 says what
//! a shared cache must not keep, this module also leaves out what is only in doubt. An answer that does not say that it is
//! for all is kept only where its request carried no header that may tell one client from another. A wrong "no" costs one
//! answer that could have been given; a wrong "yes" gives one user's answer to another.
//!
//! ```text
//! rules::request   may its answer be kept, may it be given a kept one, under which key
//! rules::answer    may it be kept, for whom, for how long, which headers of it
//! rules::names     what the names of a request's headers say
//! ignored          the headers of which the policy says that they shape no answer
//! key              the key as bytes: parts with their lengths, compared in full
//! slot             one kept answer
//! place            in which set an answer may stand: bounds for a host and for a route
//! set              which of a set's slots holds what, and which one goes next
//! shelf            those two in shared data: keep and find
//! heat             how often a key was asked for of late
//! recent           what this VM looked at within the last second, so that a hot URL costs nothing
//! ```
//!
//! **Time.** Everything is dated by the process's monotonic clock, `Age` too: shared data lives no longer than the
//! process, so no record outlives the clock that dated it, and a wall clock that is set back makes no answer younger.
//! An answer is dated by when it was asked for, so that the time on its way counts (RFC 9111, 4.2.3).
//!
//! **Bounds.** [`SLOTS`] slots of [`SLOT_BYTES_MAX`], whatever the number of URLs.

mod directives;
mod frequency;
mod ignored;
mod key;
mod placement;
pub mod rules;
mod sampling;
pub(crate) mod set;
mod size;
mod storage;
pub(crate) mod stored_response;

pub use ignored::{IGNORED_MAX, Ignored, Unlistable};
pub use key::Scope;
pub use placement::{HOST_SLOTS, ROUTE_SLOTS, SETS};
pub use rules::lookup::RequestDirectives;
pub use rules::response::{CacheableResponse, NotStored};
pub use sampling::Sampling;
pub use size::SLOT_BYTES_MAX;
pub use storage::{Outcome, find, forget, keep};
pub use stored_response::StoredResponse;

use crate::time::Span;

/// How many answers a process keeps at most.
pub const SLOTS: usize = SETS * set::WAYS;

/// What a policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// An answer this old, counted from when the origin made it, is no longer given.
    pub max_age: Span,
    /// Whether answers to requests with credentials are kept: each for the same credentials alone.
    pub authorized: bool,
    /// Whether answers to requests with cookies are kept: each for the same cookies alone.
    pub cookies: bool,
    /// Headers that shape no answer, though they may differ from client to client.
    pub ignored: Ignored,
}

/// Headers as they came: every line of them, in their order.
pub trait Headers {
    /// Shows each line: its name and its value, any bytes.
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8]));
}

impl Headers for &[(&[u8], &[u8])] {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in *self {
            see(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
