//! One attempt in Envoy: its host, the filter behind the router, Envoy's own limits, its end.

use std::rc::Rc;

use rand::RngExt;

use super::key::Key;
use super::pool::{Place, Pool};
use super::shown::{id, upstream_properties};
use super::state::{Attempt, Event, Holds, Run};
use crate::abi::stream::{HeaderMap, REQUEST_HEADERS, RESPONSE_HEADERS, headers, value};
use crate::process::Flow;
use crate::random::Seed;
use crate::router::{End, Machine, Retries, flag};

impl Run<'_> {
    /// What an Envoy does by itself for a service.
    pub(super) fn pool(&mut self, place: (usize, usize)) -> &mut Pool {
        let native = self.lane.native(&self.services.get(place.1).name);
        self.pools
            .entry(place)
            .or_insert_with(|| Pool::new(Retries::limited(native.retries)))
    }

    /// Sends an attempt, through the filter behind the router where there is one.
    pub(super) fn send(&mut self, now: u64, key: Key, attempt: u32) {
        let Some(host) = self.choose_host(now, key, attempt) else {
            self.without_host(now, key, attempt);
            return;
        };
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        flight.host = host;
        flight.tried.push(host);
        if self.services.zone(flight.service, host).is_some()
            && let Some(call) = self.requests.get_mut(&key.request)
        {
            call.asked = Some(host);
        }
        let sent = Attempt {
            stream: None,
            at: now,
            host,
            place: Holds::No,
        };
        flight.attempts.insert(attempt, sent);
        let Some(machine) = flight.machine.as_ref() else {
            return;
        };
        let orders = machine.orders();
        if let Some(limit) = orders.per_try {
            let due = now.saturating_add(limit);
            self.queue.push(due, Event::AttemptLimit(key, attempt));
        }
        orders.tell_expected(Rc::make_mut(&mut flight.headers), now - flight.released);
        let (envoy, service, parent) = (flight.envoy, flight.service, flight.stream);
        if !self.lane.upstream || parent.is_none() {
            self.ask_for_place(now, key, attempt);
            return;
        }
        let shown = Rc::clone(&flight.headers);
        let origin = self
            .requests
            .get(&key.request)
            .map_or(0, |call| call.origin);
        let Some((process, parent)) = self.process(now, envoy).zip(parent) else {
            return;
        };
        let known = properties(origin, attempt, (service, host));
        let stream = process.open_attempt(parent, &known);
        if let Some(sent) = self.attempt_of(key, attempt) {
            sent.stream = Some(stream);
        }
        let is_all = self.services.get(service).like.body.request == 0;
        match process.request_headers(stream, shown, is_all) {
            Flow::Pause => {
                self.parked.insert((key, Some(attempt)));
            }
            flow => self.attempt_released(now, key, attempt, flow),
        }
    }

    fn attempt_of(&mut self, key: Key, attempt: u32) -> Option<&mut Attempt> {
        self.in_flight.get_mut(&key)?.attempts.get_mut(&attempt)
    }

    /// The host that an attempt goes to: any that is not ejected. An attempt of the same number of the same request draws the
    /// same in each lane.
    fn choose_host(&mut self, now: u64, key: Key, attempt: u32) -> Option<usize> {
        let flight = self.in_flight.get(&key)?;
        let place = (flight.envoy, flight.service);
        let running = self.services.get(place.1);
        let (name, count) = (Rc::clone(&running.name), running.hosts.len());
        let lane = self.lane;
        let native = lane.native(&name);
        if count == 1 && native.outliers.is_none() {
            return Some(0);
        }
        let mut well = self.pool(place).hosts(native, count, now);
        if lane.avoids_tried
            && let Some(flight) = self.in_flight.get(&key)
            && well.iter().any(|host| !flight.tried.contains(host))
        {
            well.retain(|host| !flight.tried.contains(host));
        }
        if well.is_empty() {
            return None;
        }
        let call = self.requests.get(&key.request);
        let client = self.sessions.keeps_host(call.and_then(|call| call.client));
        if attempt == 1
            && let Some(kept) = client.and_then(|client| self.sessions.host(client, place.1))
            && well.contains(&kept)
        {
            return Some(kept);
        }
        let seed = self.scenario.seed;
        let concern = match client.filter(|_| attempt == 1) {
            Some(client) => Seed::of(seed, format_args!("client {client} host of {name}")),
            None => Seed::of(seed, format_args!("{} host {attempt}", self.concern(key))),
        };
        let drawn = concern.start().random_range(0..well.len());
        let host = well.get(drawn).copied();
        if let Some((client, host)) = client.zip(host) {
            self.sessions.keep(client, place.1, host);
        }
        host
    }

    /// There is no host: Envoy answers by itself.
    fn without_host(&mut self, now: u64, key: Key, attempt: u32) {
        let end = End::Local(503, flag::NO_HEALTHY_UPSTREAM);
        self.with_machine(now, key, |machine, retries| {
            machine.failed(attempt, end, retries)
        });
    }

    /// The filter behind the router let an attempt go, or answered the request.
    fn attempt_released(&mut self, now: u64, key: Key, attempt: u32, flow: Flow) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        if let Flow::Reply(reply) = flow {
            self.answered_by_attempt(now, key, &reply);
            return;
        }
        let (envoy, sent) = (flight.envoy, flight.attempts.get(&attempt));
        let stream = sent.and_then(|sent| sent.stream);
        if let Some((process, stream)) = self.process(now, envoy).zip(stream)
            && let Some(flight) = self.in_flight.get_mut(&key)
        {
            // What the filter changes here, the next attempt has too.
            flight.headers = process.header_map(stream, REQUEST_HEADERS);
            let service = flight.service;
            self.request_body(process, stream, service);
        }
        self.ask_for_place(now, key, attempt);
    }

    /// An attempt asks for a connection, under Envoy's own limits.
    fn ask_for_place(&mut self, now: u64, key: Key, attempt: u32) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        let place = (flight.envoy, flight.service);
        let lane = self.lane;
        let native = lane.native(&self.services.get(place.1).name);
        let (held, goes) = match self.pool(place).enter(native, (key, attempt)) {
            Place::Free => (Holds::Place, true),
            Place::Wait => (Holds::Waits, false),
            Place::Overflow => {
                let end = End::Local(503, flag::UPSTREAM_OVERFLOW);
                self.with_machine(now, key, |machine, retries| {
                    machine.failed(attempt, end, retries)
                });
                return;
            }
        };
        if let Some(sent) = self.attempt_of(key, attempt) {
            sent.place = held;
        }
        if goes {
            self.has_place(now, key, attempt);
        }
    }

    /// An attempt has a connection. The filter before the router can see that from now on.
    fn has_place(&mut self, now: u64, key: Key, attempt: u32) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        let Some(sent) = flight.attempts.get(&attempt) else {
            return;
        };
        let (envoy, at, stream) = (flight.envoy, sent.at, flight.stream);
        let place = (flight.service, sent.host);
        let attempts = flight.machine.as_ref().map_or(attempt, Machine::attempts);
        if let Some((process, stream)) = self.process(now, envoy).zip(stream) {
            for (path, value) in upstream_properties(attempts, place) {
                process.set_property(stream, path, value);
            }
            let waited = (now - at).to_le_bytes().to_vec();
            process.set_property(stream, "upstream\0cx_pool_ready_duration", waited);
        }
        self.dispatch(now, key, attempt);
    }

    /// An attempt is over, or waits no longer. Who waited for its place goes.
    pub(super) fn leave(
        &mut self,
        now: u64,
        place: (usize, usize),
        attempt: (Key, u32),
        held: Holds,
    ) {
        match held {
            Holds::No => {}
            Holds::Waits => self.pool(place).forget(attempt),
            Holds::Place => {
                let Some((key, number)) = self.pool(place).leave() else {
                    return;
                };
                if let Some(sent) = self.attempt_of(key, number) {
                    sent.place = Holds::Place;
                }
                self.has_place(now, key, number);
            }
        }
    }

    /// Outlier detection hears how an attempt ended: nothing is what broke, or took too long.
    pub(super) fn host_told(&mut self, now: u64, key: Key, attempt: u32, status: Option<u16>) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        let Some(host) = flight.attempts.get(&attempt).map(|sent| sent.host) else {
            return;
        };
        let place = (flight.envoy, flight.service);
        let lane = self.lane;
        let native = lane.native(&self.services.get(place.1).name);
        if native.outliers.is_some() {
            self.pool(place).told(native, host, status, now);
        }
    }

    /// The end of an attempt is back in Envoy.
    pub(super) fn ended(&mut self, now: u64, number: u64) {
        let Some(mut job) = self.jobs.remove(&number) else {
            return;
        };
        let (key, attempt, end) = (job.key, job.attempt, job.end);
        let body = job.body.take();
        if body.as_ref().is_some_and(|body| body.begun) {
            return self.broke(now, key, attempt);
        }
        let flight = self.in_flight.get(&key);
        let Some(sent) = flight.and_then(|flight| flight.attempts.get(&attempt)) else {
            return;
        };
        let (stream, envoy) = (sent.stream, flight.map_or(0, |flight| flight.envoy));
        let End::Answer(status) = end else {
            self.host_told(now, key, attempt, None);
            self.with_machine(now, key, |machine, retries| {
                machine.failed(attempt, end, retries)
            });
            return;
        };
        self.host_told(now, key, attempt, Some(status));
        if let Some(flight) = self.in_flight.get_mut(&key) {
            flight.host = job.host;
        }
        let mut answer = Rc::new(headers(&[(":status", &status.to_string())]));
        if let Some((process, stream)) = self.process(now, envoy).zip(stream) {
            let is_all = body.is_none();
            if let Flow::Reply(reply) = process.response_headers(stream, answer, is_all) {
                self.answered_by_attempt(now, key, &reply);
                return;
            }
            answer = process.header_map(stream, RESPONSE_HEADERS);
        }
        let status = code(&answer).unwrap_or(status);
        if body.is_some()
            && let Some(flight) = self.in_flight.get_mut(&key)
        {
            flight.begins = Some(attempt);
        }
        self.with_machine(now, key, |machine, retries| {
            machine.answered(attempt, status, Rc::unwrap_or_clone(answer), retries)
        });
        if let Some(body) = body {
            self.comes(now, number, job, body);
        }
    }

    /// The limit of an attempt passed. Once an answer goes to the client it counts no more.
    pub(super) fn attempt_limit(&mut self, now: u64, key: Key, attempt: u32) {
        if self.passes(key) {
            return;
        }
        self.host_told(now, key, attempt, None);
        self.with_machine(now, key, |machine, retries| {
            machine.attempt_timed_out(attempt, retries)
        });
    }

    /// An attempt is over: its filter is done, and its place is free.
    pub(super) fn end_attempt(&mut self, now: u64, key: Key, attempt: u32) {
        self.parked.remove(&(key, Some(attempt)));
        self.hanging.remove(&(key, attempt));
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        let place = (flight.envoy, flight.service);
        let Some(sent) = flight.attempts.remove(&attempt) else {
            return;
        };
        if let Some((process, stream)) = self.process(now, place.0).zip(sent.stream) {
            process.close(stream);
        }
        self.leave(now, place, (key, attempt), sent.place);
    }

    /// What paused and was resumed or answered from elsewhere, by a tick or by another stream's callback.
    pub(super) fn wake(&mut self, now: u64) {
        if self.parked.is_empty() {
            return;
        }
        for (key, attempt) in self.parked.clone() {
            let flight = self.in_flight.get(&key);
            let stream = flight.and_then(|flight| match attempt {
                None => flight.stream,
                Some(attempt) => flight.attempts.get(&attempt).and_then(|sent| sent.stream),
            });
            let process = flight.and_then(|flight| self.lane.process(flight.envoy));
            let process = process.and_then(|number| self.lane.envoys.get(number));
            let Some((process, stream)) = process.zip(stream) else {
                continue;
            };
            let Some(flow) = process.woken(stream) else {
                continue;
            };
            self.parked.remove(&(key, attempt));
            match attempt {
                None => self.released(now, key, flow),
                Some(attempt) => self.attempt_released(now, key, attempt, flow),
            }
        }
    }
}

fn code(answer: &HeaderMap) -> Option<u16> {
    value(answer, ":status")?.parse().ok()
}

/// What the upstream position can read beyond what the downstream position can.
fn properties(origin: usize, attempt: u32, host: (usize, usize)) -> [(&'static str, Vec<u8>); 4] {
    let [address, port, count] = upstream_properties(attempt, host);
    [
        address,
        port,
        count,
        ("request\0id", id(origin).into_bytes()),
    ]
}
