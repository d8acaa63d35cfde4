//! The slots of one VM under one key: those that its requests hold, and those that it holds in advance.

use super::credits::{Ahead, Credits, Seen};
use super::steps::{self, Returned, Settlement};
use super::{AcquireRequest, Acquired, Bound, GENERATION, InFlightSlots, SlotId, SlotReport};
use crate::limiter::{self, Sample};
use crate::shared::leases::LocalLease;
use crate::shared::state::{Key, SharedState};
use crate::time::Timestamp;

/// Under what a VM gives slots back.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What bounds how many it may hold in advance.
    pub bound: Bound,
    /// By what samples are understood.
    pub settings: Option<limiter::Settings>,
    /// The upstream's epoch, read before anything else; without one nothing is held in advance.
    pub epoch: Option<u64>,
    /// How many VMs hold slots in advance; 0 where this one gives all of them back.
    pub vms: u32,
    /// The clock.
    pub now: Timestamp,
}

/// What one VM holds.
#[derive(Clone, Debug)]
pub struct LocalSlots {
    lease: LocalLease,
    credits: Credits,
}

impl LocalSlots {
    /// A VM that holds nothing, under this number.
    pub fn none(instance: u64) -> Self {
        Self {
            lease: LocalLease::none(instance),
            credits: Credits::default(),
        }
    }

    /// All that it holds.
    pub const fn lease(&self) -> LocalLease {
        self.lease
    }

    /// How many of them are idle.
    pub const fn idle(&self) -> u32 {
        self.credits.idle()
    }

    /// It was given up, or holds less than it believes: all is void, and it goes on under its next number.
    #[inline(never)]
    pub fn lost(&mut self) {
        *self = Self::none(self.lease.anew().instance);
    }

    /// The record was looked at, and says whether it was given up.
    pub fn seen(&mut self, notes: &SlotReport) {
        if notes.expired {
            self.lost();
        }
    }

    /// Takes an idle slot without looking at the record, where the epoch says that nothing happened.
    pub fn take_idle(&mut self, epoch: Option<u64>) -> Option<SlotId> {
        let in_flight = self.credits.take(epoch, self.lease.quantity)?;
        Some(SlotId {
            instance: self.lease.instance,
            in_flight,
            pressed: false,
        })
    }

    /// Takes a slot by the record, perhaps with some in advance for `vms` VMs; `epoch` was read before. [`steps::acquire`].
    #[inline(never)]
    pub fn acquire(
        &mut self,
        store: &impl SharedState,
        key: &Key<InFlightSlots>,
        asked: &AcquireRequest<'_>,
        (epoch, vms): (Option<u64>, u32),
    ) -> (Acquired, SlotReport) {
        let asked = AcquireRequest {
            holding: self.lease,
            ahead: Ahead {
                idle: self.idle(),
                vms: epoch.map_or(0, |_| vms),
            },
            ..*asked
        };
        let (taking, notes) = steps::acquire(store, key, &asked);
        self.seen(&notes);
        if let Acquired::Taken(place) = taking {
            let idle = self.idle().saturating_add(notes.quantity);
            self.lease
                .took_all(place.instance, GENERATION, notes.quantity);
            self.read(epoch, &notes, idle.saturating_sub(1));
        }
        (taking, notes)
    }

    /// A request gives its slot back: it is kept, or the record is told. Nothing where it is kept. What does not stand is to be given
    /// back by [`super::release`].
    pub fn give_back(
        &mut self,
        store: &impl SharedState,
        key: &Key<InFlightSlots>,
        (place, sample): (SlotId, Option<Sample>),
        terms: &Terms,
    ) -> Option<SlotReport> {
        if place.instance != self.lease.instance {
            // Of a number that it gave up: the record may not know that yet.
            let returned = Returned {
                place,
                sample: None,
            };
            return Some(steps::release(store, key, &returned, terms.now));
        }
        let sample = sample.filter(|_| terms.settings.is_some());
        if self.credits.keep(terms.epoch, sample, terms.now) {
            return None;
        }
        Some(self.settle(store, key, (1, sample), 0, terms))
    }

    /// A tick begins: whether it has something to tell the record. If not, the record is asked before the next slot is kept: what was seen
    /// of it may be long past.
    pub fn begin_tick(&mut self) -> bool {
        let due = self.credits.is_due();
        if !due {
            self.credits.forget_seen();
        }
        due
    }

    /// The tick, if it is due: idle slots that were not needed go back, or all of them, and the record learns what requests said.
    pub fn tick(
        &mut self,
        store: &impl SharedState,
        key: &Key<InFlightSlots>,
        terms: &Terms,
    ) -> SlotReport {
        let unneeded = self.credits.unneeded();
        self.settle(store, key, (0, None), unneeded, terms)
    }

    #[inline(never)]
    fn settle(
        &mut self,
        store: &impl SharedState,
        key: &Key<InFlightSlots>,
        (returned, sample): (u32, Option<Sample>),
        unneeded: u32,
        terms: &Terms,
    ) -> SlotReport {
        let (holding, idle) = (self.lease, self.idle());
        let mut samples = self.credits.samples();
        let collected = samples.len();
        samples.extend(sample.map(|sample| (sample, terms.now)));
        let asked = Settlement {
            holding,
            returned,
            ahead: Ahead {
                idle,
                vms: terms.epoch.map_or(0, |_| terms.vms),
            },
            unneeded,
            bound: terms.bound,
            samples: &samples,
            settings: terms.settings,
            now: terms.now,
        };
        // It never believes to hold more than it does.
        let all = idle.saturating_add(returned);
        self.lease.returned_all(holding.instance, GENERATION, all);
        let notes = steps::settle(store, key, &asked);
        if notes.expired {
            self.lost();
            return notes;
        }
        let kept = match notes.stands() {
            true => all.saturating_sub(notes.quantity),
            false => {
                // That of the request is told with its slot.
                samples.truncate(collected);
                self.credits.put_back(samples);
                idle
            }
        };
        self.lease.took_all(holding.instance, GENERATION, kept);
        self.read(terms.epoch.filter(|_| notes.stands()), &notes, kept);
        notes
    }

    /// The record was read after this epoch. While the upstream reports too much load each request asks the record.
    fn read(&mut self, epoch: Option<u64>, notes: &SlotReport, idle: u32) {
        let out = notes.in_flight.unwrap_or(0);
        let seen = epoch.filter(|_| notes.shed == Some(0)).map(|epoch| Seen {
            epoch,
            others: out.saturating_sub(self.lease.quantity),
            keeps: notes.keeps,
        });
        self.credits.read(seen, idle);
    }
}
