//! When a worker gives back slots of those that all share. What it holds in advance is `crate::concurrency::local`.

use crate::concurrency::local::Terms;
use crate::concurrency::{Bound, SlotId, SlotReport};
use crate::environment::Environment;
use crate::limiter::Sample;
use crate::policy::Policy;
use crate::shared::members::view::MembersView;
use crate::time::Timestamp;

use super::Worker;
use super::bounds::bounds;
use super::limit_reached::note;
use super::local_leases::adaptive;
use super::upstreams::Upstream;

impl<E: Environment> Worker<E> {
    /// A request gives back a slot of those that all share; `false` where that has to be tried again.
    pub(super) fn return_shared(
        &mut self,
        upstream: usize,
        place: SlotId,
        sample: Option<Sample>,
    ) -> bool {
        let now = self.env.now();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return true;
        };
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return true;
        };
        let keeps = (&self.liveness.view, !self.is_over);
        let terms = terms(&self.env, entry, policy, keeps, now);
        let Some(holdings) = entry.holdings.as_mut() else {
            return true;
        };
        let slots = &mut holdings.shared;
        let told = slots.give_back(&self.env, &holdings.key, (place, sample), &terms);
        told.is_none_or(|notes| self.told(upstream, &notes))
    }

    /// At the tick, or as the root goes: gives back idle slots that were not needed, or all of them, and tells what was learned.
    pub(super) fn settle_idle(&mut self, upstream: usize) {
        let now = self.env.now();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let holdings = entry.holdings.as_mut();
        if !holdings.is_some_and(|holdings| holdings.shared.begin_tick()) {
            return;
        }
        let Some(policy) = self.routing.policies.get(entry.policy) else {
            return;
        };
        let keeps = (&self.liveness.view, !self.is_over);
        let terms = terms(&self.env, entry, policy, keeps, now);
        if let Some(holdings) = entry.holdings.as_mut() {
            let notes = holdings.shared.tick(&self.env, &holdings.key, &terms);
            // What cannot be told now is told at the next tick.
            self.told(upstream, &notes);
        }
    }

    /// The record was told; `false` where it could not be.
    #[inline(never)]
    fn told(&mut self, upstream: usize, notes: &SlotReport) -> bool {
        note(&mut self.own, notes);
        if notes.moved
            && let Some(entry) = self.upstreams.entry(upstream)
        {
            entry.cache.moved(&self.env, &entry.series);
        }
        notes.expired || notes.stands()
    }
}

#[inline(never)]
fn terms(
    env: &impl Environment,
    entry: &mut Upstream,
    policy: &Policy,
    (view, keeps): (&MembersView, bool),
    now: Timestamp,
) -> Terms {
    let bound = bounds(policy).shared;
    // Without ticks nothing would ever give back what is idle.
    let vms = vms_ahead(view, &bound, now).filter(|_| keeps);
    Terms {
        bound,
        settings: adaptive(policy),
        epoch: vms.and_then(|_| entry.cache.epoch(env, &entry.series)),
        vms: vms.unwrap_or(0),
        now,
    }
}

/// By how many VMs slots are held in advance, as far as the bound allows any. Nothing where this VM may hold none: others may have
/// given it up for dead.
#[inline(never)]
pub(super) fn vms_ahead(view: &MembersView, bound: &Bound, now: Timestamp) -> Option<u32> {
    let vms = view.may_take(now).then(|| view.alive());
    vms.filter(|vms| bound.may_deal(*vms))
}
