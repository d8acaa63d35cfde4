//! Bodies: a request's on its way to its host, and an answer's on its way to the client, piece by piece.
//!
//! Requests and answers have a body where the world says so, or where something goes wrong with the bytes of connections. Once
//! the headers of an answer went to the client nothing is tried again: as in Envoy what breaks then, or lasts too long, ends in
//! a reset of the client's stream, and the filter hears of it when the stream is logged.

use std::rc::Rc;

use super::filter::Filter;
use super::hosts::Services;
use super::key::Key;
use super::scenario::{Reached, Scenario};
use super::service::Body;
use super::shown::tell;
use super::state::{Asker, Coming, Event, Passing, Run, UpstreamJob};
use super::wire::{Piece, Wire};
use crate::abi::stream::RESPONSE_HEADERS;
use crate::fault::Direction;
use crate::measure::ClientOutcome;
use crate::process::{Flow, StreamId};
use crate::router::{Downstream, End, flag};

/// What is logged of an answer whose connection was closed.
const BROKEN: &str = "upstream_reset_after_response_started{connection_termination}";
/// What is logged of an answer that the request's time limit ended.
const TOO_LONG: &str = "response_timeout";

/// What a fault is asked about a job.
pub(super) fn reached<'a>(
    scenario: &'a Scenario,
    services: &Services<'a>,
    job: &UpstreamJob,
    service: &'a str,
) -> Reached<'a> {
    Reached {
        service,
        host: job.host,
        zone: services.zone(job.service, job.host),
        from: match job.asker {
            Asker::Edge(envoy) => scenario.edge_zone(envoy),
            Asker::Host(service, host) => services.zone(service, host),
        },
        number: job.number,
        draw: job.draw,
        work: job.work,
    }
}

impl Run<'_> {
    /// How much longer a request takes to its host for what goes wrong with its bytes. Its end says if it never comes.
    pub(super) fn sending(
        &mut self,
        now: u64,
        job: &mut UpstreamJob,
        body: Body,
        concern: Option<String>,
    ) -> u64 {
        let Some(concern) = concern else {
            return 0;
        };
        let running = self.services.get(job.service);
        let name = Rc::clone(&running.name);
        let at = reached(self.scenario, &self.services, job, &name);
        let wire = Wire::of(body.request, false);
        let concern = format!("{concern} request");
        let sent = self
            .scenario
            .sent(now, Direction::Upstream, &at, wire, &concern);
        if !sent.whole {
            job.end = End::Reset;
        }
        sent.end
    }

    /// The body of a request that the filter let go. Envoy has all of it by then.
    pub(super) fn request_body(&mut self, process: &dyn Filter, stream: StreamId, service: usize) {
        let bytes = self.services.get(service).like.body.request;
        if bytes > 0 {
            process.request_body(stream, usize::try_from(bytes).unwrap_or(0));
        }
    }

    /// A host is done with an attempt at this time, and what comes of it goes back.
    pub(super) fn goes_back(&mut self, left: u64, number: u64) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let running = self.services.get(job.service);
        let body = running.like.body;
        let back = left.saturating_add(job.back);
        let name = Rc::clone(&running.name);
        let at = reached(self.scenario, &self.services, job, &name);
        if self.has_partitions && job.end != End::Refused && self.scenario.is_parted(left, &at) {
            let held = (job.key, job.attempt);
            self.jobs.remove(&number);
            return self.hangs(held);
        }
        let has_body = matches!(job.end, End::Answer(200..=299)) && body.answer > 0;
        let due = match job.end {
            End::Answer(_) if self.has_toxics || has_body => {
                let bytes = if has_body { body.answer } else { 0 };
                let wire = Wire::of(bytes, has_body && body.until_close);
                // The same in each lane, so not by the number of the job.
                let (origin, attempt) = (job.origin, job.number);
                let concern = format!("request {origin} {name} attempt {attempt} answer");
                let sent = self
                    .scenario
                    .sent(left, Direction::Downstream, &at, wire, &concern);
                let later = |piece: Piece| Piece {
                    at: back.saturating_add(piece.at),
                    ..piece
                };
                let end = back.saturating_add(sent.end);
                match sent.head {
                    None => {
                        job.end = End::Reset;
                        end
                    }
                    Some(head) => {
                        let is_all = sent.body.is_empty() && sent.whole && sent.end == head;
                        job.body = (!is_all).then(|| {
                            Box::new(Coming {
                                pieces: sent.body.into_iter().map(later).collect(),
                                end,
                                whole: sent.whole,
                                begun: false,
                            })
                        });
                        back.saturating_add(head)
                    }
                }
            }
            End::Reset if self.has_toxics => {
                self.scenario.close_seen(left, &at).saturating_add(job.back)
            }
            _ => back,
        };
        self.queue.push(due, Event::Ended(number));
    }

    /// Whether an answer goes to the client.
    pub(super) fn passes(&self, key: Key) -> bool {
        let flight = self.in_flight.get(&key);
        flight.is_some_and(|flight| flight.passing.is_some())
    }

    /// Whether this attempt's answer is what the router is told of now, and has a body.
    pub(super) fn begins(&self, key: Key, attempt: u32) -> bool {
        let flight = self.in_flight.get(&key);
        flight.is_some_and(|flight| flight.begins == Some(attempt))
    }

    /// The headers of an answer go to the client, and its body follows.
    pub(super) fn begin_answer(&mut self, now: u64, key: Key, attempt: u32, answer: Downstream) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        let (envoy, stream) = (flight.envoy, flight.stream);
        let process = self.process(now, envoy);
        let mut headers = Rc::new(answer.headers.clone());
        let mut status = u32::from(answer.status);
        let mut is_whole = false;
        if let Some((process, stream)) = process.zip(stream)
            && let Some(flight) = self.in_flight.get(&key)
        {
            tell(process, stream, flight, &answer);
            match process.response_headers(stream, Rc::clone(&headers), false) {
                Flow::Reply(reply) => {
                    // The filter's own answer takes its place, and the upstream's is awaited no more.
                    (headers, status) = (Rc::new(reply.headers), reply.status);
                    is_whole = true;
                }
                Flow::Continue | Flow::Pause => {
                    headers = process.header_map(stream, RESPONSE_HEADERS);
                }
            }
        }
        let outcome = self.outcome_of(now, &headers, status);
        if is_whole {
            self.end_attempt(now, key, attempt);
            self.client_gets(now, key, outcome);
        } else if let Some(flight) = self.in_flight.get_mut(&key) {
            flight.passing = Some(Passing { attempt, outcome });
        }
    }

    /// The body of an attempt's answer comes, if that is what the client gets.
    pub(super) fn comes(&mut self, now: u64, number: u64, job: UpstreamJob, mut body: Box<Coming>) {
        if let Some(flight) = self.in_flight.get_mut(&job.key) {
            flight.begins = None;
        }
        if self.passed(job.key, job.attempt).is_none() {
            return;
        }
        body.begun = true;
        let due = body.pieces.front().map_or(body.end, |piece| piece.at);
        let body = Some(body);
        self.jobs.insert(number, UpstreamJob { body, ..job });
        self.queue.push(due.max(now), Event::Piece(number));
    }

    /// What the client gets of an attempt, if its answer is what goes there.
    fn passed(&self, key: Key, attempt: u32) -> Option<ClientOutcome> {
        let passing = self.in_flight.get(&key)?.passing?;
        (passing.attempt == attempt).then_some(passing.outcome)
    }

    /// The next bytes of an answer are in Envoy, or its end.
    pub(super) fn piece(&mut self, now: u64, number: u64) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let (key, attempt) = (job.key, job.attempt);
        let Some(body) = job.body.as_mut() else {
            return;
        };
        let piece = body.pieces.pop_front();
        let (end, whole) = (body.end, body.whole);
        let next = body.pieces.front().map_or(end, |piece| piece.at);
        let is_last = piece.is_none() || (body.pieces.is_empty() && end <= now);
        let Some(outcome) = self.passed(key, attempt) else {
            // Nobody waits for it any more: the connection is closed.
            self.jobs.remove(&number);
            return;
        };
        let bytes = piece.map_or(0, |piece| usize::try_from(piece.bytes).unwrap_or(0));
        if bytes > 0 && !self.shown(now, key, attempt, bytes, false) {
            self.jobs.remove(&number);
            return self.broke(now, key, attempt);
        }
        if !is_last {
            return self.queue.push(next.max(now), Event::Piece(number));
        }
        self.jobs.remove(&number);
        if whole {
            self.shown_end(now, key, attempt);
            self.client_gets(now, key, outcome);
        } else {
            self.broke(now, key, attempt);
        }
    }

    /// Shows bytes of an answer to the filter behind the router, and then to the one before it. Whether they go on.
    fn shown(&mut self, now: u64, key: Key, attempt: u32, bytes: usize, end: bool) -> bool {
        let Some(flight) = self.in_flight.get(&key) else {
            return false;
        };
        let (envoy, before) = (flight.envoy, flight.stream);
        let behind = flight.attempts.get(&attempt).and_then(|sent| sent.stream);
        let Some(process) = self.process(now, envoy) else {
            return true;
        };
        let mut streams = behind.into_iter().chain(before);
        streams.all(|stream| process.response_body(stream, bytes, end))
    }

    /// All bytes were there. The attempt is over before the client's stream is.
    fn shown_end(&mut self, now: u64, key: Key, attempt: u32) {
        let Some(flight) = self.in_flight.get(&key) else {
            return;
        };
        let (envoy, before) = (flight.envoy, flight.stream);
        let behind = flight.attempts.get(&attempt).and_then(|sent| sent.stream);
        let process = self.process(now, envoy);
        if let Some((process, stream)) = process.zip(behind) {
            process.response_body(stream, 0, true);
        }
        self.end_attempt(now, key, attempt);
        if let Some((process, stream)) = process.zip(before) {
            process.response_body(stream, 0, true);
        }
    }

    /// The connection of an answer was closed in the middle of it.
    pub(super) fn broke(&mut self, now: u64, key: Key, attempt: u32) {
        if self.passed(key, attempt).is_some() {
            self.host_told(now, key, attempt, None);
            self.cut_off(now, key, attempt, (flag::UPSTREAM_TERMINATION, BROKEN));
        }
    }

    /// The limit of a request passed in the middle of its answer.
    pub(super) fn passed_too_long(&mut self, now: u64, key: Key) {
        let flight = self.in_flight.get(&key);
        let Some(passing) = flight.and_then(|flight| flight.passing) else {
            return;
        };
        let why = (flag::UPSTREAM_TIMEOUT, TOO_LONG);
        self.cut_off(now, key, passing.attempt, why);
    }

    /// The client's stream is reset, and the log says why.
    fn cut_off(&mut self, now: u64, key: Key, attempt: u32, (flags, details): (u64, &str)) {
        self.end_attempt(now, key, attempt);
        let flight = self.in_flight.get(&key);
        let at = flight.map(|flight| (flight.envoy, flight.stream));
        if let Some((envoy, Some(stream))) = at
            && let Some(process) = self.process(now, envoy)
        {
            process.set_property(stream, "response\0flags", flags.to_le_bytes().to_vec());
            let details = details.as_bytes().to_vec();
            process.set_property(stream, "response\0code_details", details);
        }
        self.client_gets(now, key, ClientOutcome::Failed);
    }

    /// The client's stream is over.
    fn client_gets(&mut self, now: u64, key: Key, outcome: ClientOutcome) {
        let Some(flight) = self.remove(key) else {
            return;
        };
        if let Some((process, stream)) = self.process(now, flight.envoy).zip(flight.stream) {
            process.close(stream);
        }
        self.client_try_over(now, key, outcome);
    }
}
