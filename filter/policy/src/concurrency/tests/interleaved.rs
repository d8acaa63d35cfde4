//! VMs that share one key: whole steps of others run between a VM's load and its swap.
//!
//! A ledger beside the record knows who went and who ended. Whatever the order, the slots of live VMs stay within the
//! limit, the record agrees with the ledger after every step, and once all is over nothing is in flight.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

use super::*;
use crate::liveness::LivenessMonitor;
use crate::shared::store::{Found, HostError};

const SEED: [u8; 32] = [41; 32];
const DEPTH_MAX: u32 = 3;

#[derive(Clone, Copy, Debug)]
enum Turn {
    Ask(usize, Priority),
    End(usize, usize),
    Tick(usize),
    Die(usize),
}

fn turn(vms: usize) -> impl Strategy<Value = Turn> {
    let priority = prop::sample::select(Priority::ALL.to_vec());
    prop_oneof![
        12 => (0..vms, priority).prop_map(|(vm, priority)| Turn::Ask(vm, priority)),
        8 => (0..vms, 0_usize..64).prop_map(|(vm, which)| Turn::End(vm, which)),
        6 => (0..vms).prop_map(Turn::Tick),
        1 => (0..vms).prop_map(Turn::Die),
    ]
}

/// One VM as it sees itself.
#[derive(Default)]
struct Vm {
    holding: LocalLease,
    held: Vec<SlotId>,
    watch: LivenessMonitor,
    /// Inside a step: it cannot take another one.
    busy: bool,
    /// How often each other VM ticked since this one did.
    silence: Vec<u32>,
}

struct World {
    limit: u32,
    found: RefCell<Option<Found>>,
    counter: Cell<u32>,
    vms: RefCell<Vec<Vm>>,
    between: RefCell<VecDeque<Turn>>,
    depth: Cell<u32>,
    spare: Cell<u64>,
    intruded: Cell<u32>,
    taken: Cell<u32>,
    full: Cell<u32>,
    expired: Cell<u32>,
}

impl SharedStore for World {
    fn load(&self, _: &str) -> Result<Option<Found>, HostError> {
        Ok(self.found.borrow().clone())
    }

    fn swap(&self, _: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        if self.depth.get() < DEPTH_MAX {
            let next = self.between.borrow_mut().pop_front();
            let ran = next.is_some_and(|turn| self.run(turn));
            self.intruded.set(self.intruded.get() + u32::from(ran));
        }
        let mut found = self.found.borrow_mut();
        let lost = found.as_ref().is_some_and(|found| found.cas != cas);
        if !lost {
            self.counter.set(self.counter.get() + 1);
            *found = Some(Found {
                bytes: bytes.to_vec(),
                cas: self.counter.get(),
            });
        }
        Ok(!lost)
    }
}

impl World {
    fn new(vms: usize, limit: u32, between: VecDeque<Turn>) -> Self {
        let vm = |number| Vm {
            holding: LocalLease {
                instance: number as u64 + 1,
                held: 0,
            },
            silence: vec![0; vms],
            ..Vm::default()
        };
        Self {
            limit,
            found: RefCell::default(),
            counter: Cell::new(0),
            vms: RefCell::new((0..vms).map(vm).collect()),
            between: RefCell::new(between),
            depth: Cell::new(0),
            spare: Cell::new(1_000),
            intruded: Cell::new(0),
            taken: Cell::new(0),
            full: Cell::new(0),
            expired: Cell::new(0),
        }
    }

    fn places(&self) -> InFlightSlots {
        peek(self, &K).expect("it is readable")
    }

    fn vm<T>(&self, vm: usize, with: impl FnOnce(&mut Vm) -> T) -> T {
        with(&mut self.vms.borrow_mut()[vm])
    }

    fn fresh(&self) -> u64 {
        self.spare.set(self.spare.get() + 1);
        self.spare.get()
    }

    /// One whole step; `false` if its VM is inside another one.
    fn run(&self, turn: Turn) -> bool {
        let (Turn::Ask(vm, _) | Turn::End(vm, _) | Turn::Tick(vm) | Turn::Die(vm)) = turn;
        if self.vm(vm, |vm| std::mem::replace(&mut vm.busy, true)) {
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        match turn {
            Turn::Ask(_, priority) => self.ask(vm, priority),
            Turn::End(_, which) => self.end(vm, which),
            Turn::Tick(_) => self.tick(vm),
            Turn::Die(_) => self.die(vm),
        }
        self.depth.set(self.depth.get() - 1);
        self.vm(vm, |vm| vm.busy = false);
        self.check(turn);
        true
    }

    fn ask(&self, vm: usize, priority: Priority) {
        let spare = self.fresh();
        let limit = Limit::Fixed(self.limit);
        let asked = AcquireRequest {
            holding: self.vm(vm, |vm| vm.holding),
            next_instance: spare,
            priority,
            bound: Bound {
                places_max: None,
                limit: Some((limit, Shares::default())),
            },
            tag: None,
            load: None,
            keep: Span::ZERO,
            dead: &[],
            now: Timestamp::nanos(5),
        };
        let (taking, notes) = acquire(self, &K, &asked);
        if notes.expired {
            self.give_up(vm, spare);
        }
        match taking {
            Acquired::Taken(place) => {
                let most = Shares::default().slots(priority, self.limit);
                assert!(place.in_flight <= most, "{place:?} of {most}");
                self.taken.set(self.taken.get() + 1);
                self.vm(vm, |vm| {
                    vm.holding.held += 1;
                    vm.held.push(place);
                });
            }
            Acquired::Full { in_flight, .. } => {
                assert!(in_flight >= Shares::default().slots(priority, self.limit));
                self.full.set(self.full.get() + 1);
            }
            other => panic!("{other:?}"),
        }
    }

    fn end(&self, vm: usize, which: usize) {
        let place = self.vm(vm, |vm| {
            let count = vm.held.len();
            let place = (count > 0).then(|| vm.held.swap_remove(which % count))?;
            if place.instance == vm.holding.instance {
                vm.holding.held -= 1;
            }
            Some(place)
        });
        if let Some(place) = place {
            let notes = release(self, &K, &returned(place), Timestamp::nanos(6));
            assert!(notes.stands());
        }
    }

    fn tick(&self, vm: usize) {
        let holding = self.vm(vm, |vm| vm.holding);
        let dead = self.vm(vm, |vm| vm.watch.dead());
        let (notes, signs) = maintain_alone(self, &K, holding, &dead, Timestamp::nanos(7));
        if notes.expired {
            let spare = self.fresh();
            self.give_up(vm, spare);
        }
        for other in self.vms.borrow_mut().iter_mut() {
            other.silence[vm] += 1;
        }
        self.vm(vm, |vm| {
            vm.silence.fill(0);
            vm.watch.observe(&signs, true);
        });
    }

    /// It dies with all that it held, and another one comes in its stead.
    fn die(&self, vm: usize) {
        let spare = self.fresh();
        self.vm(vm, |vm| {
            vm.holding = LocalLease {
                instance: spare,
                held: 0,
            };
            vm.held.clear();
            vm.watch = LivenessMonitor::default();
        });
    }

    fn give_up(&self, vm: usize, instance: u64) {
        self.expired.set(self.expired.get() + 1);
        self.vm(vm, |vm| {
            let tells = vm.silence.iter().any(|ticks| *ticks >= 3);
            assert!(tells, "it was given up alive: {:?}", vm.silence);
            vm.holding = LocalLease { instance, held: 0 };
        });
    }

    /// The record against what VMs hold. One that is inside a step is between two truths by one slot.
    fn check(&self, after: Turn) {
        let places = self.places();
        for vm in self.vms.borrow().iter().filter(|vm| !vm.busy) {
            let own = vm.held.iter();
            let own = own.filter(|place| place.instance == vm.holding.instance);
            let (believed, held) = (own.count() as u32, places.held_by(vm.holding.instance));
            assert_eq!(believed, vm.holding.held);
            let lost = vm.silence.iter().any(|ticks| *ticks >= 3);
            assert!(
                held == believed || lost && held == 0,
                "{after:?}: {places:?}"
            );
        }
        assert!(places.in_flight() <= self.limit, "{after:?}: {places:?}");
    }

    /// All requests end, and the dead are found.
    fn finish(&self) {
        self.between.borrow_mut().clear();
        let vms = self.vms.borrow().len();
        for vm in 0..vms {
            while self.vm(vm, |vm| !vm.held.is_empty()) {
                self.run(Turn::End(vm, 0));
            }
        }
        for _ in 0..5 {
            self.run(Turn::Tick(0));
        }
        assert_eq!(self.places().in_flight(), 0, "{:?}", self.places());
    }
}

#[test]
fn places_are_exact_over_vms_whatever_the_interleaving_and_those_of_the_dead_come_back() {
    let config = Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let seen = Cell::new([0_u32; 4]);
    let cases = (2_usize..=5, 1_u32..12).prop_flat_map(|(vms, limit)| {
        let turns = prop::collection::vec(turn(vms), 1..200);
        let between = prop::collection::vec(turn(vms), 0..200);
        (Just((vms, limit)), turns, between)
    });
    let result = runner.run(&cases, |((vms, limit), turns, between)| {
        let world = World::new(vms, limit, between.into());
        for turn in &turns {
            world.run(*turn);
        }
        world.finish();
        let more = [&world.intruded, &world.taken, &world.full, &world.expired].map(Cell::get);
        let before = seen.get();
        seen.set(std::array::from_fn(|at| before[at] + more[at]));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    let [intruded, taken, full, expired] = seen.get();
    assert!(
        intruded > 10_000 && taken > 10_000 && full > 10_000 && expired > 100,
        "others came in between {intruded} times, {taken} taken, {full} full, {expired} given up"
    );
}
