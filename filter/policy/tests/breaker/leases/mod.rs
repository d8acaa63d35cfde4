//! VMs that hold permits and slots, by records that all of them share: whole steps of others run between a VM's load and its swap.
//!
//! One world for both kinds of leases, with one list of members. Whatever the order, what stands in the records agrees after
//! every step with what the VMs took and gave back, and stays within the permits and the slots. A VM is given up for dead only if it
//! died, or did not tick while another ticked three times; what it held is void then, and only that is. Once all is over
//! nothing is held.

mod permits;
mod slots;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_policy::admission;
use seawall_policy::breaker::{HalfOpen, Moment, OpenTime, Settings, State, Thresholds};
use seawall_policy::concurrency::local::LocalSlots;
use seawall_policy::concurrency::{self, InFlightSlots, SlotId};
use seawall_policy::liveness::Liveness;
use seawall_policy::outcome::Outcome;
use seawall_policy::policy::Policy;
use seawall_policy::priority::Priority;
use seawall_policy::ratio::Share;
use seawall_policy::shared::configurations::Standing;
use seawall_policy::shared::governed_upstream::GovernedUpstream;
use seawall_policy::shared::instance;
use seawall_policy::shared::keys;
use seawall_policy::shared::leases::{Lease, LocalLease};
use seawall_policy::shared::members::view::MembersView;
use seawall_policy::shared::state::Key;
use seawall_policy::shared::store::{Found, HostError, SharedStore};
use seawall_policy::time::{Span, Timestamp};

use crate::shared::KEY;

const SEED: [u8; 32] = [23; 32];
const DEPTH_MAX: u32 = 3;
const HALF_OPEN_AT: u64 = 1_000;
static SLOTS: LazyLock<Key<InFlightSlots>> = LazyLock::new(|| keys::places(&KEY));

#[derive(Clone, Copy, Debug)]
enum Turn {
    /// A request asks the breaker.
    Ask(usize),
    /// It ends, with this outcome.
    EndProbe(usize, usize, usize),
    /// A permit lapses; its request goes on.
    Lapse(usize, usize),
    /// A request asks for a slot.
    TakeSlot(usize, Priority),
    /// It ends.
    EndSlot(usize, usize),
    Tick(usize),
    /// A VM dies with all that it holds, and another one comes in its stead.
    Die(usize),
    Wait(u64),
}

impl Turn {
    const fn vm(self) -> Option<usize> {
        match self {
            Self::Ask(vm)
            | Self::EndProbe(vm, ..)
            | Self::Lapse(vm, _)
            | Self::TakeSlot(vm, _)
            | Self::EndSlot(vm, _)
            | Self::Tick(vm)
            | Self::Die(vm) => Some(vm),
            Self::Wait(_) => None,
        }
    }
}

fn turn(vms: usize) -> impl Strategy<Value = Turn> {
    let outcome = prop::sample::select(vec![0_usize, 0, 0, 1, 2, 3, 4]);
    let priority = prop::sample::select(Priority::ALL.to_vec());
    let which = || (0..vms, 0_usize..64);
    prop_oneof![
        12 => (0..vms).prop_map(Turn::Ask),
        8 => (which(), outcome).prop_map(|((vm, which), outcome)| Turn::EndProbe(vm, which, outcome)),
        2 => which().prop_map(|(vm, which)| Turn::Lapse(vm, which)),
        12 => (0..vms, priority).prop_map(|(vm, priority)| Turn::TakeSlot(vm, priority)),
        8 => which().prop_map(|(vm, which)| Turn::EndSlot(vm, which)),
        12 => (0..vms).prop_map(Turn::Tick),
        1 => (0..vms).prop_map(Turn::Die),
        4 => prop::sample::select(vec![0_u64, 1, 499, 500, 999, 1_000, 2_000]).prop_map(Turn::Wait),
    ]
}

/// One VM as it sees itself.
struct Vm {
    view: MembersView,
    permits: LocalLease,
    held: Vec<permits::Held>,
    slots: LocalSlots,
    in_flight: Vec<SlotId>,
    /// Inside a step: it cannot take another one.
    busy: bool,
    dead: bool,
    /// How often each other VM ticked since this one did.
    silence: Vec<u32>,
}

impl Vm {
    fn new(number: u64, vms: usize) -> Self {
        let number = instance::vm(number << 8);
        Self {
            view: MembersView::new(number),
            permits: LocalLease::none(number),
            held: Vec::new(),
            slots: LocalSlots::none(number),
            in_flight: Vec::new(),
            busy: false,
            dead: false,
            silence: vec![0; vms],
        }
    }

    /// Whether nobody may take anything from it.
    fn is_alive(&self) -> bool {
        !self.dead && self.silence.iter().all(|ticks| *ticks < 3)
    }

    fn begin_anew(&mut self, number: u64) {
        let number = instance::vm(number << 8);
        self.view.begin_anew(number);
        (self.permits, self.slots) = (LocalLease::none(number), LocalSlots::none(number));
    }
}

/// Shared data as Envoy keeps it, the VMs, and who comes in between.
struct World {
    policy: Policy,
    limit: u32,
    found: RefCell<BTreeMap<String, Found>>,
    counter: Cell<u32>,
    now: Cell<u64>,
    /// Those that take turns, and behind them the dead.
    vms: RefCell<Vec<Vm>>,
    turns_of: usize,
    between: RefCell<VecDeque<Turn>>,
    depth: Cell<u32>,
    numbers: Cell<u64>,
    ledger: Cell<permits::Ledger>,
    /// Whether the step that is taken found permits that were held for too long.
    waited: Cell<bool>,
    wrong: RefCell<Vec<String>>,
    intruded: Cell<u32>,
    admitted: Cell<u32>,
    probes: Cell<u32>,
    /// Verdicts of requests that held no permit any more.
    late: Cell<u32>,
    taken: Cell<u32>,
    /// Of those, how many without a look at the record.
    unread: Cell<u32>,
    /// What says that the record of slots has to be looked at.
    epoch: Cell<u64>,
    full: Cell<u32>,
    expired: Cell<u32>,
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

impl SharedStore for World {
    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        Ok(self.found.borrow().get(key).cloned())
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        if self.depth.get() < DEPTH_MAX {
            let next = self.between.borrow_mut().pop_front();
            let ran = next.is_some_and(|turn| {
                // What the step around it stored before is known when it begins.
                self.compare_permits(turn);
                !matches!(turn, Turn::Wait(_)) && self.run(turn)
            });
            self.intruded.set(self.intruded.get() + u32::from(ran));
        }
        let mut found = self.found.borrow_mut();
        if found.get(key).is_some_and(|found| found.cas != cas) {
            return Ok(false);
        }
        count(&self.counter);
        let stored = Found {
            bytes: bytes.to_vec(),
            cas: self.counter.get(),
        };
        found.insert(key.to_owned(), stored);
        Ok(true)
    }
}

impl World {
    fn new(vms: usize, permits: u32, limit: u32, between: VecDeque<Turn>) -> Self {
        let breaker = Settings {
            thresholds: Thresholds {
                consecutive: 2,
                ..Settings::default().thresholds
            },
            open: OpenTime {
                base: Span::millis(HALF_OPEN_AT),
                cap: Span::millis(HALF_OPEN_AT),
                jitter: Share::NONE,
            },
            half_open: HalfOpen {
                permits,
                wait: Span::secs(5),
            },
            ramp: Span::ZERO,
            ..Settings::default()
        };
        let policy = Policy {
            breaker,
            ..Policy::default()
        };
        let world = Self {
            policy,
            limit,
            found: RefCell::default(),
            counter: Cell::new(0),
            now: Cell::new(0),
            vms: RefCell::default(),
            turns_of: vms,
            between: RefCell::new(between),
            depth: Cell::new(0),
            numbers: Cell::new(0),
            ledger: Cell::default(),
            waited: Cell::default(),
            wrong: RefCell::default(),
            intruded: Cell::new(0),
            admitted: Cell::new(0),
            probes: Cell::new(0),
            late: Cell::new(0),
            taken: Cell::new(0),
            unread: Cell::new(0),
            epoch: Cell::new(0),
            full: Cell::new(0),
            expired: Cell::new(0),
        };
        let all = (0..vms).map(|_| Vm::new(world.number(), vms)).collect();
        world.vms.replace(all);
        world
    }

    /// A number that nobody had.
    fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    fn upstream_without<'a>(&'a self, dead: &'a [u64]) -> GovernedUpstream<'a> {
        GovernedUpstream {
            policy: &self.policy,
            key: Some(&KEY),
            standing: &const { Standing::since(Timestamp::nanos(1)) },
            dead,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Timestamp::ZERO.after(Span::millis(self.now.get())),
            draw: 0,
        }
    }

    fn vm<T>(&self, vm: usize, with: impl FnOnce(&mut Vm) -> T) -> T {
        with(&mut self.vms.borrow_mut()[vm])
    }

    /// Something that a VM does with its view of the others, while others come in between.
    fn with_view<T>(&self, vm: usize, with: impl FnOnce(&mut MembersView) -> T) -> T {
        let mut view = self.vm(vm, |vm| {
            let number = vm.view.vm();
            std::mem::replace(&mut vm.view, MembersView::new(number))
        });
        let done = with(&mut view);
        self.vm(vm, |vm| vm.view = view);
        done
    }

    /// One whole turn; `false` if its VM is inside another one.
    fn run(&self, turn: Turn) -> bool {
        let Some(vm) = turn.vm() else {
            if let Turn::Wait(millis) = turn {
                self.now.set(self.now.get() + millis);
            }
            return true;
        };
        if self.vm(vm, |vm| std::mem::replace(&mut vm.busy, true)) {
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        match turn {
            Turn::Ask(_) => self.ask(vm),
            Turn::EndProbe(_, which, outcome) => self.end_probe(vm, which, Outcome::ALL[outcome]),
            Turn::Lapse(_, which) => self.lapse(vm, which),
            Turn::TakeSlot(_, priority) => self.take_slot(vm, priority),
            Turn::EndSlot(_, which) => self.end_slot(vm, which),
            Turn::Tick(_) => self.tick(vm),
            Turn::Die(_) => self.die(vm),
            Turn::Wait(_) => {}
        }
        self.depth.set(self.depth.get() - 1);
        self.vm(vm, |vm| vm.busy = false);
        self.compare_permits(turn);
        self.compare_slots(turn);
        if self.depth.get() == 0 {
            self.waited.set(false);
        }
        true
    }

    /// A VM is listed, under another number if it was given up.
    fn enroll(&self, vm: usize) {
        let now = self.moment().now;
        let enroll = |view: &mut MembersView| {
            view.enroll(self, &keys::MEMBERS, now)
                .expect("it is decided")
        };
        if self.with_view(vm, enroll).given_up {
            self.give_up(vm);
            assert!(!self.with_view(vm, enroll).given_up);
        }
        self.vm(vm, |vm| {
            assert!(vm.view.is_listed());
            vm.silence.fill(0);
        });
    }

    fn give_up(&self, vm: usize) {
        count(&self.expired);
        let number = self.number();
        self.vm(vm, |vm| {
            assert!(!vm.is_alive(), "it was given up alive: {:?}", vm.silence);
            vm.begin_anew(number);
        });
    }

    fn tick(&self, vm: usize) {
        for other in self.vms.borrow_mut().iter_mut() {
            other.silence[vm] += 1;
        }
        let now = self.moment().now;
        let sight = self.with_view(vm, |view| view.look(self, &keys::MEMBERS, true, now));
        match sight.expect("it is decided").given_up {
            true => {
                self.give_up(vm);
                self.enroll(vm);
            }
            false => self.vm(vm, |vm| vm.silence.fill(0)),
        }
        self.settle_idle(vm);
        let (permits, slots) = self.vm(vm, |vm| (vm.permits, vm.slots.lease()));
        let upstream = self.upstream_without(&[]);
        let notes = self.with_view(vm, |view| {
            let mut gone = |lease: &Lease| view.is_gone(lease.liveness());
            admission::maintain(self, &upstream, (permits, false), &mut gone, self.moment())
        });
        if notes.expired {
            self.vm(vm, |vm| vm.permits = vm.permits.anew());
        }
        let notes = self.with_view(vm, |view| {
            let mut gone = |lease: &Lease| {
                view.is_gone(Liveness {
                    instance: lease.instance,
                    beat: 0,
                })
            };
            concurrency::maintain(self, &SLOTS, (slots, false), &mut gone, Timestamp::nanos(7))
        });
        if notes.expired {
            self.give_up_slots(vm);
            self.vm(vm, |vm| vm.slots.lost());
        }
    }

    fn die(&self, vm: usize) {
        let fresh = Vm::new(self.number(), self.turns_of);
        let mut vms = self.vms.borrow_mut();
        let mut dead = std::mem::replace(&mut vms[vm], fresh);
        (dead.dead, dead.busy) = (true, false);
        vms.push(dead);
    }

    /// All requests end, or all VMs die; the dead are found, and a VM that was never there before finds everything free.
    fn finish(&self, all_die: bool) {
        self.between.borrow_mut().clear();
        for vm in 0..self.turns_of {
            if all_die {
                self.run(Turn::Die(vm));
                continue;
            }
            while self.vm(vm, |vm| !vm.in_flight.is_empty()) {
                self.run(Turn::EndSlot(vm, 0));
            }
            self.settle_idle(vm);
            self.settle_idle(vm);
            while self.vm(vm, |vm| !vm.held.is_empty()) {
                self.run(Turn::Lapse(vm, 0));
                self.vm(vm, |vm| vm.held.remove(0));
            }
        }
        // Who watches was never listed, and looks at the list alone.
        let mut observer = MembersView::new(instance::vm(u64::MAX));
        for _ in 0..5 {
            let now = self.moment().now;
            observer
                .look(self, &keys::MEMBERS, true, now)
                .expect("it is decided");
            let alive = (0..self.turns_of).filter(|_| !all_die);
            alive.for_each(|vm| {
                self.run(Turn::Tick(vm));
            });
        }
        let first = 0;
        self.run(Turn::TakeSlot(first, Priority::CriticalPlus));
        let held = self.slots().in_flight();
        let own = self.vm(first, |vm| 1 + vm.slots.idle());
        assert_eq!(held, own, "{:?}", self.slots());
        self.run(Turn::Ask(first));
        if let State::HalfOpen(probing) = self.record().expect("a record").breaker.state {
            let own = self.vm(first, |vm| vm.permits.instance);
            let others = probing.holders.list().iter();
            let mut others = others.filter(|lease| lease.instance != own);
            assert!(others.next().is_none(), "{probing:?}");
        }
    }
}

#[test]
fn leases_are_exact_over_vms_whatever_the_interleaving_and_those_of_the_dead_come_back() {
    let config = Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let seen = Cell::new([0_u32; 7]);
    // With the larger ones slots are held in advance.
    let limit = prop_oneof![1_u32..12, 60_u32..200];
    let cases = (2_usize..=5, 1_u32..5, limit, any::<bool>());
    let cases = cases.prop_flat_map(|(vms, permits, limit, all_die)| {
        let turns = prop::collection::vec(turn(vms), 1..300);
        let between = prop::collection::vec(turn(vms), 0..300);
        (Just((vms, permits, limit, all_die)), turns, between)
    });
    let result = runner.run(
        &cases,
        |((vms, permits, limit, all_die), turns, between)| {
            let world = World::new(vms, permits, limit, between.into());
            let failure = Turn::EndProbe(0, 0, 2);
            let opens = [Turn::Ask(0), failure, Turn::Ask(0), failure];
            let opens = opens.iter().chain(&[Turn::Wait(HALF_OPEN_AT)]);
            for turn in opens.chain(&turns) {
                world.run(*turn);
                let wrong = world.wrong.borrow();
                prop_assert!(wrong.is_empty(), "{wrong:#?}");
            }
            world.finish(all_die);
            let more = [
                &world.intruded,
                &world.probes,
                &world.late,
                &world.taken,
                &world.full,
                &world.expired,
                &world.unread,
            ];
            let before = seen.get();
            seen.set(std::array::from_fn(|at| before[at] + more[at].get()));
            Ok(())
        },
    );
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    let [intruded, probes, late, taken, full, expired, unread] = seen.get();
    assert!(
        intruded > 10_000
            && probes > 10_000
            && late > 100
            && taken > 10_000
            && full > 10_000
            && expired > 100
            && unread > 1_000,
        "others came in between {intruded} times, {probes} probes, {late} late, {taken} slots taken, {unread} of them \
         unread, {full} times full, {expired} given up"
    );
}
