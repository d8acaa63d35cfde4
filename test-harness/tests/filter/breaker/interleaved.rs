//! Workers that come in between each other's reads and writes, in every way that chance finds.
//!
//! The hook runs whole callbacks of other workers between a worker's read of shared data and its write. Whatever the
//! order: permits held plus verdicts of a half-open generation never exceed what is allowed, counted from outside by the
//! requests that the filter let through. No worker stalls here: each ticks before another one has ticked three times.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use seawall_harness::process::{Process, StreamId};
use seawall_policy::breaker::{Phase, TransitionLine};

use crate::support::{BREAKER, advance, ask, end, process, traps, trip};

const PERMITS: usize = 3;

/// One thing that a worker does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request comes.
    Ask(usize),
    /// The oldest request of a worker ends, well or not.
    End(usize, bool),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// A tick.
    Tick(usize),
}

fn steps(workers: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..workers).prop_map(Step::Ask),
        4 => (0..workers, any::<bool>()).prop_map(|(worker, good)| Step::End(worker, good)),
        1 => prop::sample::select(vec![1_u64, 100, 499, 500, 999, 1_000]).prop_map(Step::Wait),
        1 => (0..workers).prop_map(Step::Tick),
    ];
    prop::collection::vec(step, 1..120)
}

/// What stands outside and counts.
struct Observer {
    process: Process,
    flying: RefCell<Vec<(usize, StreamId)>>,
    asked_in_half_open: Cell<usize>,
    depth: Cell<usize>,
    intrusions: RefCell<Vec<Step>>,
    intruded: Cell<usize>,
    /// How often others ticked since each worker did.
    silence: RefCell<Vec<u32>>,
}

impl Observer {
    /// A tick of a worker, and before it of those that would look dead otherwise; none if one of these is inside a callback.
    fn tick(&self, worker: usize) {
        let silent = |at: &usize| *at != worker && self.silence.borrow()[*at] >= 2;
        let late: Vec<usize> = (0..self.silence.borrow().len()).filter(silent).collect();
        if late.iter().any(|late| !self.process.is_alive(*late)) {
            return;
        }
        for ticks in late.into_iter().chain([worker]) {
            let mut silence = self.silence.borrow_mut();
            silence.iter_mut().for_each(|count| *count += 1);
            silence[ticks] = 0;
            drop(silence);
            self.process.tick_vm(ticks + 1);
        }
    }

    fn step(&self, step: Step) {
        match step {
            Step::Ask(worker) => {
                if let Some(stream) = ask(&self.process, worker) {
                    self.flying.borrow_mut().push((worker, stream));
                    self.asked_in_half_open
                        .set(self.asked_in_half_open.get() + 1);
                }
            }
            Step::End(worker, good) => {
                let found = {
                    let mut flying = self.flying.borrow_mut();
                    let position = flying.iter().position(|(of, _)| *of == worker);
                    position.map(|position| flying.remove(position))
                };
                if let Some((_, stream)) = found {
                    end(&self.process, stream, if good { "200" } else { "503" });
                }
            }
            Step::Wait(millis) => advance(&self.process, millis),
            Step::Tick(worker) => self.tick(worker),
        }
    }

    /// Another worker comes in between: at most two deep, and never the one that is inside.
    fn intrude(&self, inside: usize) {
        if self.depth.get() >= 2 {
            return;
        }
        let next = self.intrusions.borrow_mut().pop();
        let Some(step) = next else {
            return;
        };
        let worker = match step {
            Step::Ask(worker) | Step::End(worker, _) | Step::Tick(worker) => worker,
            Step::Wait(_) => return,
        };
        let busy = worker + 1 == inside || !self.process.is_alive(worker);
        if !busy {
            self.intruded.set(self.intruded.get() + 1);
            self.depth.set(self.depth.get() + 1);
            self.step(step);
            self.depth.set(self.depth.get() - 1);
        }
    }
}

/// Half-open from the start, then these steps with those in between.
fn run(workers: usize, steps: &[Step], between: &[Step]) -> Result<usize, TestCaseError> {
    let process = process(workers, BREAKER);
    trip(&process);
    advance(&process, 1_000);
    let observer = Rc::new(Observer {
        process: process.clone(),
        flying: RefCell::default(),
        asked_in_half_open: Cell::new(0),
        depth: Cell::new(0),
        intrusions: RefCell::new(between.to_vec()),
        intruded: Cell::new(0),
        silence: RefCell::new(vec![0; workers]),
    });
    let hook = Rc::clone(&observer);
    *process.common().hook.borrow_mut() = Some(Rc::new(move |inside| hook.intrude(inside)));
    process.take_log();
    for step in steps {
        observer.step(*step);
        let log = process.take_log();
        let transitions: Vec<_> = log
            .iter()
            .filter_map(|line| TransitionLine::parse(&line.text))
            .filter(|made| made.to != Phase::HalfOpen)
            .collect();
        for line in &log {
            prop_assert!(
                !line.text.contains("panicked") && !line.text.contains("trapped"),
                "{}",
                line.text
            );
        }
        if !transitions.is_empty() {
            // Half-open is over: what follows is another generation's business.
            break;
        }
        let asked = observer.asked_in_half_open.get();
        prop_assert!(
            asked <= PERMITS,
            "{asked} probes for {PERMITS} permits after {step:?}"
        );
    }
    *process.common().hook.borrow_mut() = None;
    prop_assert_eq!(traps(&process), Vec::<String>::new());
    Ok(observer.intruded.get())
}

#[test]
fn probes_never_exceed_the_permits_whatever_the_interleaving() {
    const SEED: [u8; 32] = [17; 32];
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(config.rng_algorithm, &SEED);
    let mut runner = TestRunner::new_with_rng(config, random);
    let intruded = Cell::new(0);
    let cases =
        (2_usize..=5).prop_flat_map(|workers| (Just(workers), steps(workers), steps(workers)));
    runner
        .run(&cases, |(workers, steps, between)| {
            // Only requests in this property: an end gives a permit's place to its verdict, a tick may close nothing.
            intruded.set(intruded.get() + run(workers, &steps, &between)?);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("seed {SEED:?}: {error}"));
    assert!(
        intruded.get() > 500,
        "workers did come in between: {}",
        intruded.get()
    );
}
