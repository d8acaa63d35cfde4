//! What workers remember of an upstream's record: good requests neither read nor write it, and what one worker stores all others heed.

use std::rc::Rc;

use seawall_native::{Process, Request, Worker};
use seawall_policy::breaker::State;
use seawall_policy::environment::facts::StreamFact;
use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::record::Record;
use seawall_policy::shared::state::SharedState;
use seawall_policy::time::Span;
use serde_json::{Value, json};

use super::process;

const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];
const TICK: Span = Span::millis(400);

/// Several workers of one process.
struct Workers {
    process: Rc<Process>,
    all: Vec<Worker>,
}

impl Workers {
    fn start(count: u64, breaker: &Value) -> Self {
        Self::of(process(), count, breaker)
    }

    fn of(process: Rc<Process>, count: u64, breaker: &Value) -> Self {
        let policy = json!({"version": 1, "policies": {"default": {"breaker": breaker}}});
        let worker = |seed| Worker::new(&process, &policy.to_string(), seed);
        let all = (0..count).map(|seed| worker(seed).expect("a valid configuration"));
        Self {
            all: all.collect(),
            process,
        }
    }

    /// One request to this worker; whether it went.
    fn ask(&mut self, worker: usize, status: u16) -> bool {
        Request::new(&self.process, "shop", &GET).whole(&mut self.all[worker], status)
    }

    /// The same by an inbound listener.
    fn ask_inbound(&mut self, worker: usize, status: u16) -> bool {
        let request = Request::new(&self.process, "shop", &GET);
        let one = 1_u64.to_le_bytes().to_vec();
        let mut known = request.known.borrow_mut();
        known.stream.insert(StreamFact::Direction, one);
        drop(known);
        request.whole(&mut self.all[worker], status)
    }

    fn tick(&mut self) {
        self.process.pass(TICK);
        self.all.iter_mut().for_each(Worker::tick);
    }

    /// So many good requests to each worker, over some ticks: the window is full.
    fn fill(&mut self, requests: u32) {
        for turn in 0..requests {
            for worker in 0..self.all.len() {
                assert!(self.ask(worker, 200));
            }
            if turn % 20 == 0 {
                self.tick();
            }
        }
        self.tick();
    }

    /// How often the record is read while something is done.
    fn loads(&mut self, what: impl FnOnce(&mut Self)) -> u64 {
        let before = self.process.shared.loads();
        what(self);
        self.process.shared.loads() - before
    }

    fn record(&self) -> Record {
        let key = keys::record("default", "shop", Part::Whole);
        let stored = self.process.shared.view(&key).expect("it can be read");
        stored.record.expect("a record")
    }

    /// Verdicts in the window of the closed breaker.
    fn verdicts(&self) -> u32 {
        match self.record().breaker.state {
            State::Closed(closed) => closed.verdicts,
            State::Open { .. } | State::HalfOpen(_) => panic!("it is not closed"),
        }
    }
}

fn breaker() -> Value {
    json!({"hosts": {"grace": "0s"}, "ramp": "0s", "open": {"for": "1s", "jitter": 0}})
}

#[test]
fn good_requests_neither_read_nor_write_the_record() {
    let mut workers = Workers::start(2, &breaker());
    workers.fill(600);
    // One lot holds a fiftieth of 1,200 verdicts, over two workers.
    let loads = workers.loads(|workers| {
        for _ in 0..120 {
            assert!(workers.ask(0, 200));
        }
    });
    assert!((5..=15).contains(&loads), "{loads} reads for 120 requests");
}

#[test]
fn what_one_worker_stores_others_heed_at_once() {
    let mut workers = Workers::start(2, &json!({"hosts": {"grace": "0s"}, "failure_rate": 5}));
    workers.fill(100);
    assert_eq!(workers.loads(|workers| assert!(workers.ask(1, 200))), 0);
    while workers.ask(0, 503) {}
    assert!(!workers.ask(1, 200), "no tick came in between");
}

/// The epoch as Envoy keeps it, dropped by a `stats_matcher` from the start.
#[test]
fn where_the_counter_does_not_count_each_request_reads_the_record() {
    let process = process();
    process.drop_counters();
    let mut workers = Workers::of(
        process,
        2,
        &json!({"hosts": {"grace": "0s"}, "failure_rate": 5}),
    );
    workers.fill(100);
    assert_eq!(workers.loads(|workers| assert!(workers.ask(1, 200))), 2);
    while workers.ask(0, 503) {}
    assert!(!workers.ask(1, 200));
}

#[test]
fn a_counter_that_is_reset_hides_a_change_until_the_next_tick_at_most() {
    let policy = json!({"hosts": {"grace": "0s"}, "failure_rate": 5});
    // How often the counter moves before the reset: it may come to stand where it stood.
    for failures in 0..40 {
        let mut workers = Workers::start(2, &policy);
        workers.fill(100);
        for _ in 0..failures {
            workers.ask(0, 503);
        }
        workers.ask(1, 200);
        workers.process.reset_counters();
        while workers.ask(0, 503) {}
        workers.ask(1, 200);
        workers.tick();
        assert!(!workers.ask(1, 200), "after {failures} failures");
    }
}

#[test]
fn a_lot_is_entered_at_the_tick_and_with_what_is_entered_by_itself() {
    let mut workers = Workers::start(1, &breaker());
    workers.fill(600);
    let before = workers.verdicts();
    for _ in 0..5 {
        assert!(workers.ask(0, 200));
    }
    assert_eq!(workers.verdicts(), before, "five wait");
    workers.tick();
    assert_eq!(workers.verdicts(), before + 5);
    for _ in 0..5 {
        assert!(workers.ask(0, 200));
    }
    assert!(workers.ask(0, 503));
    assert_eq!(workers.verdicts(), before + 11);
    // While the last verdict is a failure each good one is entered at once.
    assert!(workers.ask(0, 200));
    assert_eq!(workers.verdicts(), before + 12);
}

#[test]
fn a_lot_of_an_earlier_generation_is_void() {
    let mut workers = Workers::start(
        2,
        &json!({"hosts": {"grace": "0s"}, "failure_rate": 5, "ramp": "0s",
        "open": {"for": "1s", "jitter": 0}, "half_open": {"permits": 1}}),
    );
    workers.fill(300);
    for _ in 0..3 {
        assert!(workers.ask(1, 200));
    }
    while workers.ask(0, 503) {}
    workers.process.pass(Span::millis(1_100));
    assert!(workers.ask(0, 200), "a probe");
    assert_eq!(workers.verdicts(), 0, "it closed, in another generation");
    workers.tick();
    assert_eq!(workers.verdicts(), 0);
}

#[test]
fn a_root_that_goes_leaves_no_verdict_behind() {
    let mut workers = Workers::start(1, &breaker());
    workers.fill(600);
    let before = workers.verdicts();
    for _ in 0..5 {
        assert!(workers.ask(0, 200));
    }
    workers.all[0].done();
    assert_eq!(workers.verdicts(), before + 5);
}

/// On inbound listeners a breaker counts nothing, unless it is told to: neither good requests nor bad ones, whoever asks for the direction when.
#[test]
fn requests_of_inbound_listeners_count_nothing() {
    let mut workers = Workers::start(1, &json!({"hosts": {"grace": "0s"}, "failure_rate": 5}));
    workers.fill(600);
    let before = workers.verdicts();
    for _ in 0..100 {
        assert!(workers.ask_inbound(0, 503));
        assert!(workers.ask_inbound(0, 200));
    }
    workers.tick();
    assert_eq!(workers.verdicts(), before);
}

#[test]
fn requests_of_inbound_listeners_pass_a_breaker_that_is_open_by_configuration() {
    let mut workers = Workers::start(1, &json!({"mode": "forced_open"}));
    assert!(!workers.ask(0, 200));
    assert!(workers.ask_inbound(0, 200));
}
