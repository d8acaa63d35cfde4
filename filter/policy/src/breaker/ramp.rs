//! The ramp: after closing, the admitted share grows from a tenth to all.
//!
//! Where probes closed the breaker the ramp begins at once. Own probes say that the upstream's health check answers, and nothing of its traffic: after
//! them the breaker is *on trial*. The ramp begins with the first request that is answered, or once `half_open.wait` has passed without any
//! verdict: where nothing can be said, traffic passes. Until then a tenth is admitted. A breaker on trial keeps its trips in a
//! row, so that it stays open for longer if it opens again; nothing else is closed and has any.

use super::{Breaker, Settings, State};
use crate::ratio::Share;
use crate::time::{Span, Timestamp};

/// The share admitted at the beginning.
const FLOOR: Share = Share::percent(10);

impl Breaker {
    /// The share that it admits now, where it is closed.
    pub(super) fn ramp(&self, settings: &Settings, now: Timestamp) -> Share {
        let State::Closed(closed) = &self.state else {
            return Share::NONE;
        };
        let begins = match self.trips {
            0 => closed.ramp_from,
            _ => closed
                .ramp_from
                .map(|from| from.after(settings.half_open.wait)),
        };
        grown(begins, settings.ramp, now)
    }

    /// Whether own probes closed it, and no request has been answered since; not once all are admitted again.
    pub(super) fn is_on_trial(&self, settings: &Settings) -> bool {
        self.trips > 0
            && matches!(self.state, State::Closed(_))
            && self.ramp(settings, self.last) != Share::ALL
    }

    /// A verdict came while it was on trial: an answer begins the ramp, anything else the trial anew.
    pub(super) fn tried(&mut self, answered: bool) {
        if let State::Closed(closed) = &mut self.state {
            closed.ramp_from = Some(self.last);
            if answered {
                self.trips = 0;
            }
        }
    }
}

/// The share at `now` of a ramp that began at `from`, or begins then.
fn grown(from: Option<Timestamp>, ramp: Span, now: Timestamp) -> Share {
    let Some(from) = from else {
        return Share::ALL;
    };
    let elapsed = now.since(from);
    if elapsed >= ramp {
        return Share::ALL;
    }
    let floor = u64::from(FLOOR.as_basis_points());
    let growth = Span::nanos(10_000_u64.saturating_sub(floor))
        .share(elapsed.as_nanos(), ramp.as_nanos())
        .as_nanos();
    Share::basis_points(u16::try_from(floor.saturating_add(growth)).unwrap_or(u16::MAX))
}
