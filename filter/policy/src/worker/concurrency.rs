//! What a worker does for slots: it takes them and gives them back.

use std::collections::VecDeque;

use crate::admission::Reason;
use crate::concurrency::GENERATION;
use crate::concurrency::partitions::Partition;
use crate::concurrency::{self, AcquireRequest, Bound, Returned};
use crate::environment::Environment;
use crate::limiter::Sample;
use crate::ratio;
use crate::shedding::Limit;
use crate::time::Timestamp;

use super::acquisition::Acquisition;
use super::bounds::{Bounds, bounds};
use super::credits::vms_ahead;
use super::limit_reached::{LimitReached, note};
use super::local_leases::{HeldSlots, adaptive};
use super::membership::Listing;
use super::pending_settlements::PENDING_MAX;
use super::{AdmissionInput, Worker};
use crate::telemetry::InternalEvent;

/// A slot that could not be given back.
#[derive(Clone, Copy, Debug)]
struct UnreturnedSlot {
    upstream: usize,
    slot: Option<Partition>,
    returned: Returned,
}

/// Slots that could not be given back; bounded by [`PENDING_MAX`].
#[derive(Debug, Default)]
pub(super) struct UnreturnedSlots(VecDeque<UnreturnedSlot>);

/// What a request learned about its upstream's load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Feedback {
    /// What it says about the limit.
    Sample(Sample),
    /// The utilisation that a host of the upstream reported, in basis points.
    Report {
        /// Which host.
        host: u32,
        /// How much.
        utilisation: u32,
    },
}

impl<E: Environment> Worker<E> {
    /// Takes the slots that a request needs, with why it would have been refused one if it were enforced. What it got
    /// before it was refused one is given back; what only marks it is not held, and takes nothing from the others. Where this
    /// VM cannot be listed as a member the request passes uncounted.
    pub(crate) fn acquire_slots(
        &mut self,
        upstream: usize,
        asking: &AdmissionInput,
        draw: u32,
        now: Timestamp,
    ) -> Result<(HeldSlots, Option<Reason>), LimitReached> {
        let listing = self.enroll(now);
        // Seawalls in a row shed the same requests; a stranger may have chosen an id that is never shed.
        let by_load = match asking.trusted {
            true => ratio::derive(draw, ratio::LOAD),
            false => self.draws.next_u32(),
        };
        let mut taken = HeldSlots::default();
        let Some(entry) = self.upstreams.entry(upstream) else {
            return Ok((taken, None));
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(holdings)) = (policy, entry.holdings.as_mut()) else {
            return Ok((taken, None));
        };
        let uncounted = listing != Listing::Listed;
        if uncounted || asking.exempt && holdings.exempt.take(now) {
            return Ok((taken, None));
        }
        let Bounds {
            apart,
            shared,
            load,
        } = bounds(policy);
        if load {
            holdings.observed.traffic.came(asking.priority);
        }
        let asked = AcquireRequest {
            load: load.then_some(by_load),
            ..AcquireRequest::new(asking.priority, shared, self.liveness.view.dead(), now)
        };
        let epoch = vms_ahead(&self.liveness.view, &shared, now).and_then(|vms| {
            let epoch = entry.cache.epoch_of_admission(&self.env, &entry.series)?;
            Some((epoch, vms))
        });
        let mut sitting = Acquisition {
            store: &self.env,
            policy,
            holdings,
            own: &mut self.own,
            draw,
            taken: &mut taken,
            void: HeldSlots::default(),
            full: None,
            epoch,
            moved: false,
        };
        if let Some((count, places_max)) = apart {
            sitting.acquire_separately(asking, count, places_max, &asked);
        }
        if !sitting.is_refused() && (shared != Bound::default() || load) {
            sitting.acquire_together(asking, &asked);
        }
        let Acquisition {
            void, full, moved, ..
        } = sitting;
        if moved {
            entry.cache.moved(&self.env, &entry.series);
        }
        if !void.is_empty() {
            self.release_slots(upstream, void, None);
        }
        match full {
            Some(full) if full.refused => {
                self.release_slots(upstream, taken, None);
                Err(full)
            }
            marked => Ok((taken, marked.map(|full| full.reason))),
        }
    }

    /// Gives back what a request held, with what it says about the limit.
    pub(crate) fn release_slots(
        &mut self,
        upstream: usize,
        taken: HeldSlots,
        sample: Option<Sample>,
    ) {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(holdings)) = (policy, entry.holdings.as_mut()) else {
            return;
        };
        if let Some(connection) = taken.connection {
            holdings.connections.released(connection);
        }
        let slots = taken.slots.map(|taken| {
            let (slot, place) = taken?;
            if let Some(local) = holdings.slot(slot) {
                local.returned(place.instance, GENERATION);
            }
            Some(UnreturnedSlot {
                upstream,
                slot: Some(slot),
                returned: Returned {
                    place,
                    sample: None,
                },
            })
        });
        let settings = adaptive(policy);
        for unreturned in slots.into_iter().flatten() {
            self.return_or_keep(unreturned);
        }
        if let Some(place) = taken.shared
            && !self.return_shared(upstream, place, sample)
        {
            self.keep_for_return(UnreturnedSlot {
                upstream,
                slot: None,
                returned: Returned {
                    place,
                    sample: sample.zip(settings),
                },
            });
        }
    }

    fn return_or_keep(&mut self, unreturned: UnreturnedSlot) {
        if !self.return_slot(unreturned) {
            self.keep_for_return(unreturned);
        }
    }

    /// Takes in what a request learned and nobody was told.
    pub(crate) fn record_feedback(&mut self, upstream: usize, lesson: Feedback) {
        let Some(entry) = self.upstreams.entry(upstream) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let (Some(policy), Some(holdings)) = (policy, entry.holdings.as_mut()) else {
            return;
        };
        let Some(shedding) = &policy.shedding else {
            return;
        };
        let now = self.env.now();
        let lesson = match (lesson, shedding.limit) {
            (Feedback::Sample(sample), Limit::Adaptive(settings)) => {
                concurrency::Feedback::Sample(sample, settings)
            }
            (Feedback::Sample(_), _) => return,
            (Feedback::Report { host, utilisation }, _) => {
                let wanted = u32::from(shedding.load_over.as_basis_points());
                concurrency::Feedback::Report(holdings.observed.report(
                    host,
                    utilisation,
                    wanted,
                    now,
                ))
            }
        };
        let notes = concurrency::record_feedback(&self.env, &holdings.key, lesson, now);
        if let (concurrency::Feedback::Report(_), Some(shed)) = (lesson, notes.shed) {
            holdings.observed.traffic.stands(shed, now);
        }
        note(&mut self.own, &notes);
        if notes.moved {
            entry.cache.moved(&self.env, &entry.series);
        }
    }

    /// How many could not be given back yet.
    pub(super) fn unreturned_count(&self) -> usize {
        self.unreturned_slots.0.len()
    }

    /// Tries again to give back what could not be.
    pub(super) fn return_slots(&mut self) {
        for _ in 0..self.unreturned_slots.0.len() {
            let next = self.unreturned_slots.0.pop_front();
            if let Some(unreturned) = next {
                self.return_or_keep(unreturned);
            }
        }
    }

    fn return_slot(&mut self, unreturned: UnreturnedSlot) -> bool {
        let UnreturnedSlot {
            upstream,
            slot,
            returned,
        } = unreturned;
        let Some(entry) = self.upstreams.entry(upstream) else {
            return true;
        };
        let Some(holdings) = entry.holdings.as_ref() else {
            return true;
        };
        let now = self.env.now();
        let notes = match slot {
            Some(slot) => concurrency::release(&self.env, &slot.key(&holdings.key), &returned, now),
            None => concurrency::release(&self.env, &holdings.key, &returned, now),
        };
        note(&mut self.own, &notes);
        if notes.moved {
            entry.cache.moved(&self.env, &entry.series);
        }
        notes.stands()
    }

    /// Keeps a slot for the next tick. Beyond the bound it is dropped; it then comes back at a tick, because this VM takes its
    /// next instance number.
    fn keep_for_return(&mut self, unreturned: UnreturnedSlot) {
        if self.unreturned_slots.0.len() < PENDING_MAX {
            self.unreturned_slots.0.push_back(unreturned);
            return;
        }
        self.own.count(InternalEvent::SettlementDropped);
        let entry = self.upstreams.entry(unreturned.upstream);
        if let Some(holdings) = entry.and_then(|entry| entry.holdings.as_mut()) {
            let instance = unreturned.returned.place.instance;
            let Some(slot) = unreturned.slot else {
                if holdings.shared.lease().instance == instance {
                    holdings.shared.lost();
                }
                return;
            };
            let local = holdings.slot(slot);
            if let Some(local) = local.filter(|local| local.instance == instance) {
                *local = local.anew();
            }
        }
    }
}
