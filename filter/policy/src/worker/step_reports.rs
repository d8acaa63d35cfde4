//! What was seen on the way of a step goes to telemetry.

use crate::breaker::Phase;
use crate::environment::Metrics;
use crate::shared::state::Undecided;
use crate::shared::upstream::StepReport;

use super::upstreams::Upstream;
use crate::telemetry::{Event, InternalEvent, OwnSeries};

/// What was seen on the way goes to telemetry.
pub(super) fn note(
    env: &impl Metrics,
    entry: &mut Upstream,
    own: &mut OwnSeries,
    notes: &StepReport,
) {
    if notes.moved {
        entry.cache.moved(env, &entry.series);
    }
    if let Some(phase) = notes.phase {
        entry.phase = phase;
        entry.failing = notes.failing;
        entry.series.state(env, phase);
    }
    let closed = notes.phase.is_none_or(|phase| phase == Phase::Closed);
    entry.gated = notes.gated.unwrap_or(entry.gated || !closed);
    for transition in &notes.transitions {
        entry.series.transition(env, transition);
    }
    if notes.starved {
        entry.series.count(Event::HalfOpenStarved);
    }
    note_undecided(own, notes.undecided.as_ref());
    let concerns = [
        (notes.lost_races, InternalEvent::LostRaces),
        (notes.repaired, InternalEvent::RecordReplaced),
        (notes.expired, InternalEvent::Expired),
    ];
    for (_, concern) in concerns.into_iter().filter(|(seen, _)| *seen) {
        own.count(concern);
    }
}

/// Why something could not be decided.
pub(super) fn note_undecided(own: &mut OwnSeries, undecided: Option<&Undecided>) {
    match undecided {
        Some(Undecided::Host(_)) => own.count(InternalEvent::UndecidedHost),
        Some(Undecided::Later) => own.count(InternalEvent::UndecidedLater),
        None => {}
    }
}
