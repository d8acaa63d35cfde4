//! Workers on four threads that share one typed state: nothing is lost, and no bound is exceeded.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use seawall_native::{Process, Request, TypedState, Worker};
use seawall_policy::breaker::{Phase, State};
use seawall_policy::concurrency::InFlightSlots;
use seawall_policy::shared::keys::{self, Part};
use seawall_policy::shared::record::Record;
use seawall_policy::shared::state::SharedState;
use seawall_policy::time::Span;
use serde_json::{Value, json};

const THREADS: u32 = 4;
const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];
const START: Span = Span::secs(1_000);

/// One worker of the process that this state belongs to.
fn worker(state: &Arc<TypedState>, policy: &Value, seed: u32) -> (Rc<Process>, Worker) {
    let configuration = json!({
        "version": 1,
        "policies": {"p": policy},
        "upstreams": [{"cluster": "*", "policy": "p"}],
    });
    let process = Process::with_state(START, state);
    let worker = Worker::new(&process, &configuration.to_string(), seed.into());
    (process, worker.expect("a valid configuration"))
}

/// Runs the same on all threads at once.
fn on_threads(run: impl Fn(u32) + Sync) {
    let run = &run;
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || run(number));
        }
    });
}

fn record(state: &TypedState) -> Record {
    let key = keys::record("p", "shop", Part::Whole);
    state.view(&key).unwrap().record.expect("a record")
}

fn slots(state: &TypedState) -> InFlightSlots {
    let key = keys::places(&keys::record("p", "shop", Part::Whole));
    state.view(&key).unwrap().record.expect("slots")
}

#[test]
fn every_verdict_is_counted_and_no_more_are_in_flight_than_may_be() {
    const LIMIT: u32 = 5;
    let policy = json!({
        "bulkhead": {"max_concurrent": LIMIT, "unfinished": 100},
        "breaker": {"minimum_calls": 1_000_000},
        "retries": {},
    });
    let state = Arc::new(TypedState::default());
    let (in_flight, most) = (AtomicU32::new(0), AtomicU32::new(0));
    let (went, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    // A worker that makes no tick while others make three is given up for dead, with its slots.
    let ticks = Barrier::new(THREADS as usize);
    on_threads(|number| {
        let (process, mut worker) = worker(&state, &policy, number);
        let mut held: Vec<Request> = Vec::new();
        for turn in 0..2_000_u32 {
            let mut request = Request::new(&process, "shop", &GET);
            if request.send(&mut worker, true) {
                // It is counted after it took its slot, and no longer before it gives that back.
                let now = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                went.fetch_add(1, Ordering::SeqCst);
                held.push(request);
            } else {
                refused.fetch_add(1, Ordering::SeqCst);
                request.end(&mut worker);
            }
            let keep = usize::from((turn + number) % 3 > 0) * 2;
            for mut request in held.drain(keep.min(held.len())..) {
                in_flight.fetch_sub(1, Ordering::SeqCst);
                request.respond(&mut worker, 200, &[]);
                request.end(&mut worker);
            }
            if turn % 50 == 0 {
                ticks.wait();
                process.pass(Span::millis(400));
                worker.tick();
            }
        }
        for mut request in held {
            in_flight.fetch_sub(1, Ordering::SeqCst);
            request.respond(&mut worker, 200, &[]);
            request.end(&mut worker);
        }
        worker.tick();
    });
    let (went, refused) = (went.into_inner(), refused.into_inner());
    let most = most.into_inner();
    assert!(most <= LIMIT, "{most} in flight of {LIMIT}");
    assert!(
        went > 1_000 && refused > 0,
        "{went} went, {refused} did not"
    );
    assert_eq!(slots(&state).in_flight(), 0);
    let State::Closed(closed) = record(&state).breaker.state else {
        panic!("nothing failed");
    };
    assert_eq!(closed.verdicts, went);
}

#[test]
fn no_more_probes_go_than_half_open_has_permits() {
    const PERMITS: u32 = 3;
    let policy = json!({"breaker": {
        "consecutive": 3, "minimum_calls": 1_000, "ramp": "0s", "hosts": {"grace": "0s"},
        "half_open": {"permits": PERMITS}, "open": {"for": "1s", "jitter": 0},
    }});
    for round in 0..100 {
        let state = Arc::new(TypedState::default());
        let (went, all) = (AtomicU32::new(0), Barrier::new(THREADS as usize));
        on_threads(|number| {
            let (process, mut worker) = worker(&state, &policy, round * THREADS + number);
            // Over all threads three failures in a row, or more.
            Request::new(&process, "shop", &GET).whole(&mut worker, 503);
            all.wait();
            assert_eq!(record(&state).breaker.phase(), Phase::Open);
            process.pass(Span::millis(1_100));
            all.wait();
            let mut held = Vec::new();
            for _ in 0..5 {
                let mut request = Request::new(&process, "shop", &GET);
                match request.send(&mut worker, true) {
                    true => held.push(request),
                    false => request.end(&mut worker),
                }
            }
            went.fetch_add(held.len() as u32, Ordering::SeqCst);
            worker.tick();
            all.wait();
            for mut request in held {
                request.respond(&mut worker, 200, &[]);
                request.end(&mut worker);
            }
            worker.tick();
        });
        assert_eq!(went.into_inner(), PERMITS, "round {round}");
        let left = record(&state).breaker;
        assert_eq!((left.phase(), left.in_flight()), (Phase::Closed, 0));
    }
}
