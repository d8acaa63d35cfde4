//! What was seen on the way of a step goes to telemetry.

use seawall_policy::admission::Notes;
use seawall_policy::breaker::Phase;
use seawall_policy::store::Undecided;

use crate::telemetry::{Concern, Event, OwnSeries};
use crate::upstreams::Upstream;

/// What was seen on the way goes to telemetry.
pub(super) fn note(entry: &mut Upstream, own: &mut OwnSeries, notes: &Notes) {
    if let Some(phase) = notes.phase {
        entry.phase = phase;
        entry.failing = notes.failing;
        entry.series.state(phase);
    }
    let closed = notes.phase.is_none_or(|phase| phase == Phase::Closed);
    entry.gated = notes.gated.unwrap_or(entry.gated || !closed);
    for transition in &notes.transitions {
        entry.series.transition(transition);
    }
    if notes.starved {
        entry.series.count(Event::HalfOpenStarved);
    }
    note_undecided(own, notes.undecided.as_ref());
    let concerns = [
        (notes.lost_races, Concern::LostRaces),
        (notes.healed, Concern::RecordReplaced),
        (notes.expired, Concern::Expired),
    ];
    for (_, concern) in concerns.into_iter().filter(|(seen, _)| *seen) {
        own.count(concern);
    }
}

/// Why something could not be decided.
pub(super) fn note_undecided(own: &mut OwnSeries, undecided: Option<&Undecided>) {
    match undecided {
        Some(Undecided::Host(_)) => own.count(Concern::UndecidedHost),
        Some(Undecided::Later) => own.count(Concern::UndecidedLater),
        None => {}
    }
}
