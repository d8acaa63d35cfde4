//! What of an upstream's record decides about requests. While it stands unchanged nobody needs to read the record again.
//!
//! A step that changes it, or makes a retry payable or unpayable, says so ([`crate::shared::upstream::StepReport::moved`]), and its worker then moves the upstream's epoch: a counter
//! of the process that costs little to read. A worker remembers what it saw together with the epoch that it read **before** it, and
//! reads again once the epoch is another. So what it acts on is at most as old as the time from a swap to the increment that follows
//! it; or one tick, where the writer died in between, or a counter was reset.

use crate::breaker::State;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::record::Record;
use crate::time::Timestamp;

/// What of a record decides about requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamView {
    /// The breaker's generation.
    pub generation: u64,
    /// Whether each request passes: closed, without a ramp, and no operator asks for anything.
    pub passes: bool,
    /// Whether failures are about.
    pub failing: bool,
    /// Whether the last verdict was a failure, so that a success ends a row of them.
    pub in_a_row: bool,
}

impl UpstreamView {
    /// What this record decides now.
    #[inline(never)]
    pub fn of(record: &Record, upstream: &GovernedUpstream<'_>, now: Timestamp) -> Self {
        let breaker = &record.breaker;
        let generation = breaker.generation;
        let State::Closed(closed) = &breaker.state else {
            return Self {
                generation,
                ..Self::default()
            };
        };
        let passes = breaker.admits_all_at(&upstream.policy.breaker, now);
        Self {
            generation,
            passes: passes && record.forced.is_none(),
            failing: breaker.is_failing(),
            in_a_row: closed.consecutive > 0,
        }
    }
}
