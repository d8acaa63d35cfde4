//! One request in Envoy: the filter before the router, the router's steps, the answer.

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt;
use seawall_policy::priority::{Priority, Settings};

use super::START;
use super::state::{Event, InFlight, Key, Run};
use crate::abi::stream::{
    HeaderMap, LocalReply, REQUEST_HEADERS, RESPONSE_HEADERS, headers, value,
};
use crate::measure::ClientOutcome;
use crate::process::{Flow, Properties, StreamId};
use crate::random::chance;
use crate::router::{Downstream, Machine, Orders, Step, flag};
use crate::trace::Request;

/// Where the upstream's only host is.
pub(super) const ADDRESS: &str = "10.0.0.1:80";
/// Requests come from so many clients in turn, each with an address of its own.
const CLIENTS: usize = 64;

impl Run<'_> {
    /// A client asks.
    pub(super) fn client_try(&mut self, now: u64, key: Key) {
        let envoy = key.request % self.lane.size();
        let headers = request(key.request, &self.trace[key.request]);
        let mut flight = InFlight {
            envoy,
            stream: None,
            released: now,
            headers,
            machine: None,
            attempts: BTreeMap::new(),
        };
        if let Some(patience) = self.scenario.environment.patience {
            self.queue.push(now + patience, Event::GaveUp(key));
        }
        let Some(process) = self.process(now, envoy) else {
            self.in_flight.insert(key, flight);
            self.release(now, key);
            return;
        };
        let mut random = chance(self.scenario.environment.seed, &concern(key));
        let worker = random.random_range(0..process.workers());
        let cluster = self.scenario.cluster_of(&self.trace[key.request]);
        let stream = process.open(worker, properties(cluster, key.request));
        flight.stream = Some(stream);
        let flow = process.request_headers(stream, flight.headers.clone(), true);
        self.in_flight.insert(key, flight);
        match flow {
            Flow::Pause => {
                self.parked.insert((key, None));
            }
            flow => self.released(now, key, flow),
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
            self.client_try_over(now, key, outcome_of(&reply.headers, 503));
            return;
        }
        if let Some(flight) = self.in_flight.get_mut(&key) {
            flight.headers = process.header_map(stream, REQUEST_HEADERS);
        }
        self.release(now, key);
    }

    /// The router gets a request.
    fn release(&mut self, now: u64, key: Key) {
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        let orders = Orders::take(&self.lane.route, &mut flight.headers);
        if let Some(total) = orders.total {
            self.queue
                .push(now.saturating_add(total), Event::Limit(key));
        }
        let concern = format!("{} router", concern(key));
        let mut machine = Machine::new(orders, chance(self.scenario.environment.seed, &concern));
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
                Step::Wait(wait) => self.queue.push(now + wait, Event::Retry(key)),
                Step::End(attempt) => self.end_attempt(now, key, attempt),
                Step::Answer(answer) => self.answer(now, key, answer),
            }
        }
    }

    /// The limit of a request passed.
    pub(super) fn limit(&mut self, now: u64, key: Key) {
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
        let retries = &mut self.retries[flight.envoy];
        let Some(machine) = flight.machine.as_mut() else {
            return;
        };
        let steps = tell(machine, retries);
        self.steps(now, key, steps);
    }

    /// The client waits no longer. Its request is logged and done before its attempts are.
    pub(super) fn gave_up(&mut self, now: u64, key: Key) {
        let Some((flight, attempts)) = self.abandon(key) else {
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
        let Some((flight, attempts)) = self.abandon(key) else {
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
            return outcome_of(&answer.headers, u32::from(answer.status));
        };
        let set = |path: &str, value: &[u8]| process.set_property(stream, path, value.to_vec());
        set("response\0flags", &answer.flags.to_le_bytes());
        set("response\0code_details", answer.details.as_bytes());
        let attempts = flight.machine.as_ref().map_or(0, Machine::attempts);
        upstream_properties(attempts)
            .iter()
            .for_each(|(path, value)| set(path, value));
        let status = u32::from(answer.status);
        let outcome = match process.response_headers(stream, answer.headers, true) {
            Flow::Reply(reply) => outcome_of(&reply.headers, reply.status),
            Flow::Continue | Flow::Pause => {
                outcome_of(&process.header_map(stream, RESPONSE_HEADERS), status)
            }
        };
        process.close(stream);
        outcome
    }

    /// Takes a request out that ends otherwise than by its router, with the streams of its attempts.
    fn abandon(&mut self, key: Key) -> Option<(InFlight, Vec<StreamId>)> {
        let mut flight = self.remove(key)?;
        if let Some(machine) = flight.machine.as_mut() {
            machine.abandon(&mut self.retries[flight.envoy]);
        }
        let attempts = flight.attempts.values().copied().flatten().collect();
        Some((flight, attempts))
    }

    fn remove(&mut self, key: Key) -> Option<InFlight> {
        if !self.parked.is_empty() {
            self.parked.retain(|(of, _)| *of != key);
        }
        self.in_flight.remove(&key)
    }
}

/// What a try of a client draws from.
fn concern(key: Key) -> String {
    match key.client_try {
        1 => format!("request {}", key.request),
        client_try => format!("request {} turn {client_try}", key.request),
    }
}

fn outcome_of(headers: &HeaderMap, status: u32) -> ClientOutcome {
    if value(headers, "x-seawall-degraded").is_some() {
        ClientOutcome::Degraded
    } else if value(headers, "x-seawall-reason").is_some() {
        ClientOutcome::Refused
    } else if status >= 500 {
        ClientOutcome::Failed
    } else {
        ClientOutcome::Good
    }
}

fn request(number: usize, request: &Request) -> HeaderMap {
    let id = id(number);
    let mut shown = vec![
        (":method", request.method.as_deref().unwrap_or("GET")),
        (":scheme", "http"),
        (":authority", "upstream"),
        (":path", request.path.as_str()),
        ("x-request-id", id.as_str()),
    ];
    let priority = request.priority.map(Priority::name);
    shown.extend(priority.map(|name| (Settings::HEADER, name)));
    headers(&shown)
}

/// The id of a request.
pub(super) fn id(number: usize) -> String {
    format!("{number:08x}")
}

/// What the downstream position can read from the start.
fn properties(cluster: &str, request: usize) -> Properties {
    const OUTBOUND: u64 = 2;
    let client = request % CLIENTS;
    BTreeMap::from([
        ("xds\0cluster_name".to_owned(), cluster.into()),
        ("xds\0route_name".to_owned(), b"default".to_vec()),
        (
            "source\0address".to_owned(),
            format!("10.1.0.{client}:50000").into(),
        ),
        (
            "xds\0listener_direction".to_owned(),
            OUTBOUND.to_le_bytes().to_vec(),
        ),
        // Before the router Envoy's count is there, and reads 0.
        (
            "upstream\0request_attempt_count".to_owned(),
            0_u64.to_le_bytes().to_vec(),
        ),
    ])
}

/// What is known of the upstream when so many attempts have been made.
pub(super) fn upstream_properties(attempts: u32) -> [(&'static str, Vec<u8>); 3] {
    let port: u64 = 80;
    [
        ("upstream\0address", ADDRESS.into()),
        ("upstream\0port", port.to_le_bytes().to_vec()),
        (
            "upstream\0request_attempt_count",
            u64::from(attempts).to_le_bytes().to_vec(),
        ),
    ]
}
