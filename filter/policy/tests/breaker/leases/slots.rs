//! In-flight slots in the world: each VM knows what it took, and the record agrees.

use seawall_policy::concurrency::credits::Ahead;
use seawall_policy::concurrency::local::Terms;
use seawall_policy::concurrency::{AcquireRequest, Acquired, Bound, InFlightSlots, peek};
use seawall_policy::priority::Priority;
use seawall_policy::shared::leases::LocalLease;
use seawall_policy::shedding::{Limit, Shares};
use seawall_policy::time::{Span, Timestamp};

use super::{SLOTS, Turn, World, count};

impl World {
    pub(super) fn slots(&self) -> InFlightSlots {
        peek(self, &SLOTS).expect("it is readable")
    }

    pub(super) fn take_slot(&self, vm: usize, priority: Priority) {
        let now = self.moment().now;
        if !self.vm(vm, |vm| vm.view.may_take(now)) {
            self.enroll(vm);
        }
        let vms = self.vm(vm, |vm| vm.view.alive());
        let epoch = Some(self.epoch.get());
        if let Some(slot) = self.vm(vm, |vm| vm.slots.take_idle(epoch)) {
            count(&self.taken);
            count(&self.unread);
            return self.vm(vm, |vm| vm.in_flight.push(slot));
        }
        let dead = self.vm(vm, |vm| vm.view.dead().to_vec());
        let asked = AcquireRequest {
            holding: LocalLease::default(),
            priority,
            bound: self.bound(),
            tag: None,
            load: None,
            keep: Span::ZERO,
            dead: &dead,
            ahead: Ahead::default(),
            now: Timestamp::nanos(5),
        };
        let mut slots = self.vm(vm, |vm| vm.slots.clone());
        let idle = slots.idle();
        let (taking, notes) = slots.acquire(self, &SLOTS, &asked, (epoch, vms));
        self.vm(vm, |vm| vm.slots = slots);
        if notes.expired {
            self.give_up_slots(vm);
        }
        let most = Shares::default().slots(priority, self.limit);
        match taking {
            Acquired::Taken(slot) => {
                assert!(slot.in_flight <= most, "{slot:?} of {most}");
                count(&self.taken);
                self.vm(vm, |vm| vm.in_flight.push(slot));
            }
            Acquired::Full { in_flight, .. } => {
                assert!(
                    in_flight >= most && (idle == 0 || notes.expired || in_flight + idle >= most)
                );
                count(&self.full);
                // Others may hold some idle.
                self.epoch.set(self.epoch.get() + 1);
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end_slot(&self, vm: usize, which: usize) {
        let slot = self.vm(vm, |vm| {
            let count = vm.in_flight.len();
            (count > 0).then(|| vm.in_flight.swap_remove(which % count))
        });
        let Some(place) = slot else {
            return;
        };
        let terms = self.terms(vm);
        let mut slots = self.vm(vm, |vm| vm.slots.clone());
        let told = slots.give_back(self, &SLOTS, (place, None), &terms);
        self.vm(vm, |vm| vm.slots = slots);
        let Some(notes) = told else {
            return;
        };
        assert!(notes.stands());
        if notes.expired {
            self.give_up_slots(vm);
        }
    }

    /// Idle slots go back: those that were not needed, or all.
    pub(super) fn settle_idle(&self, vm: usize) {
        if !self.vm(vm, |vm| vm.slots.begin_tick()) {
            return;
        }
        let terms = self.terms(vm);
        let mut slots = self.vm(vm, |vm| vm.slots.clone());
        let notes = slots.tick(self, &SLOTS, &terms);
        self.vm(vm, |vm| vm.slots = slots);
        if notes.expired {
            self.give_up_slots(vm);
        }
    }

    fn terms(&self, vm: usize) -> Terms {
        let now = self.moment().now;
        let alive = self.vm(vm, |vm| vm.view.may_take(now).then(|| vm.view.alive()));
        Terms {
            bound: self.bound(),
            settings: None,
            epoch: alive.map(|_| self.epoch.get()),
            vms: alive.unwrap_or(0),
            now: Timestamp::nanos(6),
        }
    }

    fn bound(&self) -> Bound {
        Bound {
            places_max: None,
            limit: Some((Limit::Fixed(self.limit), Shares::default())),
        }
    }

    /// A VM finds that it lost its slots: there must be a reason.
    pub(super) fn give_up_slots(&self, vm: usize) {
        count(&self.expired);
        self.vm(vm, |vm| {
            assert!(!vm.is_alive(), "it was given up alive: {:?}", vm.silence);
        });
    }

    /// The record against what VMs hold. One that is inside a step is between two truths by one slot.
    pub(super) fn compare_slots(&self, after: Turn) {
        let slots = self.slots();
        for vm in self.vms.borrow().iter().filter(|vm| !vm.busy) {
            let own = vm.in_flight.iter();
            let lease = vm.slots.lease();
            let own = own.filter(|slot| slot.instance == lease.instance);
            let held = slots.leases.held_by(lease.instance);
            let believed = own.count() as u32 + vm.slots.idle();
            assert_eq!(believed, lease.quantity);
            assert!(
                held == believed || !vm.is_alive() && held == 0,
                "{after:?}: {slots:?}"
            );
        }
        assert!(slots.in_flight() <= self.limit, "{after:?}: {slots:?}");
    }
}
