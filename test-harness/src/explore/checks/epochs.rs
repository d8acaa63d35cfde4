//! What workers remember of a record holds no longer than until they are told.

use seawall_policy::breaker::Phase;
use seawall_policy::shared::record::Record;

use super::{Checks, View};
use crate::explore::environment::Event;
use crate::explore::scenario::{Forced, Step};

impl Checks {
    /// A request went. While the breaker is open none may, but between the swap that opened it and the increment of its epoch.
    pub(super) fn heeded(&self, view: &View<'_>) -> Result<(), String> {
        // Where more is asked than the breaker, it may open while a request that it let go is on its way to the rest.
        let alone = self.policy.retries.is_none() && !self.policy.counts_slots();
        if !alone || self.faulty || view.telling {
            return Ok(());
        }
        match view.record() {
            Some(record) if record.breaker.phase() == Phase::Open => {
                Err("a request went though the breaker is open and all are told".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// At the end, where each worker asked once more after a tick: the breaker is open, and each is refused.
    pub(super) fn heeded_at_end(
        &self,
        record: &Record,
        view: &View<'_>,
        events: &[Vec<&Event>],
    ) -> Result<(), String> {
        let asked = self.scenario.after.last() == Some(&Forced::Each(Step::Ask));
        if !asked || record.breaker.phase() != Phase::Open {
            return Ok(());
        }
        for (events, (_, dead)) in events.iter().zip(&view.workers) {
            if !dead && !matches!(events.last(), Some(Event::Refused(_))) {
                return Err(
                    "a worker does not know that the breaker is open, after a tick".to_owned(),
                );
            }
        }
        Ok(())
    }
}
