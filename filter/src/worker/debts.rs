//! Settlements that could not be stored, and are tried again at each tick.

use seawall_policy::admission::{self, Notes, Settlement};
use seawall_policy::breaker::Permit;

use super::notes::note;
use super::permits::fresh;
use super::{Worker, place};
use crate::host::shared::Shared;
use crate::telemetry::Concern;

/// The most settlements that may wait for a better moment.
pub(super) const DEBTS_MAX: usize = 1_024;

/// A settlement that could not be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debt {
    pub(super) upstream: usize,
    pub(super) permit: Permit,
    pub(super) settlement: Settlement,
}

impl Worker {
    /// Tries again what could not be stored.
    pub(super) fn pay_all(&mut self) {
        for _ in 0..self.debts.len() {
            if let Some(debt) = self
                .debts
                .pop_front()
                .filter(|debt| !self.pay(*debt).stands())
            {
                self.owe(debt);
            }
        }
        self.enter_owed();
        self.return_owed();
    }

    /// Tries to store a settlement; one that does not stand has to be tried again.
    pub(super) fn pay(&mut self, debt: Debt) -> Notes {
        let (_, moment) = self.moment();
        let Some(entry) = self.upstreams.entry(debt.upstream) else {
            return Notes::default();
        };
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return Notes::default();
        };
        let place = place(
            policy,
            entry.key.as_deref(),
            self.shapes.standing(entry.policy),
        );
        let notes = admission::settle(&Shared, &place, debt.permit, debt.settlement, moment);
        note(entry, &mut self.own, &notes);
        notes
    }

    /// Keeps a settlement for the next tick. Beyond the bound it is dropped; a permit then comes back as that of a dead
    /// VM does, because this one takes another instance number.
    pub(super) fn owe(&mut self, debt: Debt) {
        if self.debts.len() < DEBTS_MAX {
            self.debts.push_back(debt);
            return;
        }
        self.own.count(Concern::DebtDropped);
        let spare = self.draws.next_u64();
        let entry = self.upstreams.entry(debt.upstream);
        if let Some(entry) = entry.filter(|_| debt.permit.probe.is_some()) {
            entry.holding = fresh(spare);
        }
    }
}
