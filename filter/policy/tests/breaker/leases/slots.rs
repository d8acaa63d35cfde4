//! In-flight slots in the world: each VM knows what it took, and the record agrees.

use seawall_policy::concurrency::{
    AcquireRequest, Acquired, Bound, InFlightSlots, Returned, acquire, peek, release,
};
use seawall_policy::priority::Priority;
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
        let dead = self.vm(vm, |vm| vm.view.dead().to_vec());
        let holding = self.vm(vm, |vm| vm.slots);
        let asked = AcquireRequest {
            holding,
            priority,
            bound: Bound {
                places_max: None,
                limit: Some((Limit::Fixed(self.limit), Shares::default())),
            },
            tag: None,
            load: None,
            keep: Span::ZERO,
            dead: &dead,
            now: Timestamp::nanos(5),
        };
        let (taking, notes) = acquire(self, &SLOTS, &asked);
        if notes.expired {
            self.give_up_slots(vm);
        }
        let most = Shares::default().slots(priority, self.limit);
        match taking {
            Acquired::Taken(slot) => {
                assert!(slot.in_flight <= most, "{slot:?} of {most}");
                count(&self.taken);
                self.vm(vm, |vm| {
                    vm.slots.took(slot.instance, 0);
                    vm.in_flight.push(slot);
                });
            }
            Acquired::Full { in_flight, .. } => {
                assert!(in_flight >= most);
                count(&self.full);
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end_slot(&self, vm: usize, which: usize) {
        let slot = self.vm(vm, |vm| {
            let count = vm.in_flight.len();
            let slot = (count > 0).then(|| vm.in_flight.swap_remove(which % count))?;
            vm.slots.returned(slot.instance, 0);
            Some(slot)
        });
        if let Some(place) = slot {
            let returned = Returned {
                place,
                sample: None,
            };
            assert!(release(self, &SLOTS, &returned, Timestamp::nanos(6)).stands());
        }
    }

    /// A VM finds that it lost its slots: there must be a reason.
    pub(super) fn give_up_slots(&self, vm: usize) {
        count(&self.expired);
        self.vm(vm, |vm| {
            assert!(!vm.is_alive(), "it was given up alive: {:?}", vm.silence);
            vm.slots = vm.slots.anew();
        });
    }

    /// The record against what VMs hold. One that is inside a step is between two truths by one slot.
    pub(super) fn compare_slots(&self, after: Turn) {
        let slots = self.slots();
        for vm in self.vms.borrow().iter().filter(|vm| !vm.busy) {
            let own = vm.in_flight.iter();
            let own = own.filter(|slot| slot.instance == vm.slots.instance);
            let held = slots.leases.held_by(vm.slots.instance);
            let believed = own.count() as u32;
            assert_eq!(believed, vm.slots.quantity);
            assert!(
                held == believed || !vm.is_alive() && held == 0,
                "{after:?}: {slots:?}"
            );
        }
        assert!(slots.in_flight() <= self.limit, "{after:?}: {slots:?}");
    }
}
