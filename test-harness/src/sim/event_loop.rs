//! One run: events in the order of their time, until nothing is left to happen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::rc::Rc;

use rand::RngExt;
use seawall_policy::worker::TICK_MILLIS;

use super::arrivals::Arrivals;
use super::clients::Buckets;
use super::hosts::Services;
use super::key::Key;
use super::limits::Limits;
use super::pool::Pool;
use super::queue::Queue;
use super::sessions::Sessions;
use super::state::{ClientRequest, Event, Run};
use super::{Filter, Lane, START, Scenario};
use crate::fault::Kind;
use crate::measure::{Answer, ClientOutcome, Measure, Transition};
use crate::process::TRAPPED;
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

/// Calls of services are numbered from here on: behind every request of a trace.
const CALLS: usize = usize::MAX / 2;

/// Plays a trace in a scenario through a lane. `progress` is told of every request. Requests come in the order of their time; they
/// may be made or read while they are played, and are forgotten when they are over.
pub fn play<R: Into<Rc<Request>>>(
    scenario: &Scenario,
    trace: impl IntoIterator<Item = R>,
    lane: &Lane<'_>,
    mut progress: impl FnMut(),
) -> Measure {
    let goes_on = || {
        progress();
        ControlFlow::Continue(())
    };
    play_while(scenario, trace, lane, goes_on).0
}

/// The same, as long as `progress` says so. What was measured, and when it was stopped, in nanoseconds since the trace began.
pub fn play_while<R: Into<Rc<Request>>>(
    scenario: &Scenario,
    trace: impl IntoIterator<Item = R>,
    lane: &Lane<'_>,
    mut progress: impl FnMut() -> ControlFlow<()>,
) -> (Measure, Option<u64>) {
    let mut requests = trace.into_iter().map(Into::into);
    run(scenario, Arrivals::of(&mut requests), lane, &mut progress)
}

fn run<'a>(
    scenario: &'a Scenario,
    arrivals: Arrivals<'a>,
    lane: &'a Lane<'a>,
    progress: &mut dyn FnMut() -> ControlFlow<()>,
) -> (Measure, Option<u64>) {
    let mut run = Run {
        scenario,
        arrivals,
        lane,
        queue: Queue::default(),
        services: Services::default(),
        pools: BTreeMap::new(),
        in_flight: BTreeMap::new(),
        known: HashMap::new(),
        jobs: BTreeMap::new(),
        next_job: 0,
        hanging: BTreeSet::new(),
        parked: BTreeSet::new(),
        measure: Measure::default(),
        requests: BTreeMap::new(),
        sessions: Sessions::new(scenario.clients, scenario.seed),
        buckets: Buckets::new(scenario.clients),
        users: 0,
        next_call: CALLS,
        active: START,
        touched: None,
        limits: Limits::of(&lane.envoys),
        has_toxics: scenario.has_toxics(),
        has_partitions: scenario.has(Kind::Partition),
    };
    for process in 0..lane.envoys.len() {
        let due = START + TICK + phase(scenario.seed, process);
        run.queue.push(due, Event::Tick(process));
    }
    for (number, fault) in scenario.faults.iter().enumerate() {
        let due = START.saturating_add(fault.at);
        match fault.kind {
            Kind::Crash => run.queue.push(due, Event::Crash(number)),
            Kind::KillVm | Kind::CorruptState => run.queue.push(due, Event::Harm(fault.kind)),
            Kind::Clock => {
                run.queue.push(due, Event::Harm(fault.kind));
                let end = due.saturating_add(fault.length);
                run.queue.push(end, Event::Harm(fault.kind));
            }
            _ => {}
        }
    }
    loop {
        // A request comes before what else is due at the same time.
        let request = run.next_request();
        let due = run.queue.due();
        // What goes on at hosts after the last answer is no part of the run as users see it.
        let is_open = run.is_open();
        let first = request.filter(|at| due.is_none_or(|due| *at <= due));
        let now = if let Some(now) = first {
            if progress().is_break() {
                return (run.measure, Some(now - START));
            }
            run.active = now;
            run.client_request(now);
            now
        } else if let Some((now, event)) = run.queue.pop() {
            run.handle(now, event);
            now
        } else {
            break;
        };
        run.wake(now);
        run.transitions();
        if is_open {
            run.level(now);
        }
    }
    (run.measure, None)
}

/// Envoys do not tick together; the first one ticks from the start of the trace.
fn phase(seed: u64, envoy: usize) -> u64 {
    if envoy == 0 {
        return 0;
    }
    chance(seed, format_args!("envoy {envoy} tick")).random_range(0..TICK)
}

impl<'a> Run<'a> {
    fn handle(&mut self, now: u64, event: Event) {
        if !matches!(event, Event::Tick(_)) {
            self.active = now;
        }
        match event {
            Event::ClientTry(key) => self.client_try(now, key),
            Event::GaveUp(key) => self.gave_up(now, key),
            Event::Limit(key) => self.limit(now, key),
            Event::AttemptLimit(key, attempt) => self.attempt_limit(now, key, attempt),
            Event::Retry(key) => self.retry(now, key),
            Event::Reach(job) => self.reach(now, job),
            Event::Served(job) => self.served(now, job),
            Event::Ended(job) => self.ended(now, job),
            Event::Piece(job) => self.piece(now, job),
            Event::Crash(fault) => self.crash(now, fault),
            Event::Harm(kind) => self.harm(now, kind),
            Event::Tick(process) => self.tick(now, process),
        }
    }

    /// The filter of an Envoy, at this time.
    pub(super) fn process(&mut self, now: u64, envoy: usize) -> Option<&'a dyn Filter> {
        let number = self.lane.process(envoy)?;
        let process = *self.lane.envoys.get(number)?;
        process.set_now(now);
        self.touched = Some(number);
        Some(process)
    }

    /// The next request of the trace comes.
    fn client_request(&mut self, now: u64) {
        let Some((number, request)) = self.arrivals.take() else {
            return;
        };
        self.users += 1;
        let client = self.sessions.comes(self.scenario.seed, number);
        let cluster = self.scenario.cluster_of(&request);
        let service = self.services.number(self.scenario, cluster);
        self.measure.offered(now - START);
        let call = ClientRequest {
            at: now,
            attempts: 0,
            request,
            origin: number,
            service,
            patience: self.scenario.patience,
            client,
            asked: None,
            caller: None,
        };
        self.requests.insert(number, call);
        self.buckets.first(self.scenario.seed, number, client);
        let key = Key {
            request: number,
            client_try: 1,
        };
        self.client_try(now, key);
    }

    /// A client's try is over: the next one, or the end.
    pub(super) fn client_try_over(&mut self, now: u64, key: Key, outcome: ClientOutcome) {
        let bad = matches!(outcome, ClientOutcome::Failed | ClientOutcome::Refused);
        if bad && let Some(wait) = self.next_try(key) {
            let next = Key {
                client_try: key.client_try + 1,
                ..key
            };
            self.queue
                .push(now.saturating_add(wait), Event::ClientTry(next));
            return;
        }
        let Some(mut call) = self.requests.remove(&key.request) else {
            return;
        };
        if let Some(caller) = call.caller.take() {
            return self.called(now, &caller, !bad);
        }
        self.users -= 1;
        self.sessions
            .is_over(self.scenario.seed, key.request, call.client, now);
        let zones = &self.scenario.edge_zones;
        let zone = match zones.is_empty() {
            true => call
                .asked
                .and_then(|host| self.services.zone(call.service, host)),
            false => self.scenario.edge_zone(self.envoy_of(&call)),
        };
        let request = &call.request;
        self.measure.answered(Answer {
            at: call.at - START,
            latency: now - call.at,
            outcome,
            cluster: self.scenario.cluster_of(request),
            priority: request.priority,
            zone,
            in_fault: self.scenario.in_fault(call.at, request),
        });
    }

    /// After how many nanoseconds a try that failed is followed by another one, if it is.
    fn next_try(&mut self, key: Key) -> Option<u64> {
        let call = self.requests.get(&key.request)?;
        let client = call.client;
        match &call.caller {
            Some(caller) => (key.client_try < caller.tries).then_some(0),
            None => {
                let seed = self.scenario.seed;
                self.buckets
                    .again(seed, key.request, client, key.client_try)
            }
        }
    }

    /// When the next request comes: by the trace, or from the closed client that is ready first.
    fn next_request(&self) -> Option<u64> {
        let by_trace = self.arrivals.due()?;
        match self.sessions.is_closed() {
            true => self.sessions.due(),
            false => Some(by_trace),
        }
    }

    /// The Envoy that a user's request comes to.
    pub(super) fn envoy_of(&self, call: &ClientRequest) -> usize {
        let client = self.sessions.keeps_connection(call.client);
        client.unwrap_or(call.origin) % self.lane.edge()
    }

    /// Whether requests of the trace are on their way, or more will come.
    fn is_open(&self) -> bool {
        self.users > 0 || self.arrivals.due().is_some()
    }

    fn tick(&mut self, now: u64, number: usize) {
        if let Some(process) = self.lane.envoys.get(number) {
            process.set_now(now);
            self.touched = Some(number);
            process.tick();
            if self.limits.is_any() {
                let limit = self.limits.told(number, *process);
                self.measure.limit(now.saturating_sub(START), limit);
            }
        }
        if self.is_open() {
            let next = now + TICK * self.ticks_to_next(now);
            self.queue.push(next, Event::Tick(number));
        }
    }

    /// After how many ticks' time the next one is run: the next one, unless nothing has been on its way for long and the next
    /// request is far.
    fn ticks_to_next(&self, now: u64) -> u64 {
        let idle = self.requests.is_empty() && self.jobs.is_empty() && self.parked.is_empty();
        let rested = now.saturating_sub(self.active) >= REST;
        let Some(request) = self.next_request().filter(|_| idle && rested) else {
            return 1;
        };
        if !self.scenario.skips_idle {
            return 1;
        }
        let ahead = request.saturating_sub(now) / TICK;
        ahead.saturating_sub(WAKING).clamp(1, STRIDE)
    }

    /// Something happens to all Envoys that have the filter.
    fn harm(&mut self, now: u64, kind: Kind) {
        for process in &self.lane.envoys {
            process.set_now(now);
            match kind {
                Kind::KillVm => (0..process.workers()).for_each(|worker| process.kill(worker)),
                Kind::CorruptState => {
                    process.corrupt_shared();
                    self.measure
                        .overwritten(now.saturating_sub(START) / 1_000_000);
                }
                _ => process.set_wall_ahead(self.scenario.clock_ahead(now)),
            }
        }
    }

    /// How much the upstream has, and how many wait.
    fn level(&mut self, now: u64) {
        let at_upstream = self.jobs.len() + self.hanging.len();
        self.measure.level(now - START, at_upstream, self.users);
        let held = self.pools.values().map(Pool::active).max();
        self.measure.held(held.unwrap_or(0));
    }

    /// What the filter logged of its transitions.
    fn transitions(&mut self) {
        let Some(envoy) = self.touched.take() else {
            return;
        };
        for line in self.lane.envoys[envoy].take_log() {
            if line.text.starts_with(TRAPPED) {
                self.measure.trapped();
            }
            let at_ms = line.at.saturating_sub(START) / 1_000_000;
            let Some(made) = Transition::logged(at_ms, &line.text) else {
                continue;
            };
            self.active = self.active.max(line.at);
            self.measure.changed(envoy, made);
        }
    }
}
