//! What stands around one worker's VM: clients, the router that carries out votes, an upstream. It counts what it sees.

use std::collections::VecDeque;

use super::scenario::{Step, properties};
use crate::abi::stream::{REQUEST_HEADERS, RESPONSE_HEADERS, headers, value};
use crate::process::{Flow, Process, StreamId};

/// The vote, as the upstream position puts it on an answer.
const VOTE: &str = "x-seawall-retry";
/// By which the filter keeps the router from retrying at all.
const MAX_RETRIES: &str = "x-envoy-max-retries";
/// More attempts than any policy of an exploration allows.
const ATTEMPTS_MAX: u64 = 5;

/// What is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The first attempt of a request was sent.
    Sent,
    /// A further attempt was sent.
    Retried,
    /// The filter answered a request of itself.
    Refused(u32),
    /// A request got the upstream's answer, with this status.
    Ended(u16),
    /// A request ended without an answer.
    Left,
    /// The filter logged something.
    Said(String),
    /// The VM trapped.
    Trapped(String),
}

/// How much of it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u32,
    pub(super) retried: u32,
    pub(super) refused: u32,
    pub(super) ended: u32,
    pub(super) left: u32,
}

impl Tally {
    pub(super) fn count(&mut self, event: &Event) {
        let place = match event {
            Event::Sent => &mut self.sent,
            Event::Retried => &mut self.retried,
            Event::Refused(_) => &mut self.refused,
            Event::Ended(_) => &mut self.ended,
            Event::Left => &mut self.left,
            Event::Said(_) | Event::Trapped(_) => return,
        };
        *place += 1;
    }
}

/// An attempt under way.
#[derive(Clone, Copy)]
struct Flying {
    request: StreamId,
    attempt: StreamId,
    number: u64,
    /// Whether the router may send another.
    retries: bool,
}

/// The surroundings of one worker. The process has this worker alone.
pub(super) struct WorkerEnvironment<'a> {
    pub(super) process: &'a Process,
    pub(super) events: Vec<Event>,
    /// Whether the VM was ended: what it seems to say then means nothing.
    pub(super) ended: &'a dyn Fn() -> bool,
    flying: VecDeque<Flying>,
}

impl<'a> WorkerEnvironment<'a> {
    pub(super) fn new(process: &'a Process, ended: &'a dyn Fn() -> bool) -> Self {
        Self {
            process,
            events: Vec::new(),
            ended,
            flying: VecDeque::new(),
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Ask => self.ask(),
            Step::Tick => self.process.tick_vm(1),
            Step::Answer(status, carried) => {
                if let Some(flying) = self.flying.pop_front() {
                    self.answer(flying, status, carried);
                }
            }
            Step::Reset => {
                if let Some(flying) = self.flying.pop_front() {
                    self.reset(flying);
                }
            }
            Step::Leave => {
                if let Some(flying) = self.flying.pop_front() {
                    self.see(Event::Left);
                    self.process.close(flying.attempt);
                    self.process.close(flying.request);
                }
            }
        }
        self.listen();
    }

    /// What was logged until now.
    pub(super) fn listen(&mut self) {
        for line in self.process.take_log() {
            let trapped = line.text.contains("the VM trapped") || line.text.contains("panicked");
            if !trapped {
                self.events.push(Event::Said(line.text));
            } else if !(self.ended)() {
                self.events.push(Event::Trapped(line.text));
            }
        }
    }

    fn see(&mut self, event: Event) {
        self.listen();
        if !(self.ended)() {
            self.events.push(event);
        }
    }

    fn ask(&mut self) {
        let request = self.process.open(0, properties());
        let asked = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "r")]);
        match self.process.request_headers(request, asked, true) {
            Flow::Continue => {
                let sent = self.process.header_map(request, REQUEST_HEADERS);
                let retries = value(&sent, MAX_RETRIES).is_none_or(|count| count != "0");
                self.attempt(request, 1, retries);
            }
            Flow::Reply(reply) => {
                self.see(Event::Refused(reply.status));
                self.process.close(request);
            }
            Flow::Pause => {}
        }
    }

    /// One more attempt; an answer of the filter's own ends the request.
    fn attempt(&mut self, request: StreamId, number: u64, retries: bool) {
        let mut known = properties();
        let path = "upstream\0request_attempt_count".to_owned();
        known.insert(path, number.to_le_bytes().to_vec());
        let attempt = self.process.open_attempt(request, known);
        let asked = headers(&[(":method", "GET"), (":path", "/")]);
        match self.process.request_headers(attempt, asked, true) {
            Flow::Continue => {
                self.see(match number {
                    1 => Event::Sent,
                    _ => Event::Retried,
                });
                self.flying.push_back(Flying {
                    request,
                    attempt,
                    number,
                    retries,
                });
            }
            Flow::Reply(reply) => {
                self.process.close(attempt);
                self.see(Event::Refused(reply.status));
                self.end(request, reply.status as u16);
            }
            Flow::Pause => {}
        }
    }

    fn answer(&mut self, flying: Flying, status: u16, carried: bool) {
        let details = b"via_upstream".to_vec();
        let set = |id| {
            self.process
                .set_property(id, "response\0code_details", details.clone());
        };
        set(flying.attempt);
        set(flying.request);
        let answer = headers(&[(":status", &status.to_string())]);
        self.process.response_headers(flying.attempt, answer, true);
        let shown = self.process.header_map(flying.attempt, RESPONSE_HEADERS);
        let voted = value(&shown, VOTE).is_some();
        self.process.close(flying.attempt);
        let may = flying.retries && flying.number < ATTEMPTS_MAX;
        if voted && carried && may {
            self.attempt(flying.request, flying.number + 1, true);
        } else {
            self.see(Event::Ended(status));
            self.end(flying.request, status);
        }
    }

    fn reset(&mut self, flying: Flying) {
        let reset = 0x10_u64.to_le_bytes().to_vec();
        self.process
            .set_property(flying.attempt, "response\0flags", reset);
        self.process.close(flying.attempt);
        if flying.retries {
            self.attempt(flying.request, flying.number + 1, true);
        } else {
            self.see(Event::Ended(503));
            self.end(flying.request, 503);
        }
    }

    fn end(&self, request: StreamId, status: u16) {
        let answer = headers(&[(":status", &status.to_string())]);
        self.process.response_headers(request, answer, true);
        self.process.close(request);
    }
}
