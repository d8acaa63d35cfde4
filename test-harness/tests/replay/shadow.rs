//! Shadow, request by request: what the filter marks is what a breaker by the book would have refused, and the
//! false-refusal rate that its metrics report is the one that the outcomes give.
//!
//! The book here is a plain model, written from the specification and not from the filter: it keeps every verdict and counts anew
//! at each step. The outages are known, since this test makes them.

use std::collections::BTreeMap;

use rand::RngExt;
use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, ProcessOptions, StreamId};
use seawall_harness::random::chance;
use seawall_harness::sim::Queue;
use seawall_harness::sim::START;
use seawall_harness::trace::poisson;

use crate::shipped;

const SECOND: u64 = 1_000_000_000;
/// So many that no worker collects verdicts in lots: the book knows each verdict when it is there.
const WORKERS: usize = 24;
const RATE: f64 = 100.0;
const LENGTH_S: f64 = 120.0;

/// What the policy below says, once more for the model.
const MINIMUM: usize = 20;
const PERMITS: usize = 3;
const OPEN: u64 = 5 * SECOND;
const BUCKET: u64 = SECOND;
const BUCKETS: u64 = 10;

const SHADOW: &str = r#"{"version":1,"policies":{"default":{"breaker":{
    "mode":"shadow","failure_rate":50,"minimum_calls":20,"consecutive":0,"slow_call":{"rate":0},"ramp":"0s",
    "window":{"over":"10s"},"hosts":{"grace":"0s"},"open":{"for":"5s","up_to":"5s","jitter":0},
    "half_open":{"permits":3,"wait":"60s"}}}}}"#;

/// From when to when, in seconds, which share of the requests fails.
const OUTAGES: [(u64, u64, f64); 4] =
    [(20, 40, 1.0), (55, 70, 0.7), (80, 81, 1.0), (95, 110, 0.55)];

/// A breaker by the book, in shadow.
struct Book {
    generation: u64,
    state: State,
}

enum State {
    /// Every verdict of this generation: when, and whether it failed.
    Closed(Vec<(u64, bool)>),
    Open {
        until: u64,
    },
    HalfOpen {
        in_flight: usize,
        verdicts: Vec<bool>,
    },
}

/// What goes under: its generation and whether it probes. Nothing if it would have been refused.
type Ticket = Option<(u64, bool)>;

impl Book {
    fn new() -> Self {
        Self {
            generation: 1,
            state: State::Closed(Vec::new()),
        }
    }

    fn enter(&mut self, state: State) {
        self.generation += 1;
        self.state = state;
    }

    /// An open breaker is half-open once its time is over, whoever looks.
    fn look(&mut self, now: u64) {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.enter(State::HalfOpen {
                in_flight: 0,
                verdicts: Vec::new(),
            });
        }
    }

    fn ask(&mut self, now: u64) -> Ticket {
        self.look(now);
        match &mut self.state {
            State::Closed(_) => Some((self.generation, false)),
            State::HalfOpen {
                in_flight,
                verdicts,
            } if *in_flight + verdicts.len() < PERMITS => {
                *in_flight += 1;
                Some((self.generation, true))
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    fn settle(&mut self, now: u64, ticket: Ticket, failed: bool) {
        self.look(now);
        if ticket.is_none_or(|(generation, _)| generation != self.generation) {
            return;
        }
        match &mut self.state {
            State::Closed(verdicts) => {
                verdicts.push((now, failed));
                let oldest = (now / BUCKET + 1).saturating_sub(BUCKETS);
                let held = verdicts.iter().filter(|(at, _)| at / BUCKET >= oldest);
                let (calls, failures) = held.fold((0, 0), |(calls, failures), (_, failed)| {
                    (calls + 1, failures + usize::from(*failed))
                });
                if calls >= MINIMUM && 2 * failures >= calls {
                    self.enter(State::Open { until: now + OPEN });
                }
            }
            State::HalfOpen {
                in_flight,
                verdicts,
            } => {
                *in_flight -= 1;
                verdicts.push(failed);
                if verdicts.len() == PERMITS {
                    let failures = verdicts.iter().filter(|failed| **failed).count();
                    self.enter(match 2 * failures >= PERMITS {
                        true => State::Open { until: now + OPEN },
                        false => State::Closed(Vec::new()),
                    });
                }
            }
            State::Open { .. } => {}
        }
    }
}

/// A request as the test knows it.
struct Seen {
    at: u64,
    failed: bool,
    ticket: Ticket,
    marked: bool,
}

enum Event {
    Ask(usize),
    Answer(usize, StreamId),
    Tick,
}

/// Plays the trace through the filter and through the book.
fn play(process: &Process, seed: u64) -> Vec<Seen> {
    let trace = poisson(RATE, LENGTH_S, 20_000.0, 0.5, seed).expect("a trace");
    let mut queue = Queue::default();
    for (number, request) in trace.iter().enumerate() {
        queue.push(START + request.at_us * 1_000, Event::Ask(number));
    }
    let end = START + (LENGTH_S as u64 + 2) * SECOND;
    (1..)
        .map(|tick| START + tick * SECOND / 2)
        .take_while(|at| *at < end)
        .for_each(|at| queue.push(at, Event::Tick));
    let mut book = Book::new();
    let mut seen: Vec<Seen> = Vec::new();
    while let Some((now, event)) = queue.pop() {
        process.set_now(now);
        match event {
            Event::Ask(number) => {
                let mut random = chance(seed, format_args!("request {number}"));
                let stream = ask(process, random.random_range(0..WORKERS));
                let state = process.filter_state(stream, "seawall.decision");
                seen.push(Seen {
                    at: now - START,
                    failed: random.random::<f64>() < failing(now - START),
                    ticket: book.ask(now),
                    marked: state.as_deref() == Some("shadow_refused"),
                });
                let due = now + trace[number].service_us * 1_000;
                queue.push(due, Event::Answer(number, stream));
            }
            Event::Answer(number, stream) => {
                let Seen { failed, ticket, .. } = seen[number];
                let status = if failed { "503" } else { "200" };
                process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
                process.response_headers(stream, headers(&[(":status", status)]), true);
                process.close(stream);
                book.settle(now, ticket, failed);
            }
            Event::Tick => process.tick(),
        }
    }
    seen
}

fn ask(process: &Process, worker: usize) -> StreamId {
    let properties = BTreeMap::from([("xds\0cluster_name".to_owned(), b"upstream".to_vec())]);
    let stream = process.open(worker, properties);
    let request = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "r")]);
    let flow = process.request_headers(stream, request, true);
    assert_eq!(flow, Flow::Continue, "shadow refuses nothing");
    stream
}

fn failing(at: u64) -> f64 {
    let now = |(begin, end, _): &&(u64, u64, f64)| (*begin..*end).contains(&(at / SECOND));
    OUTAGES.iter().find(now).map_or(0.0, |(_, _, share)| *share)
}

/// The sum of all series whose names hold these parts.
fn metric(process: &Process, parts: &[&str]) -> u64 {
    let metrics = process.common().metrics.borrow();
    let fits = |name: &str| parts.iter().all(|part| name.contains(part));
    let values = metrics.values().iter();
    values
        .filter(|(name, _)| fits(name))
        .map(|(_, value)| *value)
        .sum()
}

#[test]
fn the_reported_false_refusal_rate_is_the_one_of_the_outcomes() {
    for seed in 1..=5 {
        let options = ProcessOptions {
            workers: WORKERS,
            configuration: SHADOW.as_bytes().to_vec(),
            seed,
            ..ProcessOptions::default()
        };
        let process = Process::start(shipped::module(), options, START).expect("the filter starts");
        let seen = play(&process, seed);

        let other = seen.iter().find(|one| one.marked == one.ticket.is_some());
        let other = other.map(|one| (one.at as f64 / SECOND as f64, one.marked, one.ticket));
        assert_eq!(other, None, "seed {seed}: (second, marked, ticket)");

        let marked: Vec<&Seen> = seen.iter().filter(|one| one.marked).collect();
        let fine = marked.iter().filter(|one| !one.failed).count() as u64;
        let sick = marked.len() as u64 - fine;
        let shadow = |outcome: &str| metric(&process, &["seawall_shadow_outcomes", outcome]);
        let reported = (
            shadow("outcome=success"),
            shadow("outcome=failure"),
            shadow(""),
            metric(&process, &["seawall_decisions", "decision=shadow_refused"]),
        );
        assert_eq!(reported, (fine, sick, fine + sick, fine + sick));
        assert!(fine > 100 && sick > 1_000, "seed {seed}: {fine} and {sick}");
        println!(
            "seed {seed}: {} of {} requests would have been refused, {fine} of them would have been fine: {:.2} %",
            marked.len(),
            seen.len(),
            fine as f64 * 100.0 / marked.len() as f64
        );
    }
}
