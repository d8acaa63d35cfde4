//! Why no slot was there for a request, and what is noted of a step on slots.

use crate::admission::Reason;
use crate::concurrency::SlotReport;
use crate::policy::Policy;
use crate::ratio::{self, Enforcement};
use crate::shedding::{Settings, spread};
use crate::telemetry::{InternalEvent, OwnSeries};
use crate::time::Span;

/// Why a request has no slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitReached {
    /// The reason.
    pub(crate) reason: Reason,
    /// Whether it is refused, and not only marked.
    pub(crate) refused: bool,
    /// When to come again.
    pub(crate) retry_after: Span,
}

/// What is done with a request that found no slot for this reason, by the one of both that counts there.
pub(super) fn limit_reached(
    policy: &Policy,
    reason: Reason,
    by: Reason,
    draw: u32,
) -> LimitReached {
    let bulkhead = policy.bulkhead.as_ref().map(|bulkhead| bulkhead.mode);
    let shedding = policy.shedding.as_ref();
    let mode = match by {
        Reason::BulkheadFull => bulkhead,
        _ => shedding.map(|shedding| shedding.mode),
    };
    let most = shedding.map_or(Settings::RETRY_AFTER, |shedding| shedding.retry_after);
    LimitReached {
        reason,
        refused: mode.unwrap_or(Enforcement::Shadow).refuses(draw),
        retry_after: spread(most, ratio::derive(draw, ratio::RETRY_AFTER)),
    }
}

pub(super) fn note(own: &mut OwnSeries, notes: &SlotReport) {
    super::step_reports::note_undecided(own, notes.undecided.as_ref());
    let concerns = [
        (notes.lost_races, InternalEvent::LostRaces),
        (notes.healed, InternalEvent::RecordReplaced),
        (notes.expired, InternalEvent::Expired),
        (notes.crowded, InternalEvent::Crowded),
    ];
    for (_, concern) in concerns.into_iter().filter(|(seen, _)| *seen) {
        own.count(concern);
    }
}
