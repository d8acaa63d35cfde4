//! One run: events in the order of their time, until nothing is left to happen.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use seawall_policy::breaker::TransitionLine;
use seawall_policy::worker::TICK_MILLIS;

use super::clients::Buckets;
use super::clusters::ClusterServers;
use super::queue::Queue;
use super::state::{ClientRequest, Event, Key, Run};
use super::{Lane, START, Scenario};
use crate::measure::{Answer, ClientOutcome, Measure, Transition};
use crate::process::Process;
use crate::random::chance;
use crate::trace::Request;

/// The filter's tick, in nanoseconds.
const TICK: u64 = TICK_MILLIS as u64 * 1_000_000;

/// After the last request and the last transition every tick is run for so long, in nanoseconds: ten minutes.
const REST: u64 = 600_000_000_000;
/// Later one of so many ticks is run, one a minute, until a request comes.
const STRIDE: u64 = 60_000 / TICK_MILLIS as u64;
/// Before a request so many are run again, so that the filter sees its ticks come on time.
const WAKING: u64 = 25;

/// Plays a trace in a scenario through a lane. `progress` is told of every request.
pub fn play(
    scenario: &Scenario,
    trace: &[Request],
    lane: &Lane<'_>,
    mut progress: impl FnMut(),
) -> Measure {
    let mut run = Run {
        scenario,
        trace,
        lane,
        queue: Queue::default(),
        upstreams: ClusterServers::default(),
        in_flight: BTreeMap::new(),
        jobs: BTreeMap::new(),
        next_job: 0,
        parked: BTreeSet::new(),
        retries: lane.retries(),
        measure: Measure::default(),
        requests: BTreeMap::new(),
        buckets: Buckets::new(scenario.clients),
        left: trace.len(),
        arrived: 0,
        active: START,
        touched: None,
    };
    for (number, request) in trace.iter().enumerate() {
        run.queue
            .push(START + request.at_us * 1_000, Event::Request(number));
    }
    for envoy in 0..lane.envoys.len() {
        let due = START + TICK + phase(scenario.environment.seed, envoy);
        run.queue.push(due, Event::Tick(envoy));
    }
    while let Some((now, event)) = run.queue.pop() {
        if matches!(event, Event::Request(_)) {
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
        if !matches!(event, Event::Tick(_)) {
            self.active = now;
        }
        match event {
            Event::Request(number) => self.client_request(now, number),
            Event::ClientTry(key) => self.client_try(now, key),
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

    fn client_request(&mut self, now: u64, number: usize) {
        self.arrived = self.arrived.max(number + 1);
        let call = ClientRequest {
            at: now,
            attempts: 0,
        };
        self.requests.insert(number, call);
        self.buckets.first(&self.scenario.environment, number);
        let key = Key {
            request: number,
            client_try: 1,
        };
        self.client_try(now, key);
    }

    /// One more attempt of a request, counted over all its tries.
    pub(super) fn count_attempt(&mut self, key: Key) -> u32 {
        self.requests.get_mut(&key.request).map_or(1, |call| {
            call.attempts += 1;
            call.attempts
        })
    }

    /// A client's try is over: the next one, or the end.
    pub(super) fn client_try_over(&mut self, now: u64, key: Key, outcome: ClientOutcome) {
        if matches!(outcome, ClientOutcome::Failed | ClientOutcome::Refused)
            && let Some(wait) =
                self.buckets
                    .again(&self.scenario.environment, key.request, key.client_try)
        {
            let next = Key {
                client_try: key.client_try + 1,
                ..key
            };
            self.queue.push(now + wait, Event::ClientTry(next));
            return;
        }
        if let Some(call) = self.requests.remove(&key.request) {
            self.left -= 1;
            let request = &self.trace[key.request];
            self.measure.answered(Answer {
                at: call.at - START,
                latency: now - call.at,
                outcome,
                priority: request.priority,
                in_fault: self.scenario.in_fault(call.at, request),
            });
        }
    }

    fn tick(&mut self, now: u64, envoy: usize) {
        if let Some(process) = self.process(now, envoy) {
            process.tick();
        }
        if self.left > 0 {
            let next = now + TICK * self.ticks_to_next(now);
            self.queue.push(next, Event::Tick(envoy));
        }
    }

    /// After how many ticks' time the next one is run: the next one, unless nothing has been on its way for long and the next
    /// request is far.
    fn ticks_to_next(&self, now: u64) -> u64 {
        let idle = self.requests.is_empty() && self.jobs.is_empty() && self.parked.is_empty();
        let rested = now.saturating_sub(self.active) >= REST;
        let Some(request) = self.trace.get(self.arrived).filter(|_| idle && rested) else {
            return 1;
        };
        if !self.scenario.skips_idle {
            return 1;
        }
        let ahead = (START + request.at_us * 1_000).saturating_sub(now) / TICK;
        ahead.saturating_sub(WAKING).clamp(1, STRIDE)
    }

    /// What the filter logged of its transitions.
    fn transitions(&mut self) {
        let Some(envoy) = self.touched.take() else {
            return;
        };
        for line in self.lane.envoys[envoy].take_log() {
            let Some(logged) = TransitionLine::parse(&line.text) else {
                continue;
            };
            self.active = self.active.max(line.at);
            let made = Transition {
                at_ms: line.at.saturating_sub(START) / 1_000_000,
                change: logged.to_string(),
                line: line.text.clone(),
            };
            let of = self.measure.by_envoy.entry(envoy).or_default();
            of.push(made.clone());
            self.measure.transitions.push(made);
        }
    }
}
