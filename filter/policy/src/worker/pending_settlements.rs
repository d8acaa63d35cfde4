//! Settlements that could not be stored, and are tried again at each tick.

use crate::admission::{self, Settlement};
use crate::breaker::Permit;
use crate::environment::Environment;
use crate::shared::upstream::StepReport;

use super::step_reports::note;
use super::{Worker, upstream_of};
use crate::telemetry::InternalEvent;

/// The most settlements that may wait for a better moment.
pub(super) const PENDING_MAX: usize = 1_024;

/// A settlement that could not be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingSettlement {
    pub(super) upstream: usize,
    pub(super) permit: Permit,
    pub(super) settlement: Settlement,
}

impl<E: Environment> Worker<E> {
    /// Tries again what could not be stored.
    pub(super) fn retry_pending_settlements(&mut self) {
        for _ in 0..self.pending_settlements.len() {
            if let Some(pending) = self
                .pending_settlements
                .pop_front()
                .filter(|pending| !self.try_settlement(*pending).is_committed())
            {
                self.queue_settlement(pending);
            }
        }
        self.enter_unstored();
        self.return_slots();
    }

    /// Tries to store a settlement; one that does not stand has to be tried again.
    pub(super) fn try_settlement(&mut self, pending: PendingSettlement) -> StepReport {
        let (_, moment) = self.moment();
        let vms = self.collecting_vms();
        let Some(entry) = self.upstreams.entry(pending.upstream) else {
            return StepReport::default();
        };
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return StepReport::default();
        };
        let place = upstream_of(
            policy,
            entry.key.as_ref(),
            self.shapes.standing(entry.policy),
            self.liveness.view.dead(),
        );
        let lot = entry.cache.lot();
        let settled = (pending.permit, pending.settlement);
        let notes = admission::settle_after(&self.env, &place, lot, settled, moment);
        entry.cache.settled(&notes, vms);
        note(&self.env, entry, &mut self.own, &notes);
        notes
    }

    /// Keeps a settlement for the next tick. Beyond the bound it is dropped; a permit then comes back at a tick, because this
    /// VM takes its next instance number.
    pub(super) fn queue_settlement(&mut self, pending: PendingSettlement) {
        if self.pending_settlements.len() < PENDING_MAX {
            self.pending_settlements.push_back(pending);
            return;
        }
        self.own.count(InternalEvent::SettlementDropped);
        let entry = self.upstreams.entry(pending.upstream);
        if let Some(entry) = entry.filter(|_| pending.permit.probe.is_some()) {
            entry.holding = entry.holding.anew();
        }
    }
}
