//! Eight workers, each under its own number, that come in between each other's load and swap while time passes. They begin
//! closed or half-open, under rates and failures in a row.
//!
//! Each step is taken once more by one worker alone, in the order in which the steps came to stand: the record must be the
//! same to the byte. Where each failure is told right after its good verdict, the same holds beside a third record, to
//! which it is told at once.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use seawall_policy::admission::{self, Decision, MayHold, Request, Settlement};
use seawall_policy::breaker::{
    Asker, Breaker, Cause, Counted, LastWord, Moment, OpenTime, Permit, Phase, Settings, State,
    Transition,
};
use seawall_policy::policy::Policy;
use seawall_policy::shared::configurations::Standing;
use seawall_policy::shared::governed_upstream::GovernedUpstream;
use seawall_policy::shared::instance;
use seawall_policy::shared::leases::LocalLease;
use seawall_policy::shared::record::Record;
use seawall_policy::shared::store::{Found, HostError, SharedStore};
use seawall_policy::shared::upstream::StepReport;
use seawall_policy::time::{Span, Timestamp};

use super::{SEED, runner, settings, trips, verdict};
use crate::shared::{KEY, Shared};

const WORKERS: usize = 8;
const START: Timestamp = Timestamp::nanos(5_000_000_000);

/// What a worker does, after so many milliseconds.
#[derive(Clone, Copy, Debug)]
struct Turn {
    millis: u64,
    worker: usize,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request comes, which will fail or not.
    Ask { fails: bool },
    /// One of the worker's requests has its verdict.
    End(usize),
    /// One that was counted well has failed.
    Fail(usize),
}

fn turn(millis: u64) -> impl Strategy<Value = Turn> {
    let step = prop_oneof![
        5 => prop::bool::weighted(0.6).prop_map(|fails| Step::Ask { fails }),
        5 => any::<usize>().prop_map(Step::End),
        2 => any::<usize>().prop_map(Step::Fail),
    ];
    let passes = prop_oneof![3 => Just(0_u64), 1 => 0..millis];
    (passes, 0..WORKERS, step).prop_map(|(millis, worker, step)| Turn {
        millis,
        worker,
        step,
    })
}

/// Turns, each with those that others take before its swaps.
fn turns() -> impl Strategy<Value = Vec<(Turn, Vec<Turn>)>> {
    let between = prop::collection::vec(turn(400), 0..3);
    prop::collection::vec((turn(2_000), between), 1..150)
}

/// When a failure is told of a request that was counted well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Right after that, before anybody else comes in between.
    Directly,
    /// Whenever it is.
    Sometime,
}

/// How often each was seen, over all runs.
#[derive(Debug, Default)]
struct Seen {
    failed_while_closed: Cell<u32>,
    failed_in_half_open: Cell<u32>,
    opened_by_rate: Cell<u32>,
    opened_by_row: Cell<u32>,
    opened_again: Cell<u32>,
    closed: Cell<u32>,
    lost: Cell<u32>,
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

impl Seen {
    fn made(&self, made: &[Transition]) {
        for made in made {
            match (made.from, made.to, made.cause) {
                (Phase::Closed, _, Cause::Consecutive { .. }) => count(&self.opened_by_row),
                (Phase::Closed, ..) => count(&self.opened_by_rate),
                (Phase::HalfOpen, Phase::Open, _) => count(&self.opened_again),
                (Phase::HalfOpen, ..) => count(&self.closed),
                (Phase::Open, ..) => {}
            }
        }
    }

    fn assert_more_than(&self, most: u32) {
        let all = [
            &self.failed_while_closed,
            &self.failed_in_half_open,
            &self.opened_by_rate,
            &self.opened_by_row,
            &self.opened_again,
            &self.closed,
            &self.lost,
        ];
        assert!(all.iter().all(|cell| cell.get() > most), "{self:?}");
    }
}

/// One worker as it sees itself.
struct Worker {
    permits: LocalLease,
    going: Vec<(Permit, bool)>,
    /// Counted well, and about to fail.
    counted: Vec<(Permit, Counted)>,
    /// Inside a step: it cannot take another one.
    busy: bool,
}

/// The record of eight workers, that of one alone, and that of one who is told of failures at once.
struct World<'a> {
    upstream: GovernedUpstream<'a>,
    told: Told,
    eight: Shared<'static>,
    alone: Shared<'static>,
    once: Shared<'static>,
    between: RefCell<Vec<Turn>>,
    workers: RefCell<Vec<Worker>>,
    now: Cell<Timestamp>,
    seen: &'a Seen,
}

impl SharedStore for World<'_> {
    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        self.eight.load(key)
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        let next = self.between.borrow_mut().pop();
        if let Some(turn) = next {
            self.run(turn);
        }
        self.eight.swap(key, bytes, cas)
    }
}

impl<'a> World<'a> {
    fn new(upstream: GovernedUpstream<'a>, told: Told, half_open: bool, seen: &'a Seen) -> Self {
        let mut record = Record::new(upstream.claim());
        if half_open {
            record.breaker = Breaker {
                generation: 1,
                trips: 1,
                last: START,
                state: State::Open { until: START },
                ..record.breaker
            };
        }
        let worker = |number: usize| Worker {
            permits: LocalLease::none(instance::vm((number as u64 + 1) << 8)),
            going: Vec::new(),
            counted: Vec::new(),
            busy: false,
        };
        let world = Self {
            upstream,
            told,
            eight: Shared::default(),
            alone: Shared::default(),
            once: Shared::default(),
            between: RefCell::default(),
            workers: RefCell::new((0..WORKERS).map(worker).collect()),
            now: Cell::new(START),
            seen,
        };
        for store in [&world.eight, &world.alone, &world.once] {
            let stored = store.swap(KEY.as_str(), &record.encode(), 0);
            assert_eq!(stored, Ok(true));
        }
        world
    }

    fn worker<T>(&self, number: usize, with: impl FnOnce(&mut Worker) -> T) -> T {
        with(&mut self.workers.borrow_mut()[number])
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now.get(),
            draw: 0,
        }
    }

    fn run(&self, turn: Turn) {
        let worker = turn.worker;
        self.now
            .set(self.now.get().after(Span::millis(turn.millis)));
        if self.worker(worker, |worker| std::mem::replace(&mut worker.busy, true)) {
            return;
        }
        match turn.step {
            Step::Ask { fails } => self.ask(worker, fails),
            Step::End(which) => self.end(worker, which),
            Step::Fail(which) => self.fail(worker, which),
        }
        self.worker(worker, |worker| worker.busy = false);
    }

    fn ask(&self, worker: usize, fails: bool) {
        let moment = self.moment();
        let request = Request {
            inbound: false,
            asker: Asker {
                peer: 0,
                complete: true,
            },
            draw: 0,
            local_permits: self.worker(worker, |worker| worker.permits),
            may_hold: MayHold::Yes,
            deposits: 0,
        };
        let (decision, report) = admission::admit(self, &self.upstream, &request, moment);
        assert!(report.is_committed());
        let once = (self.told == Told::Directly).then_some(&self.once);
        for other in once.into_iter().chain([&self.alone]) {
            let (same, made) = admission::admit(other, &self.upstream, &request, moment);
            assert_eq!(same, decision);
            assert_eq!(trips(&made.transitions), trips(&report.transitions));
        }
        self.seen.made(&report.transitions);
        self.worker(worker, |worker| {
            if report.expired {
                worker.permits = worker.permits.anew();
            }
            let Decision::Admit(Some(permit)) = decision else {
                return;
            };
            if let Some(instance) = permit.probe {
                worker.permits.took(instance, permit.generation);
            }
            worker.going.push((permit, fails));
        });
        self.agree();
    }

    fn end(&self, worker: usize, which: usize) {
        let going = self.worker(worker, |worker| {
            let at = which.checked_rem(worker.going.len())?;
            Some(worker.going.swap_remove(at))
        });
        let Some((permit, fails)) = going else { return };
        let moment = self.moment();
        // A verdict that decides is the last word: a request that may still fail is not counted so early.
        let at_once = fails && self.told == Told::Directly && self.may_decide();
        let first = self.settle(permit, Settlement::Verdict(verdict(at_once)), moment);
        let mut made = first.transitions;
        if let Some(instance) = permit.probe {
            self.worker(worker, |worker| {
                worker.permits.returned(instance, permit.generation);
            });
        }
        let counted = first.counted.filter(|_| fails && !at_once);
        match (self.told, counted) {
            (Told::Directly, Some(counted)) => {
                let others = self.between.take();
                made.extend(self.failed(permit, counted, moment));
                self.between.replace(others);
            }
            (Told::Sometime, Some(counted)) => {
                self.worker(worker, |worker| worker.counted.push((permit, counted)));
            }
            (_, None) => {}
        }
        if self.told == Told::Directly {
            let settlement = Settlement::Verdict(verdict(fails));
            let once = admission::settle(&self.once, &self.upstream, permit, settlement, moment);
            assert!(once.is_committed());
            assert_eq!(trips(&made), trips(&once.transitions));
        }
        self.agree();
    }

    fn fail(&self, worker: usize, which: usize) {
        let counted = self.worker(worker, |worker| {
            let at = which.checked_rem(worker.counted.len())?;
            Some(worker.counted.swap_remove(at))
        });
        if let Some((permit, counted)) = counted {
            self.failed(permit, counted, self.moment());
            self.agree();
        }
    }

    fn failed(&self, permit: Permit, counted: Counted, moment: Moment) -> Vec<Transition> {
        let word = LastWord::Failed { host: 0 };
        let report = self.settle(permit, Settlement::Late { counted, word }, moment);
        let from = report.transitions.first().map(|made| made.from);
        match from.or(report.phase) {
            Some(Phase::Closed) => count(&self.seen.failed_while_closed),
            Some(Phase::HalfOpen) => count(&self.seen.failed_in_half_open),
            Some(Phase::Open) | None => {}
        }
        report.transitions
    }

    /// Settles it among the eight, and then alone.
    fn settle(&self, permit: Permit, settlement: Settlement, moment: Moment) -> StepReport {
        let report = admission::settle(self, &self.upstream, permit, settlement, moment);
        assert!(report.is_committed());
        let alone = admission::settle(&self.alone, &self.upstream, permit, settlement, moment);
        assert_eq!(report.transitions, alone.transitions);
        assert_eq!(report.counted, alone.counted);
        self.seen.made(&report.transitions);
        report
    }

    /// Whether the next verdict may end half-open, though others come in between with theirs.
    fn may_decide(&self) -> bool {
        let record = Record::decode(&self.eight.bytes()).expect("a record");
        let State::HalfOpen(probing) = &record.breaker.state else {
            return false;
        };
        let others = self.between.borrow().len() as u32;
        let permits = self.upstream.policy.breaker.half_open.permits;
        probing.verdicts.calls + 1 + others >= permits
    }

    /// A step stands: the same stands in the other records.
    fn agree(&self) {
        let read = |store: &Shared<'_>| Record::decode(&store.bytes()).expect("a record").breaker;
        let eight = read(&self.eight);
        assert_eq!(eight, read(&self.alone));
        if self.told == Told::Directly {
            assert_eq!(eight, read(&self.once));
        }
    }
}

/// Runs them under random settings.
fn run(told: Told, seen: &Seen) {
    let cases = (settings(), 1_u32..9, any::<bool>(), turns());
    let result = runner(1_500).run(&cases, |(settings, permits, half_open, turns)| {
        let mut settings = Settings {
            open: OpenTime {
                base: Span::secs(1),
                cap: Span::secs(4),
                ..settings.open
            },
            ..settings
        };
        settings.half_open.permits = permits;
        let policy = Policy {
            breaker: settings,
            ..Policy::default()
        };
        let standing = Standing::since(Timestamp::nanos(1));
        let upstream = GovernedUpstream {
            dead: &[],
            policy: &policy,
            key: Some(&KEY),
            standing: &standing,
        };
        let world = World::new(upstream, told, half_open, seen);
        for (turn, between) in turns {
            world.between.replace(between);
            world.run(turn);
        }
        seen.lost.set(seen.lost.get() + world.eight.lost.get());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
}

#[test]
fn eight_workers_open_and_close_it_by_failures_told_late_as_by_failures_told_at_once() {
    let seen = Seen::default();
    run(Told::Directly, &seen);
    seen.assert_more_than(40);
}

#[test]
fn eight_workers_that_tell_failures_whenever_they_come_are_as_one_that_is_told_the_same() {
    let seen = Seen::default();
    run(Told::Sometime, &seen);
    seen.assert_more_than(40);
}
