//! Times in a record that lie too far ahead. All are readings of a clock, but for the end of an open time: one that lies
//! too far ahead is damage, or was written by somebody who can write shared data. It would keep a breaker open, a ramp at
//! its beginning or a window full for ever.

use super::Record;
use crate::breaker::State;
use crate::breaker::window::{Geometry, Window};
use crate::time::Timestamp;

impl Record {
    /// Whether any time in it is later than `latest`.
    pub fn is_ahead_of(&self, latest: Timestamp) -> bool {
        let breaker = &self.breaker;
        let ahead = |at: Timestamp| at > latest;
        let in_state = match &breaker.state {
            State::Open { until } => ahead(*until),
            State::HalfOpen(probing) => probing.wait_from.is_some_and(ahead),
            State::Closed(closed) => {
                let newest = match &closed.window {
                    Window::Time(window) => window.newest > breaker.geometry.slice_at(latest),
                    Window::Count(_) => false,
                };
                newest
                    || ahead(closed.last_failure)
                    || closed.ramp_from.is_some_and(ahead)
                    || closed.grace_from.is_some_and(ahead)
            }
        };
        let in_budget = self.budget.as_ref().is_some_and(|budget| {
            let slice = budget.slice;
            let newest = Geometry::Time { slice }.slice_at(latest);
            ahead(budget.floor_at) || budget.newest > newest
        });
        ahead(self.configured_at) || ahead(breaker.last) || in_state || in_budget
    }
}
