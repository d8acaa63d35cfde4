//! One request in Envoy: the filter before the router, the router's steps, the answer.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use rand::RngExt;

use super::START;
use super::key::{Concern, Key};
use super::shown::{properties, request, tell};
use super::state::{Event, InFlight, Run};
use crate::abi::stream::{
    HeaderMap, LocalReply, REQUEST_HEADERS, RESPONSE_HEADERS, headers, value,
};
use crate::measure::ClientOutcome;
use crate::process::{Flow, Properties, StreamId};
use crate::random::Seed;
use crate::router::{Downstream, Machine, Orders, Step, flag};

/// Requests come from so many clients in turn, each with an address of its own.
const CLIENTS: usize = 64;
/// What so many of them have in common with a service is kept.
const KNOWN_MAX: usize = 4_096;

impl Run<'_> {
    /// A client asks.
    pub(super) fn client_try(&mut self, now: u64, key: Key) {
        let Some(call) = self.requests.get(&key.request) else {
            return;
        };
        let (service, origin, patience) = (call.service, call.origin, call.patience);
        let envoy = match &call.caller {
            Some(caller) => caller.envoy,
            None => self.envoy_of(call),
        };
        let client = self.sessions.keeps_connection(call.client);
        // A client that keeps its connection stays with its worker.
        let seed = match client {
            Some(client) => Seed::of(self.scenario.seed, format_args!("client {client} worker")),
            None => Seed::of(self.scenario.seed, self.concern(key)),
        };
        let headers = request(origin, &call.request);
        let mut flight = InFlight {
            envoy,
            service,
            host: 0,
            tried: Vec::new(),
            stream: None,
            released: now,
            headers: Rc::new(headers),
            machine: None,
            attempts: BTreeMap::new(),
            begins: None,
            passing: None,
        };
        if let Some(patience) = patience {
            self.queue
                .push(now.saturating_add(patience), Event::GaveUp(key));
        }
        let Some(process) = self.process(now, envoy) else {
            self.in_flight.insert(key, Box::new(flight));
            self.release(now, key);
            return;
        };
        let worker = seed.start().random_range(0..process.workers());
        let known = self.known(service, client.unwrap_or(origin % CLIENTS));
        let stream = process.open(worker, known);
        flight.stream = Some(stream);
        let is_all = self.services.get(service).like.body.request == 0;
        let flow = process.request_headers(stream, Rc::clone(&flight.headers), is_all);
        self.in_flight.insert(key, Box::new(flight));
        match flow {
            Flow::Pause => {
                self.parked.insert((key, None));
            }
            flow => self.released(now, key, flow),
        }
    }

    /// What the downstream position can read from the start, made once for each service and client.
    fn known(&mut self, service: usize, client: usize) -> Rc<Properties> {
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        let known = self.known.entry((service, client)).or_insert_with(|| {
            let address = format!("10.1.{}.{}:50000", client / 250 % 250, client % 250);
            Rc::new(properties(&self.services.get(service).name, address))
        });
        Rc::clone(known)
    }

    /// What a try of a client draws from.
    pub(super) fn concern(&self, key: Key) -> Concern<'_> {
        Concern {
            name: self.name(key),
            client_try: key.client_try,
        }
    }

    /// The filter before the router let a request go, or answered it.
    pub(super) fn released(&mut self, now: u64, key: Key, flow: Flow) {
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        let (envoy, stream) = (flight.envoy, flight.stream);
        let Some((process, stream)) = self.process(now, envoy).zip(stream) else {
            return;
        };
        if let Flow::Reply(reply) = flow {
            self.remove(key);
            process.close(stream);
            self.measure.kept(now - START);
            let outcome = self.outcome_of(now, &reply.headers, 503);
            self.client_try_over(now, key, outcome);
            return;
        }
        if let Some(flight) = self.in_flight.get_mut(&key) {
            flight.headers = process.header_map(stream, REQUEST_HEADERS);
            let service = flight.service;
            self.request_body(process, stream, service);
        }
        self.release(now, key);
    }

    /// The router gets a request.
    fn release(&mut self, now: u64, key: Key) {
        let concern = format_args!("{} router", self.concern(key));
        let seed = Seed::of(self.scenario.seed, concern);
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        let orders = Orders::take(&self.lane.route, Rc::make_mut(&mut flight.headers));
        if let Some(total) = orders.total {
            self.queue
                .push(now.saturating_add(total), Event::Limit(key));
        }
        let mut machine = Machine::new(orders, seed);
        let steps = machine.start();
        flight.released = now;
        flight.machine = Some(machine);
        self.steps(now, key, steps);
    }

    /// Does what the router says. A filter that answers in between ends it.
    pub(super) fn steps(&mut self, now: u64, key: Key, steps: Vec<Step>) {
        let mut steps = VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Send(attempt) => self.send(now, key, attempt),
                Step::Wait(wait) => self.queue.push(now.saturating_add(wait), Event::Retry(key)),
                // Its answer has a body still, and goes to the client.
                Step::End(attempt) if self.begins(key, attempt) && answers(&steps) => {}
                Step::End(attempt) => self.end_attempt(now, key, attempt),
                Step::Answer(answer) => self.answer(now, key, answer),
            }
        }
    }

    /// The limit of a request passed.
    pub(super) fn limit(&mut self, now: u64, key: Key) {
        if self.passes(key) {
            return self.passed_too_long(now, key);
        }
        let attempts = self.in_flight.get(&key).map(|flight| &flight.attempts);
        let sent: Vec<u32> = attempts.map_or_else(Vec::new, |all| all.keys().copied().collect());
        for attempt in sent {
            self.host_told(now, key, attempt, None);
        }
        self.with_machine(now, key, |machine, retries| machine.timed_out(retries));
    }

    /// A retry's wait is over.
    pub(super) fn retry(&mut self, now: u64, key: Key) {
        self.with_machine(now, key, |machine, _| machine.retry_due());
    }

    /// Tells a request's router something, and does what it says.
    pub(super) fn with_machine(
        &mut self,
        now: u64,
        key: Key,
        tell: impl FnOnce(&mut Machine, &mut crate::router::Retries) -> Vec<Step>,
    ) {
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        let place = (flight.envoy, flight.service);
        let Some(mut machine) = flight.machine.take() else {
            return;
        };
        let lane = self.lane;
        let native = lane.native(&self.services.get(place.1).name);
        let steps = tell(&mut machine, self.pool(place).retries(native));
        if let Some(flight) = self.in_flight.get_mut(&key) {
            flight.machine = Some(machine);
        }
        self.steps(now, key, steps);
    }

    /// The client waits no longer. Its request is logged and done before its attempts are.
    pub(super) fn gave_up(&mut self, now: u64, key: Key) {
        let Some((flight, attempts)) = self.abandon(now, key) else {
            return;
        };
        if let Some((process, stream)) = self.process(now, flight.envoy).zip(flight.stream) {
            let flags = flag::DOWNSTREAM_TERMINATION.to_le_bytes().to_vec();
            process.set_property(stream, "response\0flags", flags);
            process.close(stream);
            attempts.iter().for_each(|attempt| process.close(*attempt));
        }
        self.client_try_over(now, key, ClientOutcome::Failed);
    }

    /// The filter answered in the upstream position: that is the whole request's answer, and nothing is tried again.
    pub(super) fn answered_by_attempt(&mut self, now: u64, key: Key, reply: &LocalReply) {
        let Some((flight, attempts)) = self.abandon(now, key) else {
            return;
        };
        let status = u16::try_from(reply.status).ok();
        let status = status.filter(|status| *status > 0).unwrap_or(503);
        let shown = headers(&[(":status", &status.to_string())]);
        let answer = Downstream {
            status,
            flags: 0,
            details: reply.details.clone(),
            headers: [shown, reply.headers.clone()].concat(),
        };
        let outcome = self.through_answer_side(now, &flight, answer);
        if let Some(process) = self.process(now, flight.envoy) {
            attempts.iter().for_each(|attempt| process.close(*attempt));
        }
        self.client_try_over(now, key, outcome);
    }

    fn answer(&mut self, now: u64, key: Key, answer: Downstream) {
        let flight = self.in_flight.get_mut(&key);
        if let Some(attempt) = flight.and_then(|flight| flight.begins.take()) {
            return self.begin_answer(now, key, attempt, answer);
        }
        if let Some(flight) = self.remove(key) {
            let outcome = self.through_answer_side(now, &flight, answer);
            self.client_try_over(now, key, outcome);
        }
    }

    /// The answer on its way back through the filter, and the end of the stream. What the client gets.
    fn through_answer_side(
        &mut self,
        now: u64,
        flight: &InFlight,
        answer: Downstream,
    ) -> ClientOutcome {
        let process = self.process(now, flight.envoy);
        let Some((process, stream)) = process.zip(flight.stream) else {
            return match self.lane.stands_in.filter(|_| answer.status >= 500) {
                Some(status) => ClientOutcome::of(u32::from(status), true, None),
                None => self.outcome_of(now, &answer.headers, u32::from(answer.status)),
            };
        };
        tell(process, stream, flight, &answer);
        let status = u32::from(answer.status);
        let answered = Rc::new(answer.headers);
        let (headers, status) = match process.response_headers(stream, answered, true) {
            Flow::Reply(reply) => (Rc::new(reply.headers), reply.status),
            Flow::Continue | Flow::Pause => (process.header_map(stream, RESPONSE_HEADERS), status),
        };
        process.close(stream);
        self.outcome_of(now, &headers, status)
    }

    /// Takes a request out that ends otherwise than by its router, with the streams of its attempts.
    fn abandon(&mut self, now: u64, key: Key) -> Option<(Box<InFlight>, Vec<StreamId>)> {
        let mut flight = self.remove(key)?;
        let place = (flight.envoy, flight.service);
        if let Some(machine) = flight.machine.as_mut() {
            let lane = self.lane;
            let native = lane.native(&self.services.get(place.1).name);
            machine.abandon(self.pool(place).retries(native));
        }
        let mut streams = Vec::new();
        for (number, attempt) in &flight.attempts {
            streams.extend(attempt.stream);
            self.leave(now, place, (key, *number), attempt.place);
        }
        Some((flight, streams))
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Box<InFlight>> {
        if !self.parked.is_empty() {
            self.parked.retain(|(of, _)| *of != key);
        }
        let flight = self.in_flight.remove(&key)?;
        if !self.hanging.is_empty() {
            for attempt in flight.attempts.keys() {
                self.hanging.remove(&(key, *attempt));
            }
        }
        Some(flight)
    }

    /// What a client gets with these headers. The reason of a refusal is counted.
    pub(super) fn outcome_of(
        &mut self,
        now: u64,
        headers: &HeaderMap,
        status: u32,
    ) -> ClientOutcome {
        let reason = value(headers, "x-seawall-reason");
        if let Some(reason) = &reason {
            self.measure.refused(now - START, reason);
        }
        let degraded = value(headers, "x-seawall-degraded").is_some();
        ClientOutcome::of(status, degraded, reason.as_deref())
    }
}

/// Whether the last step is an answer.
fn answers(steps: &VecDeque<Step>) -> bool {
    matches!(steps.back(), Some(Step::Answer(_)))
}
