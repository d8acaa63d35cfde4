//! Workers that share one record: whole steps of others run between a worker's load and its swap.
//!
//! A ledger beside the record knows which probes went out and what came back. Whatever the order, the record and the
//! ledger agree after every step, and probes in flight plus verdicts stay within the permits. A worker is given up for
//! dead only if it did not tick while another ticked three times; what it held is void then, and only that is.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_policy::admission::{Decision, Request, Settlement, admit, maintain, settle};
use seawall_policy::breaker::{
    Asker, HalfOpen, LocalPermits, Moment, OpenTime, Permit, Settings, State, Thresholds, Verdict,
};
use seawall_policy::liveness::LivenessMonitor;
use seawall_policy::outcome::Outcome;
use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::shared::record::Record;
use seawall_policy::shared::store::{Found, HostError, SharedStore};
use seawall_policy::shared::upstream::GovernedUpstream;
use seawall_policy::time::{Span, Timestamp};

const SEED: [u8; 32] = [23; 32];
const DEPTH_MAX: u32 = 3;
const HALF_OPEN_AT: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
enum Turn {
    Ask(usize),
    End(usize, usize, usize),
    /// A permit lapses; its request goes on.
    Lapse(usize, usize),
    Tick(usize),
    Wait(u64),
}

fn turn(workers: usize) -> impl Strategy<Value = Turn> {
    let outcome = prop::sample::select(vec![0_usize, 0, 0, 1, 2, 3, 4]);
    prop_oneof![
        6 => (0..workers).prop_map(Turn::Ask),
        4 => (0..workers, 0_usize..64, outcome)
            .prop_map(|(worker, which, outcome)| Turn::End(worker, which, outcome)),
        1 => (0..workers, 0_usize..64).prop_map(|(worker, which)| Turn::Lapse(worker, which)),
        4 => (0..workers).prop_map(Turn::Tick),
        2 => prop::sample::select(vec![0_u64, 1, 499, 500, 999, 1_000, 2_000]).prop_map(Turn::Wait),
    ]
}

/// A permit of a worker.
#[derive(Clone, Copy, Debug)]
struct Held {
    number: u32,
    permit: Permit,
    /// Its worker was given up for dead, and does not know it.
    void: bool,
}

/// One worker as it sees itself.
struct Worker {
    instance: u64,
    held: Vec<Held>,
    watch: LivenessMonitor,
    /// Inside a step: it cannot take another one.
    busy: bool,
    /// How often each other worker ticked since this one did.
    silence: Vec<u32>,
}

/// What is known of one half-open generation without looking at the record.
#[derive(Clone, Copy, Debug, Default)]
struct Ledger {
    generation: u64,
    verdicts: u32,
    /// Since when permits are held without a verdict.
    wait_from: Option<u64>,
}

/// The world: shared data as Envoy keeps it, the workers, and who comes in between.
struct World {
    policy: Policy,
    found: RefCell<Option<Found>>,
    counter: Cell<u32>,
    now: Cell<u64>,
    workers: RefCell<Vec<Worker>>,
    between: RefCell<VecDeque<Turn>>,
    depth: Cell<u32>,
    spare: Cell<u64>,
    ledger: Cell<Ledger>,
    intruded: Cell<u32>,
    admitted: Cell<u32>,
    probes: Cell<u32>,
    expiries: Cell<u32>,
    /// Whether the step that is taken found permits that were held for too long.
    waited: Cell<bool>,
    /// Verdicts of requests that held no permit any more.
    late: Cell<u32>,
    wrong: RefCell<Vec<String>>,
}

impl SharedStore for World {
    fn load(&self, _: &str) -> Result<Option<Found>, HostError> {
        Ok(self.found.borrow().clone())
    }

    fn swap(&self, _: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        if self.depth.get() < DEPTH_MAX {
            let next = self.between.borrow_mut().pop_front();
            let ran = next.is_some_and(|turn| !matches!(turn, Turn::Wait(_)) && self.take(turn));
            self.intruded.set(self.intruded.get() + u32::from(ran));
        }
        let mut found = self.found.borrow_mut();
        if found
            .as_ref()
            .is_some_and(|found| cas != 0 && found.cas != cas)
        {
            return Ok(false);
        }
        self.counter.set(self.counter.get() + 1);
        *found = Some(Found {
            bytes: bytes.to_vec(),
            cas: self.counter.get(),
        });
        Ok(true)
    }
}

impl World {
    fn new(workers: usize, permits: u32, between: VecDeque<Turn>) -> Self {
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
        let worker = |number| Worker {
            instance: number as u64 + 1,
            held: Vec::new(),
            watch: LivenessMonitor::default(),
            busy: false,
            silence: vec![0; workers],
        };
        Self {
            policy,
            found: RefCell::default(),
            counter: Cell::new(0),
            now: Cell::new(0),
            workers: RefCell::new((0..workers).map(worker).collect()),
            between: RefCell::new(between),
            waited: Cell::default(),
            depth: Cell::new(0),
            spare: Cell::new(1_000),
            ledger: Cell::default(),
            intruded: Cell::new(0),
            admitted: Cell::new(0),
            probes: Cell::new(0),
            expiries: Cell::new(0),
            late: Cell::new(0),
            wrong: RefCell::default(),
        }
    }

    fn upstream(&self) -> GovernedUpstream<'_> {
        GovernedUpstream {
            policy: &self.policy,
            key: Some(&crate::shared::KEY),
            standing: &const {
                seawall_policy::shared::configurations::Standing::since(Timestamp::nanos(1))
            },
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Timestamp::ZERO.after(Span::millis(self.now.get())),
            draw: 0,
        }
    }

    fn record(&self) -> Option<Record> {
        let found = self.found.borrow();
        Record::decode(&found.as_ref()?.bytes).ok()
    }

    fn worker<T>(&self, worker: usize, with: impl FnOnce(&mut Worker) -> T) -> T {
        with(&mut self.workers.borrow_mut()[worker])
    }

    /// What a worker believes to hold, of the generation that it last got a probe of.
    fn holding(&self, worker: usize) -> LocalPermits {
        self.worker(worker, |worker| {
            let instance = worker.instance;
            let mine = worker.held.iter().map(|held| held.permit);
            let mine = mine.filter(|permit| permit.probe == Some(instance));
            let generation = mine.clone().map(|own| own.generation).max().unwrap_or(0);
            let permits = mine.filter(|own| own.generation == generation).count() as u32;
            LocalPermits {
                instance,
                generation,
                permits,
            }
        })
    }

    /// One whole step; `false` if its worker is inside another one.
    fn take(&self, turn: Turn) -> bool {
        let (Turn::Ask(worker)
        | Turn::End(worker, ..)
        | Turn::Lapse(worker, _)
        | Turn::Tick(worker)) = turn
        else {
            if let Turn::Wait(millis) = turn {
                self.now.set(self.now.get() + millis);
            }
            return true;
        };
        if self.worker(worker, |worker| std::mem::replace(&mut worker.busy, true)) {
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        match turn {
            Turn::Ask(_) => self.ask(worker),
            Turn::End(_, which, outcome) => self.end(worker, which, Outcome::ALL[outcome]),
            Turn::Lapse(_, which) => self.lapse(worker, which),
            Turn::Tick(_) => self.tick(worker),
            Turn::Wait(_) => {}
        }
        self.depth.set(self.depth.get() - 1);
        self.worker(worker, |worker| worker.busy = false);
        self.compare(turn);
        if self.depth.get() == 0 {
            self.waited.set(false);
        }
        true
    }

    fn ask(&self, worker: usize) {
        let spare = self.spare.get() + 1;
        self.spare.set(spare);
        let request = Request {
            inbound: false,
            asker: Asker {
                peer: 0,
                complete: true,
            },
            deposits: 0,
            draw: 0,
            local_permits: self.holding(worker),
            next_instance: spare,
        };
        let (decision, notes) = admit(self, &self.upstream(), &request, self.moment());
        self.worker(worker, |worker| {
            if notes.expired {
                worker.instance = spare;
            }
            if let Decision::Admit(Some(permit)) = decision {
                let number = self.admitted.get() + 1;
                self.admitted.set(number);
                self.probes
                    .set(self.probes.get() + u32::from(permit.probe.is_some()));
                worker.held.push(Held {
                    number,
                    permit,
                    void: false,
                });
            }
        });
    }

    fn end(&self, worker: usize, which: usize, outcome: Outcome) {
        let held = self.worker(worker, |worker| worker.held.len());
        if held == 0 {
            return;
        }
        let Held { number, permit, .. } = self.worker(worker, |worker| worker.held[which % held]);
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer: 0,
        };
        let settlement = Settlement::Verdict(verdict);
        // The step itself takes back what was held for too long, before it looks for the permit.
        let wait = self.policy.breaker.half_open.wait.as_millis();
        let waited = self.ledger.get().wait_from;
        let waited = waited.is_some_and(|from| from + wait <= self.now.get());
        self.waited.set(self.waited.get() | waited);
        let notes = settle(self, &self.upstream(), permit, settlement, self.moment());
        if !notes.is_committed() {
            // Still to be settled: the permit stays where it is.
            return;
        }
        let void = self.worker(worker, |worker| {
            let place = worker.held.iter().position(|held| held.number == number);
            worker.held.remove(place.expect("it is held")).void
        });
        let mut ledger = self.ledger.get();
        if ledger.generation != permit.generation {
            return;
        }
        // What holds a permit counts; what lost it counts where there is room.
        if notes.counted.is_some() {
            ledger.verdicts += 1;
            ledger.wait_from = Some(self.now.get());
            self.ledger.set(ledger);
            self.late
                .set(self.late.get() + u32::from(permit.probe.is_none() || void));
        } else if permit.probe.is_some() && !void && !waited && outcome.counts() {
            self.wrong
                .borrow_mut()
                .push(format!("the verdict of {number} was not counted"));
        }
    }

    fn lapse(&self, worker: usize, which: usize) {
        let held = self.worker(worker, |worker| worker.held.len());
        if held == 0 {
            return;
        }
        let Held { number, permit, .. } = self.worker(worker, |worker| worker.held[which % held]);
        let settlement = Settlement::GiveBack { peer: 0 };
        let notes = settle(self, &self.upstream(), permit, settlement, self.moment());
        if notes.is_committed() {
            self.worker(worker, |worker| {
                let mut held = worker.held.iter_mut();
                let held = held.find(|held| held.number == number);
                held.expect("it is held").permit.probe = None;
            });
        }
    }

    fn tick(&self, worker: usize) {
        let holding = self.holding(worker);
        let dead = self.worker(worker, |worker| worker.watch.dead());
        let (notes, holders) = maintain(self, &self.upstream(), holding, &dead, self.moment());
        let spare = self.spare.get() + 1;
        self.spare.set(spare);
        let mut workers = self.workers.borrow_mut();
        for other in workers.iter_mut() {
            other.silence[worker] += 1;
        }
        workers[worker].silence.fill(0);
        workers[worker].watch.observe(&holders, true);
        if notes.expired {
            workers[worker].instance = spare;
        }
    }

    /// The record against the ledger; what a worker lost must have been lost for a reason.
    fn compare(&self, after: Turn) {
        let Some(record) = self.record() else { return };
        let State::HalfOpen(probing) = &record.breaker.state else {
            return;
        };
        let generation = record.breaker.generation;
        let mut ledger = self.ledger.get();
        if ledger.generation != generation {
            ledger = Ledger {
                generation,
                ..Ledger::default()
            };
        }
        let mut flying = 0;
        // What is held for too long without a verdict is taken back from all.
        let wait = self.policy.breaker.half_open.wait.as_millis();
        let waited = self.waited.get()
            || ledger
                .wait_from
                .is_some_and(|from| from + wait <= self.now.get());
        for worker in self.workers.borrow_mut().iter_mut() {
            let alive = worker.silence.iter().all(|ticks| *ticks < 3);
            for held in worker.held.iter_mut().filter(|held| !held.void) {
                let Some(instance) = held.permit.probe else {
                    continue;
                };
                if held.permit.generation != generation {
                    continue;
                }
                if probing.holders.held_by(instance) > 0 {
                    flying += 1;
                    continue;
                }
                held.void = true;
                if waited {
                    ledger.wait_from = None;
                }
                self.expiries.set(self.expiries.get() + 1);
                if alive && !waited {
                    let text = format!("{instance} was given up alive, after {after:?}");
                    self.wrong.borrow_mut().push(text);
                }
            }
        }
        ledger.wait_from = match flying {
            0 => None,
            _ => ledger.wait_from.or(Some(self.now.get())),
        };
        self.ledger.set(ledger);
        let permits = self.policy.breaker.half_open.permits;
        let in_flight = probing.holders.in_flight();
        let agree = in_flight == flying && probing.verdicts.calls == ledger.verdicts;
        let within = flying + ledger.verdicts <= permits;
        if !agree || !within {
            self.wrong.borrow_mut().push(format!(
                "after {after:?}: {probing:?}, in flight {flying}, {ledger:?}, permits {permits}"
            ));
        }
    }
}

#[test]
fn permits_are_exact_over_workers_whatever_the_interleaving() {
    let config = Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let seen = Cell::new([0_u32; 4]);
    let cases = (2_usize..=5, 1_u32..5).prop_flat_map(|(workers, permits)| {
        let turns = prop::collection::vec(turn(workers), 1..200);
        let between = prop::collection::vec(turn(workers), 0..200);
        (Just((workers, permits)), turns, between)
    });
    let result = runner.run(&cases, |((workers, permits), turns, between)| {
        let world = World::new(workers, permits, between.into());
        let failure = Turn::End(0, 0, 2);
        let opens = [Turn::Ask(0), failure, Turn::Ask(0), failure];
        let opens = opens.iter().chain(&[Turn::Wait(HALF_OPEN_AT)]);
        for turn in opens.chain(&turns) {
            world.take(*turn);
            let wrong = world.wrong.borrow();
            prop_assert!(wrong.is_empty(), "{wrong:#?}");
        }
        let [intruded, probes, expiries, late] = seen.get();
        seen.set([
            intruded + world.intruded.get(),
            probes + world.probes.get(),
            expiries + world.expiries.get(),
            late + world.late.get(),
        ]);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    let [intruded, probes, expiries, late] = seen.get();
    assert!(
        intruded > 10_000 && probes > 10_000 && expiries > 100 && late > 100,
        "others came in between {intruded} times, {probes} probes, {expiries} given up, {late} late"
    );
}
