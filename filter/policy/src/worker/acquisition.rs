//! One request that looks for the slots it needs: in a partition, among those that all share, and as an unfinished one.

use crate::admission::Reason;
use crate::concurrency::partitions::{self, Partition, PartitionSlots};
use crate::concurrency::unfinished;
use crate::concurrency::{self, AcquireRequest, Acquired, Bound, GENERATION, SlotReport};
use crate::policy::Policy;
use crate::ratio::Share;
use crate::shared::state::SharedState;

use super::AdmissionInput;
use super::limit_reached::{LimitReached, limit_reached, note};
use super::local_leases::{HeldSlots, LocalHoldings};
use crate::telemetry::OwnSeries;
use crate::time::{Span, Timestamp};

/// Others are told no oftener than this that slots are wanted: each of them then reads its records.
const WANT: Span = Span::millis(super::TICK_MILLIS as u64);

/// A request on its way to its slots.
pub(super) struct Acquisition<'a, S: SharedState> {
    pub(super) store: &'a S,
    pub(super) policy: &'a Policy,
    pub(super) holdings: &'a mut LocalHoldings,
    pub(super) own: &'a mut OwnSeries,
    pub(super) draw: u32,
    /// What it got.
    pub(super) taken: &'a mut HeldSlots,
    /// What it got and has no use for.
    pub(super) void: HeldSlots,
    /// Why it has no slot.
    pub(super) full: Option<LimitReached>,
    /// The upstream's epoch before anything was read, where slots are held in advance by it, and by how many VMs.
    pub(super) epoch: Option<(u64, u32)>,
    /// Whether others have to look: less is let through, or a request was refused for want of slots that they may hold idle.
    pub(super) moved: bool,
}

impl<S: SharedState> Acquisition<'_, S> {
    /// Whether it was refused a slot, and is not only marked.
    pub(super) fn is_refused(&self) -> bool {
        self.full.is_some_and(|full| full.refused)
    }

    /// A slot of a bulkhead that counts by itself.
    pub(super) fn acquire_separately(
        &mut self,
        asking: &AdmissionInput,
        count: u32,
        bound: Bound,
        asked: &AcquireRequest<'_>,
    ) {
        self.holdings.slots_used = true;
        let asked = AcquireRequest {
            tag: asking.tag.filter(|_| count > 0),
            bound,
            load: None,
            ..*asked
        };
        let holdings = &*self.holdings;
        let holding = |slot| holdings.holding(slot);
        let PartitionSlots {
            places,
            taking,
            notes,
        } = partitions::take(self.store, &holdings.key, count, &asked, &holding);
        note(self.own, &notes);
        for (slot, place) in places.into_iter().flatten() {
            self.took(slot, place);
        }
        let share = self
            .policy
            .bulkhead
            .as_ref()
            .map(|bulkhead| bulkhead.unfinished);
        let limit = bound.places_max.unwrap_or(u32::MAX);
        let beside = match taking {
            Acquired::Taken(_) => places.into_iter().flatten().next(),
            _ => None,
        };
        let reason = match (taking, beside) {
            (Acquired::Full { .. }, _) => Some(Reason::BulkheadFull),
            (_, Some((slot, _))) => {
                self.acquire_unfinished(asking, slot.unfinished(), share, limit, &asked)
            }
            _ => None,
        };
        if let Some(reason) = reason {
            self.full = Some(limit_reached(
                self.policy,
                reason,
                Reason::BulkheadFull,
                self.draw,
            ));
            // Who is only marked holds nothing.
            self.void = self.taken.split(|_| true);
            self.void.connection = self.taken.connection.take();
        }
    }

    /// A slot among those that all share.
    pub(super) fn acquire_together(&mut self, asking: &AdmissionInput, asked: &AcquireRequest<'_>) {
        self.holdings.shared_used = true;
        let (epoch, vms) = match self.epoch {
            Some((epoch, vms)) => (Some(epoch), vms),
            None => (None, 0),
        };
        let slots = &mut self.holdings.shared;
        if asking.unfinished.is_none()
            && let Some(place) = slots.take_idle(epoch)
        {
            self.taken.shared = Some(place);
            return;
        }
        let (taking, notes) = slots.acquire(self.store, &self.holdings.key, asked, (epoch, vms));
        note(self.own, &notes);
        let policy = self.policy;
        let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
        let reason = match taking {
            Acquired::Taken(place) => {
                self.taken.shared = Some(place);
                let share = shedding.map(|shedding| shedding.unfinished);
                let share = share.or(bulkhead.map(|bulkhead| bulkhead.unfinished));
                let limit = limit_of(asked.bound, &notes);
                limit.and_then(|limit| {
                    self.acquire_unfinished(asking, Partition::Unfinished, share, limit, asked)
                })
            }
            Acquired::Full { bulkhead: true, .. } => Some(Reason::BulkheadFull),
            Acquired::Full { .. } => Some(Reason::ShedLimit),
            Acquired::Loaded => Some(Reason::ShedLoad),
            Acquired::Elsewhere | Acquired::Undecided => None,
        };
        self.moved |= notes.moved;
        let Some(reason) = reason else {
            return;
        };
        self.wants(&notes, asked.now);
        let by = match shedding {
            None => Reason::BulkheadFull,
            Some(_) => reason,
        };
        let found = limit_reached(policy, reason, by, self.draw);
        if reason == Reason::Unfinished && !found.refused {
            self.void.shared = self.taken.shared.take();
        }
        self.full = Some(match self.full {
            Some(before) if !found.refused => before,
            _ => found,
        });
    }

    /// A request found all slots taken. Others may hold some idle: they are told, once a tick.
    fn wants(&mut self, notes: &SlotReport, now: Timestamp) {
        let holdings = &mut *self.holdings;
        let others = notes.in_flight.unwrap_or(0) > holdings.shared.lease().quantity;
        if others && now.since(holdings.wanted_at) >= WANT {
            holdings.wanted_at = now;
            self.moved = true;
        }
    }

    /// Where the body of the request is not complete: a second slot beside the first, which bounds how many of those
    /// there are. Why it has none.
    fn acquire_unfinished(
        &mut self,
        asking: &AdmissionInput,
        slot: Partition,
        share: Option<Share>,
        limit: u32,
        asked: &AcquireRequest<'_>,
    ) -> Option<Reason> {
        let connection = asking.unfinished?;
        let most = unfinished::most(limit, share?)?;
        let holdings = &mut *self.holdings;
        holdings.slots_used = true;
        let asked = AcquireRequest {
            bound: holdings.connections.bound(connection, most, asked.now),
            load: None,
            tag: None,
            ..*asked
        };
        let (taking, notes) =
            partitions::take_in(self.store, &holdings.key, slot, &asked, &|slot| {
                holdings.holding(slot)
            });
        note(self.own, &notes);
        match taking {
            Acquired::Taken(place) => {
                self.took(slot, place);
                // A request counts once for its connection.
                if self.taken.connection.replace(connection).is_none() {
                    self.holdings.connections.acquired(connection);
                }
                None
            }
            Acquired::Full { .. } => {
                holdings.connections.refused(connection, asked.now);
                Some(Reason::Unfinished)
            }
            Acquired::Loaded | Acquired::Elsewhere | Acquired::Undecided => None,
        }
    }

    fn took(&mut self, slot: Partition, place: concurrency::SlotId) {
        if let Some(local) = self.holdings.slot(slot) {
            local.took(place.instance, GENERATION);
        }
        self.taken.add(slot, place);
    }
}

/// How many requests may be in flight among those that all share, where anything says so.
fn limit_of(bound: Bound, notes: &SlotReport) -> Option<u32> {
    let limit = bound
        .limit
        .and_then(|(limit, _)| limit.in_force(notes.limit));
    match (limit, bound.places_max) {
        (Some(limit), Some(places)) => Some(limit.min(places)),
        (limit, places) => limit.or(places),
    }
}
