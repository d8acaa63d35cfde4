//! One attempt: the filter behind the router, the way to the upstream, its work, the way back.

use rand::RngExt;

use super::START;
use super::fate::Takes;
use super::request::{id, upstream_properties};
use super::state::{Event, Key, Run, UpstreamJob};
use super::upstream::Arrival;
use crate::abi::stream::{HeaderMap, REQUEST_HEADERS, RESPONSE_HEADERS, headers, value};
use crate::process::{Flow, Properties};
use crate::random::chance;
use crate::router::End;

impl Run<'_> {
    /// Sends an attempt, through the filter behind the router where there is one.
    pub(super) fn send(&mut self, now: u64, key: Key, attempt: u32) {
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        flight.attempts.insert(attempt, None);
        let Some(machine) = flight.machine.as_ref() else {
            return;
        };
        let orders = machine.orders();
        if let Some(limit) = orders.per_try {
            let due = now.saturating_add(limit);
            self.queue.push(due, Event::AttemptLimit(key, attempt));
        }
        orders.tell_expected(&mut flight.headers, now - flight.released);
        let (envoy, parent, shown) = (flight.envoy, flight.stream, flight.headers.clone());
        let process = self.process(now, envoy).filter(|_| self.lane.upstream);
        let Some((process, parent)) = process.zip(parent) else {
            self.dispatch(now, key, attempt);
            return;
        };
        let stream = process.open_attempt(parent, properties(key, attempt));
        if let Some(flight) = self.in_flight.get_mut(&key) {
            flight.attempts.insert(attempt, Some(stream));
        }
        match process.request_headers(stream, shown, true) {
            Flow::Pause => {
                self.parked.insert((key, Some(attempt)));
            }
            flow => self.attempt_released(now, key, attempt, flow),
        }
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
        let (envoy, stream) = (flight.envoy, flight.attempts.get(&attempt).copied());
        let process = self.process(now, envoy);
        if let Some((process, stream)) = process.zip(stream.flatten())
            && let Some(flight) = self.in_flight.get_mut(&key)
        {
            // What the filter changes here, the next attempt has too.
            flight.headers = process.header_map(stream, REQUEST_HEADERS);
        }
        self.dispatch(now, key, attempt);
    }

    /// An attempt is on its way to the upstream.
    fn dispatch(&mut self, now: u64, key: Key, attempt: u32) {
        let number = self.count_attempt(key);
        let concern = format!("request {} attempt {number}", key.request);
        let mut random = chance(self.scenario.environment.seed, &concern);
        let draw = random.random_range(0.0..100.0);
        let (there, back) = self.scenario.ways(&mut random);
        let job = UpstreamJob {
            key,
            attempt,
            number,
            draw,
            back,
            work: self.trace[key.request].service_us * 1_000,
            end: End::Answer(200),
        };
        self.next_job += 1;
        self.jobs.insert(self.next_job, job);
        if there == 0 {
            self.reach(now, self.next_job);
        } else {
            self.queue.push(now + there, Event::Reach(self.next_job));
        }
    }

    /// An attempt is at the upstream, even if nobody waits for it any more.
    pub(super) fn reach(&mut self, now: u64, number: u64) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let request = &self.trace[job.key.request];
        let fate = self
            .scenario
            .fate(now, request, (job.number, job.draw, job.work));
        (job.end, job.work) = (fate.end, fate.work);
        if fate.reaches() {
            let in_fault = self.scenario.in_fault(now, request);
            self.measure.reached(now - START, in_fault);
        }
        let back = now + job.back;
        match fate.takes {
            Takes::Forever => drop(self.jobs.remove(&number)),
            Takes::Server => {
                let upstream = self.upstreams.of(self.scenario, request);
                match upstream.arrive(number, now) {
                    Arrival::Served => self.serve(now, number),
                    Arrival::Queued => {}
                    Arrival::Full => {
                        job.end = End::Answer(503);
                        self.queue.push(back, Event::Ended(number));
                    }
                }
            }
            Takes::Time => {
                let due = back.saturating_add(job.work);
                self.queue.push(due, Event::Ended(number));
            }
            Takes::Nothing => self.queue.push(back, Event::Ended(number)),
        }
    }

    fn serve(&mut self, now: u64, number: u64) {
        let Some(job) = self.jobs.get(&number) else {
            return;
        };
        let busy = self
            .upstreams
            .of(self.scenario, &self.trace[job.key.request])
            .busy();
        let work = self.scenario.work(now, job.work, busy);
        self.queue
            .push(now.saturating_add(work), Event::Served(number));
    }

    /// The upstream is done with an attempt, even if nobody waits for it any more.
    pub(super) fn served(&mut self, now: u64, number: u64) {
        let Some((call, back)) = self
            .jobs
            .get(&number)
            .map(|job| (job.key.request, job.back))
        else {
            return;
        };
        let upstream = self.upstreams.of(self.scenario, &self.trace[call]);
        let (next, dropped) = (upstream.finish(now), upstream.take_dropped());
        if let Some(next) = next {
            self.serve(now, next);
        }
        for dropped in dropped {
            if let Some(job) = self.jobs.get_mut(&dropped) {
                job.end = End::Answer(503);
                let back = now + job.back;
                self.queue.push(back, Event::Ended(dropped));
            }
        }
        self.queue.push(now + back, Event::Ended(number));
    }

    /// The end of an attempt is back in Envoy.
    pub(super) fn ended(&mut self, now: u64, number: u64) {
        let Some(UpstreamJob {
            key, attempt, end, ..
        }) = self.jobs.remove(&number)
        else {
            return;
        };
        let flight = self.in_flight.get(&key);
        let Some(stream) = flight.and_then(|flight| flight.attempts.get(&attempt).copied()) else {
            return;
        };
        let End::Answer(status) = end else {
            self.with_machine(now, key, |machine, retries| {
                machine.failed(attempt, end, retries)
            });
            return;
        };
        let mut answer = headers(&[(":status", &status.to_string())]);
        let envoy = flight.map_or(0, |flight| flight.envoy);
        if let Some((process, stream)) = self.process(now, envoy).zip(stream) {
            if let Flow::Reply(reply) = process.response_headers(stream, answer, true) {
                self.answered_by_attempt(now, key, &reply);
                return;
            }
            answer = process.header_map(stream, RESPONSE_HEADERS);
        }
        let status = code(&answer).unwrap_or(status);
        self.with_machine(now, key, |machine, retries| {
            machine.answered(attempt, status, answer, retries)
        });
    }

    /// The limit of an attempt passed.
    pub(super) fn attempt_limit(&mut self, now: u64, key: Key, attempt: u32) {
        self.with_machine(now, key, |machine, retries| {
            machine.attempt_timed_out(attempt, retries)
        });
    }

    /// An attempt is over: its filter is done.
    pub(super) fn end_attempt(&mut self, now: u64, key: Key, attempt: u32) {
        self.parked.remove(&(key, Some(attempt)));
        let Some(flight) = self.in_flight.get_mut(&key) else {
            return;
        };
        let (envoy, stream) = (flight.envoy, flight.attempts.remove(&attempt));
        if let Some((process, stream)) = self.process(now, envoy).zip(stream.flatten()) {
            process.close(stream);
        }
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
                Some(attempt) => flight.attempts.get(&attempt).copied().flatten(),
            });
            let envoy = flight.map_or(0, |flight| flight.envoy);
            let Some((process, stream)) = self.lane.envoys.get(envoy).zip(stream) else {
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
fn properties(key: Key, attempt: u32) -> Properties {
    let own = upstream_properties(attempt).map(|(path, value)| (path.to_owned(), value));
    let id = ("request\0id".to_owned(), id(key.request).into_bytes());
    own.into_iter().chain([id]).collect()
}
