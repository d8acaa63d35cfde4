//! The requests of a trace, one after the other: a run looks one ahead, and holds those that are on their way.

use std::rc::Rc;

use super::START;
use crate::trace::Request;

/// Requests in the order of their time.
pub(super) struct Arrivals<'a> {
    rest: &'a mut dyn Iterator<Item = Rc<Request>>,
    ahead: Option<Rc<Request>>,
    due: u64,
    /// How many came.
    pub(super) count: usize,
}

impl<'a> Arrivals<'a> {
    pub(super) fn of(rest: &'a mut dyn Iterator<Item = Rc<Request>>) -> Self {
        let mut arrivals = Self {
            rest,
            ahead: None,
            due: 0,
            count: 0,
        };
        arrivals.look();
        arrivals
    }

    /// When the next one comes, in nanoseconds; none if no more do.
    pub(super) fn due(&self) -> Option<u64> {
        self.ahead.is_some().then_some(self.due)
    }

    /// Takes the next one, with its number.
    pub(super) fn take(&mut self) -> Option<(usize, Rc<Request>)> {
        let next = self.ahead.take()?;
        let number = self.count;
        self.count += 1;
        self.look();
        Some((number, next))
    }

    fn look(&mut self) {
        self.ahead = self.rest.next();
        if let Some(ahead) = &self.ahead {
            // Time does not run backwards, whatever a source says.
            self.due = self.due.max(START + ahead.at_us * 1_000);
        }
    }
}
