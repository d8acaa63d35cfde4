//! What a worker does so that slots come back: it looks at what is in use, a bounded number of keys at each tick.

use crate::concurrency::partitions::Partition;
use crate::concurrency::partitions::index::Index;
use crate::concurrency::rounds::{LOOKS_MAX, Round};
use crate::concurrency::{self, Bound, InFlightSlots};
use crate::environment::Environment;
use crate::liveness::Liveness;
use crate::shared::keys;
use crate::shared::leases::{Lease, LocalLease};
use crate::shared::state::{Key, SharedState};

use super::Worker;
use super::bounds::{Bounds, bounds};
use super::limit_reached::note;
use super::local_leases::LocalHoldings;
use super::membership::Looks;

/// The partitions of a policy that has none for values of a header.
const FEW: [Partition; 3] = [
    Partition::Rest,
    Partition::Unfinished,
    Partition::Rest.unfinished(),
];

impl<E: Environment> Worker<E> {
    /// Whether ticks have to come more often, until everything that a dead VM may have held was looked at.
    pub(super) const fn hurries(&self) -> bool {
        self.looks.hurries
    }

    /// A tick: the next keys of the round.
    pub(super) fn maintain_slots(&mut self) {
        if self.liveness.counts_slots {
            self.look_at_next_keys();
        }
    }

    /// This VM goes; what it still holds comes back as that of a dead one.
    pub(super) fn sign_off(&mut self) {
        self.look_at_next_keys();
        let mut holds = self.unreturned_count() > 0 || !self.pending_settlements.is_empty();
        for number in 0..self.upstreams.len() {
            let entry = self.upstreams.entry(number);
            holds |= entry.is_some_and(|entry| {
                let slots = entry.holdings.as_ref();
                entry.holding.quantity > 0 || slots.is_some_and(LocalHoldings::holds_any)
            });
        }
        if !holds {
            self.liveness.view.leave(&self.env, &keys::MEMBERS);
        }
    }

    /// Looks at the next keys of the round.
    pub(super) fn look_at_next_keys(&mut self) {
        let mut left = LOOKS_MAX;
        for _ in 0..self.upstreams.len() {
            let before = left;
            let finished = self.look_at(self.looks.next, &mut left);
            let looks = before.saturating_sub(left);
            self.looks.done = self.looks.done.saturating_add(looks);
            if !finished {
                return;
            }
            self.looks.next = self.looks.next.saturating_add(1);
            if self.looks.next >= self.upstreams.len() {
                let now = self.env.now();
                let took = now.since(self.looks.begun);
                self.own.round(&self.env, self.looks.done, took);
                self.looks = Looks::begun(now);
            }
            if left == 0 {
                return;
            }
        }
    }

    /// Looks at what is in use at one upstream, and shows how many are in flight; `false` if there is more to look at.
    fn look_at(&mut self, number: usize, left: &mut u32) -> bool {
        let owes = self.unreturned_count() > 0;
        let Some(entry) = self.upstreams.entry(number) else {
            return true;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(holdings)) = (policy, entry.holdings.as_mut()) else {
            return true;
        };
        if holdings.round.is_none() && !holdings.is_used() {
            return true;
        }
        let now = self.env.now();
        let view = &mut self.liveness.view;
        // The beats of one VM differ from key to key: here its number alone is what stands unchanged.
        let mut gone = |lease: &Lease| {
            view.is_gone(Liveness {
                instance: lease.instance,
                beat: 0,
            })
        };
        let mut look = |key: &Key<InFlightSlots>, local: LocalLease| {
            let mut notes = concurrency::maintain(&self.env, key, (local, owes), &mut gone, now);
            note(&mut self.own, &notes);
            if !notes.stands() {
                // It was read, and not made so.
                notes.in_flight = None;
            }
            notes
        };
        let bounds = bounds(policy);
        let mut round = match holdings.round.take() {
            Some(round) => round,
            None => {
                holdings.seen = (0, None);
                if bounds.shared != Bound::default() || bounds.load {
                    *left = left.saturating_sub(1);
                    let notes = look(&holdings.key, holdings.shared.lease());
                    holdings.shared.seen(&notes);
                    holdings.shared_used = notes.in_flight != Some(0);
                    holdings.seen = (notes.in_flight.unwrap_or(0), notes.limit);
                } else {
                    holdings.shared_used = false;
                }
                round_of(&self.env, holdings, &bounds)
            }
        };
        while let Some(slot) = round.next_slot() {
            let key = slot.key(&holdings.key);
            *left = left.saturating_sub(1);
            if let Some(local) = holdings.slot(slot) {
                let notes = look(&key, *local);
                local.seen(notes.expired);
                round.saw(slot, notes.in_flight);
            }
            holdings.forget(slot);
            if *left == 0 {
                break;
            }
        }
        if !round.is_through() {
            holdings.round = Some(round);
            return false;
        }
        holdings.slots_used = is_any_used(&self.env, &round, holdings, &bounds);
        let (shared, limit) = holdings.seen;
        let limit = policy
            .shedding
            .as_ref()
            .and_then(|shedding| shedding.limit.in_force(limit));
        // Who holds a slot in a partition may hold one of all as well: it is one request.
        let in_flight = shared.max(round.in_flight());
        entry.series.slots(&self.env, in_flight, limit);
        true
    }
}

/// Whether any partition was in use in a round that is over; other VMs are told which.
fn is_any_used(
    state: &impl SharedState,
    round: &Round,
    holdings: &LocalHoldings,
    bounds: &Bounds,
) -> bool {
    match bounds.apart {
        Some((count, _)) if count > 0 => round.tell(state, &keys::partitions(&holdings.key)),
        _ => round.is_any_used(),
    }
}

/// A round over the partitions that are in use.
fn round_of(state: &impl SharedState, holdings: &LocalHoldings, bounds: &Bounds) -> Round {
    match bounds.apart.filter(|_| holdings.slots_used) {
        Some((count, _)) if count > 0 => {
            let index = Index::load(state, &keys::partitions(&holdings.key));
            Round::begin(index, holdings.slots())
        }
        // There are no others.
        _ if holdings.slots_used => Round::begin(Index::default(), FEW.into_iter()),
        _ => Round::default(),
    }
}
