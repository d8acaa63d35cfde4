//! Good verdicts that a worker collects and enters into the window together.
//!
//! A closed breaker that many requests a second pass need not be told of each good one by itself. A lot is a fiftieth of the window at most,
//! shared among all VMs that may hold one: so what is not entered yet moves no rate by more than a fiftieth of itself. Failures, slow calls and
//! whatever may be judged again later are entered at once, each together with what its worker has collected before it.

use super::{Breaker, Moment, Settings, Settled, State};
use crate::breaker::window::Geometry;
use crate::time::{Span, Timestamp};

/// All lots that are not entered yet hold one in so many verdicts of the window, at most.
const SHARE: u32 = 50;
/// No lot holds more.
pub const LOT_MAX: u32 = 64;

/// Good verdicts of one generation that are not in the window yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lot {
    /// The breaker's generation in which their requests were admitted.
    pub generation: u64,
    /// How many.
    pub count: u32,
}

/// How many verdicts a lot may hold where the window has so many, and so many VMs collect; 1 where there is no lot.
pub fn lot_max(calls: u32, vms: u32) -> u32 {
    let share = SHARE.saturating_mul(vms.max(1));
    calls.checked_div(share).unwrap_or(0).clamp(1, LOT_MAX)
}

impl Breaker {
    /// Enters a lot. One of another generation is void. Failures came after it: it ends no row of them.
    #[inline(never)]
    pub fn settle_lot(&mut self, settings: &Settings, moment: Moment, lot: Lot) -> Settled {
        let mut settled = self.begin(settings, moment);
        let (now, geometry) = (self.last, self.geometry);
        let State::Closed(closed) = &mut self.state else {
            return settled;
        };
        if lot.generation != self.generation || lot.count == 0 {
            return settled;
        }
        settled.changed |= closed.window.add_good(lot.count, now);
        closed.verdicts = closed.verdicts.wrapping_add(lot.count);
        // They were answered, and all are admitted.
        self.trips = 0;
        let cause = closed.due(settings, geometry, now);
        let made = cause.map(|cause| self.take(settings, cause, moment.draw, None));
        settled.made.extend(made);
        settled
    }

    /// How many verdicts the window of a closed breaker holds now, for the size of a lot; 0 where there are no lots: in a window of calls, and
    /// in one whose slices are shorter than a lot may wait.
    pub fn calls_for_lots(&self, wait: Span, now: Timestamp) -> u32 {
        match (&self.state, self.geometry) {
            (State::Closed(closed), Geometry::Time { slice }) if slice >= wait => {
                closed.window.calls_at(now.max(self.last))
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_is_a_fiftieth_of_the_window_over_all_vms() {
        for (calls, vms, expected) in [
            (0, 1, 1),
            (99, 1, 1),
            (100, 1, 2),
            (100, 0, 2),
            (1_000, 1, 20),
            (1_000, 8, 2),
            (100_000, 8, LOT_MAX),
            (u32::MAX, 1, LOT_MAX),
            (u32::MAX, u32::MAX, 1),
        ] {
            assert_eq!(lot_max(calls, vms), expected, "{calls} calls, {vms} VMs");
            if expected > 1 {
                let all = u64::from(expected) * u64::from(vms.max(1));
                assert!(all * 50 <= u64::from(calls));
            }
        }
    }
}
