//! The retry budget over workers that come in between each other's reads and writes, in every way that chance finds.
//!
//! The test stands in for Envoy's router: it carries out votes or drops them, repeats what was reset, and loses whole VMs.
//! It counts from outside what was sent. Whatever the order: retries that were sent never cost more than first attempts
//! paid in plus what flowed in, and what was paid for was sent or given back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_harness::abi::stream::{RESPONSE_HEADERS, headers, value};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{advance, process, properties, traps};

/// A fifth of a retry for each first attempt, and one retry in two seconds besides.
const BUDGET: &str = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"retries":{
    "attempts":3,"budget":{"ratio":20,"min_per_second":0.5}}}}}"#;
const ATTEMPTS_MAX: u64 = 3;
/// The vote, as the upstream position puts it on an answer.
const VOTE: &str = "x-seawall-retry";

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request comes to a worker.
    Ask(usize),
    /// The oldest attempt of a worker is answered; a vote is carried out, or dropped.
    Answer(usize, u16, bool),
    /// The oldest attempt of a worker is reset.
    Reset(usize),
    /// The client of the oldest attempt of a worker goes away.
    Leave(usize),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// A tick.
    Tick(usize),
    /// A VM dies with all it holds.
    Kill(usize),
}

fn steps(workers: usize) -> impl Strategy<Value = Vec<Step>> {
    let answers = prop::sample::select(vec![200_u16, 503, 503, 503, 404]);
    let step = prop_oneof![
        12 => (0..workers).prop_map(Step::Ask),
        12 => (0..workers, answers, any::<bool>()).prop_map(|(worker, status, carried)| {
            Step::Answer(worker, status, carried)
        }),
        6 => (0..workers).prop_map(Step::Reset),
        1 => (0..workers).prop_map(Step::Leave),
        2 => prop::sample::select(vec![1_u64, 100, 500, 1_000, 9_999, 10_000]).prop_map(Step::Wait),
        3 => (0..workers).prop_map(Step::Tick),
        1 => (0..workers).prop_map(Step::Kill),
    ];
    prop::collection::vec(step, 1..150)
}

/// An attempt under way.
#[derive(Clone, Copy)]
struct Flying {
    worker: usize,
    request: StreamId,
    attempt: StreamId,
    number: u64,
}

/// What stands outside and counts.
struct Router {
    process: Process,
    flying: RefCell<Vec<Flying>>,
    first: Cell<u64>,
    retries: Cell<u64>,
    killed: Cell<bool>,
    depth: Cell<usize>,
    intrusions: RefCell<Vec<Step>>,
    intruded: Cell<usize>,
}

impl Router {
    fn new(workers: usize, between: &[Step]) -> Rc<Self> {
        let router = Rc::new(Self {
            process: process(workers, BUDGET),
            flying: RefCell::default(),
            first: Cell::new(0),
            retries: Cell::new(0),
            killed: Cell::new(false),
            depth: Cell::new(0),
            intrusions: RefCell::new(between.to_vec()),
            intruded: Cell::new(0),
        });
        let hook = Rc::clone(&router);
        *router.process.common().hook.borrow_mut() =
            Some(Rc::new(move |inside| hook.intrude(inside)));
        router
    }

    fn step(&self, step: Step) {
        match step {
            Step::Ask(worker) => self.ask(worker),
            Step::Answer(worker, status, carried) => {
                if let Some(flying) = self.take(worker) {
                    self.answer(flying, status, carried);
                }
            }
            Step::Reset(worker) => {
                if let Some(flying) = self.take(worker) {
                    self.reset(flying);
                }
            }
            Step::Leave(worker) => {
                if let Some(flying) = self.take(worker) {
                    self.process.close(flying.attempt);
                    self.process.close(flying.request);
                }
            }
            Step::Wait(millis) => advance(&self.process, millis),
            Step::Tick(worker) => self.process.tick_vm(worker + 1),
            Step::Kill(worker) => {
                if self.process.is_alive(worker) {
                    self.killed.set(true);
                    self.process.kill(worker);
                    let of_others = |flying: &Flying| flying.worker != worker;
                    self.flying.borrow_mut().retain(of_others);
                }
            }
        }
    }

    fn ask(&self, worker: usize) {
        if !self.process.is_alive(worker) {
            return;
        }
        let request = self.process.open(worker, properties());
        let asked = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "r")]);
        if self.process.request_headers(request, asked, true) == Flow::Continue {
            self.first.set(self.first.get() + 1);
            self.attempt(worker, request, 1);
        }
    }

    /// One more attempt; an answer of the filter's own ends the request.
    fn attempt(&self, worker: usize, request: StreamId, number: u64) {
        let mut known = properties();
        let path = "upstream\0request_attempt_count".to_owned();
        known.insert(path, number.to_le_bytes().to_vec());
        let attempt = self.process.open_attempt(request, known);
        let asked = headers(&[(":method", "GET"), (":path", "/")]);
        match self.process.request_headers(attempt, asked, true) {
            Flow::Continue => {
                self.retries.set(self.retries.get() + u64::from(number > 1));
                self.flying.borrow_mut().push(Flying {
                    worker,
                    request,
                    attempt,
                    number,
                });
            }
            Flow::Reply(reply) => {
                self.process.close(attempt);
                self.end(request, &reply.status.to_string());
            }
            Flow::Pause => panic!("only hedges wait"),
        }
    }

    fn answer(&self, flying: Flying, status: u16, carried: bool) {
        let answer = headers(&[(":status", &status.to_string())]);
        self.process.response_headers(flying.attempt, answer, true);
        let shown = self.process.header_map(flying.attempt, RESPONSE_HEADERS);
        let voted = value(&shown, VOTE).is_some();
        self.process.close(flying.attempt);
        assert!(!voted || (status == 503 && flying.number < ATTEMPTS_MAX));
        if voted && carried {
            self.attempt(flying.worker, flying.request, flying.number + 1);
        } else {
            self.end(flying.request, &status.to_string());
        }
    }

    fn reset(&self, flying: Flying) {
        let reset = 0x10_u64.to_le_bytes().to_vec();
        self.process
            .set_property(flying.attempt, "response\0flags", reset);
        self.process.close(flying.attempt);
        if flying.number < ATTEMPTS_MAX {
            self.attempt(flying.worker, flying.request, flying.number + 1);
        } else {
            self.end(flying.request, "503");
        }
    }

    fn end(&self, request: StreamId, status: &str) {
        self.process
            .response_headers(request, headers(&[(":status", status)]), true);
        self.process.close(request);
    }

    fn take(&self, worker: usize) -> Option<Flying> {
        let mut flying = self.flying.borrow_mut();
        let place = flying.iter().position(|flying| flying.worker == worker);
        place.map(|place| flying.remove(place))
    }

    /// Another worker comes in between: at most two deep, and never the one that is inside.
    fn intrude(&self, inside: usize) {
        if self.depth.get() >= 2 {
            return;
        }
        let next = self.intrusions.borrow_mut().pop();
        let (Some(step), Some(worker)) = (next, next.and_then(worker_of)) else {
            return;
        };
        if worker + 1 != inside && self.process.is_alive(worker) {
            self.intruded.set(self.intruded.get() + 1);
            self.depth.set(self.depth.get() + 1);
            self.step(step);
            self.depth.set(self.depth.get() - 1);
        }
    }

    /// What was sent costs no more than what was paid in. Hundredths of a retry.
    fn assert_covered(&self, since: u64) -> Result<(), TestCaseError> {
        let passed = self.process.common().now.get() - since;
        let there = self.first.get() * 20 + passed * 50 / 1_000_000_000;
        prop_assert!(
            self.retries.get() * 100 <= there,
            "{} retries for {} first attempts",
            self.retries.get(),
            self.first.get()
        );
        Ok(())
    }

    /// A counter of the filter, by a part of its name.
    fn counted(&self, part: &str) -> u64 {
        let metrics = self.process.common().metrics.borrow();
        let named = metrics
            .values()
            .iter()
            .filter(|(name, _)| name.contains(part));
        named.map(|(_, value)| value).sum()
    }
}

fn worker_of(step: Step) -> Option<usize> {
    match step {
        Step::Ask(worker)
        | Step::Answer(worker, _, _)
        | Step::Reset(worker)
        | Step::Leave(worker)
        | Step::Tick(worker) => Some(worker),
        Step::Wait(_) | Step::Kill(_) => None,
    }
}

fn run(workers: usize, steps: &[Step], between: &[Step]) -> Result<(usize, u64), TestCaseError> {
    let router = Router::new(workers, between);
    let since = router.process.common().now.get();
    for step in steps {
        router.step(*step);
        router.assert_covered(since)?;
    }
    *router.process.common().hook.borrow_mut() = None;
    for worker in 0..workers {
        while let Some(flying) = router.take(worker) {
            router.answer(flying, 503, false);
        }
    }
    router.process.tick();
    if !router.killed.get() {
        let granted =
            router.counted("seawall_retries..policy=default..upstream=upstream..decision=granted");
        let refunded = router.counted("decision=refunded");
        prop_assert_eq!(granted - refunded, router.retries.get());
    }
    prop_assert_eq!(traps(&router.process), Vec::<String>::new());
    Ok((router.intruded.get(), router.retries.get()))
}

#[test]
fn no_retry_is_sent_that_was_not_paid_for_whatever_the_interleaving() {
    const SEED: [u8; 32] = [23; 32];
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let (intruded, retries) = (Cell::new(0), Cell::new(0));
    let cases =
        (2_usize..=5).prop_flat_map(|workers| (Just(workers), steps(workers), steps(workers)));
    runner
        .run(&cases, |(workers, steps, between)| {
            let (in_between, sent) = run(workers, &steps, &between)?;
            intruded.set(intruded.get() + in_between);
            retries.set(retries.get() + sent);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    println!(
        "{} retries, {} times another worker came in between",
        retries.get(),
        intruded.get()
    );
    assert!(intruded.get() > 500 && retries.get() > 500);
}

#[test]
fn a_vm_that_dies_costs_the_budget_no_more_than_it_had_not_told() {
    let router = Router::new(2, &[]);
    let firsts = |worker, count: usize| {
        for _ in 0..count {
            router.step(Step::Ask(worker));
            router.step(Step::Answer(worker, 200, false));
        }
    };
    firsts(0, 50);
    router.step(Step::Tick(0));
    firsts(0, 15);
    router.step(Step::Kill(0));
    let failing = 20;
    for _ in 0..failing {
        router.step(Step::Ask(1));
        router.step(Step::Answer(1, 503, true));
    }
    // Ten from what the dead one told, four of its survivor's own; the three it had not told are lost.
    assert_eq!(router.retries.get(), 10 + failing / 5);
}

#[test]
fn a_vote_that_is_not_carried_out_pays_for_the_next() {
    let router = Router::new(1, &[]);
    for _ in 0..4 {
        router.step(Step::Ask(0));
        router.step(Step::Answer(0, 200, false));
    }
    // The fifth first attempt makes it a whole retry, which the router drops, time after time.
    for _ in 0..5 {
        router.step(Step::Ask(0));
        router.step(Step::Answer(0, 503, false));
    }
    assert_eq!(router.retries.get(), 0);
    router.step(Step::Ask(0));
    router.step(Step::Answer(0, 503, true));
    router.step(Step::Answer(0, 503, true));
    assert_eq!(router.retries.get(), 2, "ten first attempts pay for two");
}
