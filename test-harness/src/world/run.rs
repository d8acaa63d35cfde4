//! One run: events in the order of their time, until nothing is left to happen.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use super::clients::Buckets;
use super::request::Flight;
use super::upstreams::Upstreams;
use super::{Lane, START, Scene};
use crate::measure::{Answer, Got, Measure, Transition};
use crate::router::{End, Retries};
use crate::sim::{Queue, chance};
use crate::trace::Request;
use crate::worker::Process;

/// The filter's tick, in nanoseconds.
const TICK: u64 = 400_000_000;

/// One try of a client; turns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) call: usize,
    pub(super) turn: u32,
}

#[derive(Debug)]
pub(super) enum Event {
    /// A user wants something.
    Call(usize),
    /// The client asks.
    Turn(Key),
    /// The client waits no longer.
    GaveUp(Key),
    /// The limit of a request passed.
    Limit(Key),
    /// The limit of an attempt passed.
    AttemptLimit(Key, u32),
    /// A retry's wait is over.
    Retry(Key),
    /// A job is at the upstream.
    Reach(u64),
    /// The upstream is done with a job.
    Served(u64),
    /// A job's end is back in Envoy.
    Ended(u64),
    Tick(usize),
}

/// One attempt as the upstream has it, whether or not somebody still waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) attempt: u32,
    /// Counted over all tries of the request.
    pub(super) number: u32,
    pub(super) draw: f64,
    pub(super) back: u64,
    pub(super) work: u64,
    pub(super) end: End,
}

/// What a user wants.
struct Call {
    at: u64,
    attempts: u32,
}

pub(super) struct Run<'a> {
    pub(super) scene: &'a Scene,
    pub(super) trace: &'a [Request],
    pub(super) lane: &'a Lane<'a>,
    pub(super) queue: Queue<Event>,
    pub(super) upstreams: Upstreams<'a>,
    pub(super) flights: BTreeMap<Key, Flight>,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) next_job: u64,
    /// Requests and attempts that the filter has paused.
    pub(super) parked: BTreeSet<(Key, Option<u32>)>,
    pub(super) retries: Vec<Retries>,
    pub(super) measure: Measure,
    calls: BTreeMap<usize, Call>,
    buckets: Buckets,
    left: usize,
    touched: Option<usize>,
}

/// Plays a trace in a scene through a lane. `progress` is told of every request.
pub fn play(
    scene: &Scene,
    trace: &[Request],
    lane: &Lane<'_>,
    mut progress: impl FnMut(),
) -> Measure {
    let mut run = Run {
        scene,
        trace,
        lane,
        queue: Queue::default(),
        upstreams: Upstreams::default(),
        flights: BTreeMap::new(),
        jobs: BTreeMap::new(),
        next_job: 0,
        parked: BTreeSet::new(),
        retries: lane.retries(),
        measure: Measure::default(),
        calls: BTreeMap::new(),
        buckets: Buckets::new(scene.clients),
        left: trace.len(),
        touched: None,
    };
    for (number, request) in trace.iter().enumerate() {
        run.queue
            .push(START + request.at_us * 1_000, Event::Call(number));
    }
    for envoy in 0..lane.envoys.len() {
        let due = START + TICK + phase(scene.world.seed, envoy);
        run.queue.push(due, Event::Tick(envoy));
    }
    while let Some((now, event)) = run.queue.pop() {
        if matches!(event, Event::Call(_)) {
            progress();
        }
        run.handle(now, event);
        run.wake(now);
        run.transitions();
    }
    run.measure
}

/// Envoys do not tick together; the first one ticks from the start of the trace.
fn phase(seed: u64, envoy: usize) -> u64 {
    if envoy == 0 {
        return 0;
    }
    chance(seed, &format!("envoy {envoy} tick")).random_range(0..TICK)
}

impl<'a> Run<'a> {
    fn handle(&mut self, now: u64, event: Event) {
        match event {
            Event::Call(number) => self.call(now, number),
            Event::Turn(key) => self.turn(now, key),
            Event::GaveUp(key) => self.gave_up(now, key),
            Event::Limit(key) => self.limit(now, key),
            Event::AttemptLimit(key, attempt) => self.attempt_limit(now, key, attempt),
            Event::Retry(key) => self.retry(now, key),
            Event::Reach(job) => self.reach(now, job),
            Event::Served(job) => self.served(now, job),
            Event::Ended(job) => self.ended(now, job),
            Event::Tick(envoy) => self.tick(now, envoy),
        }
    }

    /// The Envoy with the filter, at this time.
    pub(super) fn process(&mut self, now: u64, envoy: usize) -> Option<&'a Process> {
        let process = self.lane.envoys.get(envoy)?;
        process.set_now(now);
        self.touched = Some(envoy);
        Some(process)
    }

    fn call(&mut self, now: u64, number: usize) {
        let call = Call {
            at: now,
            attempts: 0,
        };
        self.calls.insert(number, call);
        self.buckets.first(&self.scene.world, number);
        let key = Key {
            call: number,
            turn: 1,
        };
        self.turn(now, key);
    }

    /// One more attempt of a request, counted over all its tries.
    pub(super) fn count_attempt(&mut self, key: Key) -> u32 {
        self.calls.get_mut(&key.call).map_or(1, |call| {
            call.attempts += 1;
            call.attempts
        })
    }

    /// A client's try is over: the next one, or the end.
    pub(super) fn turn_over(&mut self, now: u64, key: Key, got: Got) {
        if matches!(got, Got::Failed | Got::Refused)
            && let Some(wait) = self.buckets.again(&self.scene.world, key.call, key.turn)
        {
            let next = Key {
                turn: key.turn + 1,
                ..key
            };
            self.queue.push(now + wait, Event::Turn(next));
            return;
        }
        if let Some(call) = self.calls.remove(&key.call) {
            self.left -= 1;
            self.measure.answered(Answer {
                at: call.at - START,
                latency: now - call.at,
                got,
                priority: self.trace[key.call].priority,
                in_fault: self.scene.in_fault(call.at),
            });
        }
    }

    fn tick(&mut self, now: u64, envoy: usize) {
        if let Some(process) = self.process(now, envoy) {
            process.tick();
        }
        if self.left > 0 {
            self.queue.push(now + TICK, Event::Tick(envoy));
        }
    }

    /// What the filter logged of its transitions.
    fn transitions(&mut self) {
        let Some(envoy) = self.touched.take() else {
            return;
        };
        for line in self.lane.envoys[envoy].take_log() {
            let Some((before, after)) = line.text.split_once(" -> ") else {
                continue;
            };
            let from = before.rsplit(' ').next().unwrap_or_default();
            let to = after.split(' ').next().unwrap_or_default();
            let made = Transition {
                at_ms: line.at.saturating_sub(START) / 1_000_000,
                change: format!("{from} -> {to}"),
                line: line.text.clone(),
            };
            let of = self.measure.by_envoy.entry(envoy).or_default();
            of.push(made.clone());
            self.measure.transitions.push(made);
        }
    }
}
