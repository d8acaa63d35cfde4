//! One attempt at its host: the way there, the queue, the work, the calls of other services, the way back.

use std::rc::Rc;

use rand::RngExt;

use super::START;
use super::fate::{Fate, Takes};
use super::key::{Key, Name};
use super::passing::reached;
use super::state::{Asker, Caller, ClientRequest, Event, Run, UpstreamJob};
use super::upstream::Arrival;
use crate::random::chance;
use crate::router::End;
use crate::trace::Request;

/// What a service answers that does not get what it needs.
const NEEDS: u16 = 503;

impl Run<'_> {
    /// One more attempt of a request, counted over all its tries.
    fn count_attempt(&mut self, key: Key) -> u32 {
        self.requests.get_mut(&key.request).map_or(1, |call| {
            call.attempts += 1;
            call.attempts
        })
    }

    /// What names a request, so that it draws the same in each lane.
    pub(super) fn name(&self, key: Key) -> Name<'_> {
        let call = self.requests.get(&key.request);
        match call.and_then(|call| call.caller.as_ref()) {
            Some(caller) => Name::Call(&caller.concern),
            None => Name::Request(key.request),
        }
    }

    /// An attempt is on its way to its host.
    pub(super) fn dispatch(&mut self, now: u64, key: Key, attempt: u32) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        let service = flight.service;
        let host = flight.attempts.get(&attempt).map_or(0, |sent| sent.host);
        let Some(call) = self.requests.get(&key.request) else {
            return;
        };
        let (origin, request) = (call.origin, Rc::clone(&call.request));
        let asker = match &call.caller {
            Some(caller) => Asker::Host(caller.at.0, caller.at.1),
            None => Asker::Edge(flight.envoy),
        };
        let number = self.count_attempt(key);
        let concern = format_args!("{} attempt {number}", self.name(key));
        let mut random = chance(self.scenario.seed, concern);
        let concern = self.has_toxics.then(|| concern.to_string());
        let draw = random.random_range(0.0..100.0);
        let like = self.services.get(service).like;
        let (there, back) = like.network.ways(&mut random);
        let lost = like.network.loses(&mut random);
        let told = request.service_us * 1_000;
        let mut work = like.time.draw(told, &mut random);
        let mut calls = like.calls.len();
        if let Some(cache) = like.cache {
            let running = self.services.get(service);
            let hit = random.random_range(0.0..100.0);
            if running
                .hosts
                .get_mut(host)
                .is_some_and(|host| host.hits(cache, hit))
            {
                (work, calls) = (cache.time, 0);
            }
        }
        // Nothing ever comes back.
        if lost {
            return;
        }
        let body = like.body;
        let mut job = UpstreamJob {
            key,
            attempt,
            request,
            origin,
            service,
            host,
            asker,
            calls,
            lost: false,
            number,
            draw,
            back,
            work,
            end: End::Answer(200),
            body: None,
        };
        self.next_job += 1;
        let there = there.saturating_add(self.sending(now, &mut job, body, concern));
        self.jobs.insert(self.next_job, job);
        if there == 0 {
            self.reach(now, self.next_job);
        } else {
            let due = now.saturating_add(there);
            self.queue.push(due, Event::Reach(self.next_job));
        }
    }

    /// An attempt is at its host, even if nobody waits for it any more.
    pub(super) fn reach(&mut self, now: u64, number: u64) {
        let Some(job) = self.jobs.get_mut(&number).filter(|job| !job.lost) else {
            return;
        };
        let request: &Request = &job.request;
        if job.end != End::Answer(200) {
            // Its connection was closed before all of the request was there.
            return self.goes_back(now, number);
        }
        let running = self.services.get(job.service);
        let name = Rc::clone(&running.name);
        let at = reached(self.scenario, &self.services, job, &name);
        // The trace says what became of what it asked, and nothing of what that led to.
        let recorded = (job.key.request == job.origin).then_some(request);
        let fate = self.scenario.fate(now, recorded, &at);
        (job.end, job.work) = (fate.end, fate.work);
        if fate.reaches() {
            let in_fault = self.scenario.in_fault(now, request);
            self.measure.reached(now - START, in_fault);
        }
        self.take(now, number, fate);
    }

    /// What an attempt takes of its host.
    fn take(&mut self, now: u64, number: u64, fate: Fate) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        match fate.takes {
            Takes::Forever => {
                let held = (job.key, job.attempt);
                self.jobs.remove(&number);
                self.hangs(held);
            }
            Takes::Server => {
                let running = self.services.get(job.service);
                let host = running.hosts.get_mut(job.host);
                match host.map_or(Arrival::Full, |host| host.arrive(number, now)) {
                    Arrival::Served => self.serve(now, number),
                    Arrival::Queued => {}
                    Arrival::Full => {
                        job.end = End::Answer(503);
                        self.goes_back(now, number);
                    }
                }
            }
            Takes::Time => {
                let left = now.saturating_add(job.work);
                self.goes_back(left, number);
            }
            Takes::Nothing => self.goes_back(now, number),
        }
    }

    /// Nothing comes of an attempt, as long as Envoy waits for it.
    pub(super) fn hangs(&mut self, held: (Key, u32)) {
        let flight = self.in_flight.get(&held.0);
        if flight.is_some_and(|flight| flight.attempts.contains_key(&held.1)) {
            self.hanging.insert(held);
        }
    }

    fn serve(&mut self, now: u64, number: u64) {
        let Some(job) = self.jobs.get(&number) else {
            return;
        };
        let running = self.services.get(job.service);
        let Some(host) = running.hosts.get(job.host) else {
            return;
        };
        let work = (job.work, host.busy(), host.up);
        let work = self.scenario.work(now, (&running.name, job.host), work);
        self.queue
            .push(now.saturating_add(work), Event::Served(number));
    }

    /// The work on an attempt is done, even if nobody waits for it any more. Now it calls whom it needs.
    pub(super) fn served(&mut self, now: u64, number: u64) {
        let Some(job) = self.jobs.get_mut(&number).filter(|job| !job.lost) else {
            return;
        };
        let place = (job.service, job.host);
        let like = self.services.get(job.service).like;
        let good = matches!(job.end, End::Answer(status) if status < 500);
        if job.calls == 0 || !good {
            job.calls = 0;
            self.goes_back(now, number);
            self.next_in_line(now, place);
            return;
        }
        if !like.holds_server {
            self.next_in_line(now, place);
        }
        let at_once = if like.fan_out { like.calls.len() } else { 1 };
        for call in 0..at_once {
            self.call(now, number, call);
        }
    }

    /// A server of a host is free.
    fn next_in_line(&mut self, now: u64, (service, number): (usize, usize)) {
        let Some(host) = self.services.get(service).hosts.get_mut(number) else {
            return;
        };
        let (next, dropped) = host.finish(now);
        if let Some(next) = next {
            self.serve(now, next);
        }
        for dropped in dropped {
            if let Some(job) = self.jobs.get_mut(&dropped) {
                job.end = End::Answer(503);
                self.goes_back(now, dropped);
            }
        }
    }

    /// A service calls another one.
    fn call(&mut self, now: u64, number: u64, call: usize) {
        let Some(job) = self.jobs.get(&number) else {
            return;
        };
        let running = self.services.get(job.service);
        let (name, Some(spec)) = (Rc::clone(&running.name), running.like.calls.get(call)) else {
            return;
        };
        let concern = format!("{} attempt {} call {call}", self.name(job.key), job.number);
        let id = self.next_call;
        let asked = ClientRequest {
            at: now,
            attempts: 0,
            request: Rc::clone(&job.request),
            origin: job.origin,
            service: self.services.number(self.scenario, &spec.service),
            patience: spec.patience,
            client: None,
            asked: None,
            caller: Some(Caller {
                job: number,
                at: (job.service, job.host),
                optional: spec.optional,
                envoy: self.lane.sidecar(&name),
                tries: spec.tries.max(1),
                concern,
            }),
        };
        self.next_call += 1;
        self.requests.insert(id, asked);
        let key = Key {
            request: id,
            client_try: 1,
        };
        self.client_try(now, key);
    }

    /// A call of a service is over: the next one, or its own answer.
    pub(super) fn called(&mut self, now: u64, caller: &Caller, good: bool) {
        let Some(job) = self.jobs.get_mut(&caller.job).filter(|job| !job.lost) else {
            return;
        };
        if job.calls == 0 {
            return;
        }
        let place = (job.service, job.host);
        let like = self.services.get(job.service).like;
        job.calls -= 1;
        if !good && !caller.optional {
            job.end = End::Answer(NEEDS);
            // What else was asked goes on; nobody waits for it.
            job.calls = 0;
        }
        if job.calls > 0 {
            if !like.fan_out {
                let next = like.calls.len() - job.calls;
                self.call(now, caller.job, next);
            }
            return;
        }
        self.goes_back(now, caller.job);
        if like.holds_server {
            self.next_in_line(now, place);
        }
    }

    /// Hosts crash: what is in work or waits there is cut.
    pub(super) fn crash(&mut self, now: u64, fault: usize) {
        let Some(fault) = self.scenario.faults.get(fault) else {
            return;
        };
        let up = fault.end();
        let names = self.services.iter().map(|running| Rc::clone(&running.name));
        let names: Vec<Rc<str>> = names.collect();
        for (service, name) in names.into_iter().enumerate() {
            let running = self.services.get(service);
            for (number, host) in running.hosts.iter_mut().enumerate() {
                if self.scenario.hits(fault, &name, number) {
                    host.crash(up);
                }
            }
        }
        let mut cut = Vec::new();
        for (number, job) in &mut self.jobs {
            let name = &self.services.get(job.service).name;
            if !job.lost && self.scenario.hits(fault, name, job.host) {
                (job.lost, job.end) = (true, End::Reset);
                cut.push(*number);
            }
        }
        for number in cut {
            self.goes_back(now, number);
        }
    }
}
