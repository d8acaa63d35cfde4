//! One request of a row, callback by callback as Envoy makes them, on a process that is counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::BenchError;
use super::rows::{BreakerState, Outcome, Positions, Row};
use crate::abi::stream::{HeaderMap, LocalReply, RESPONSE_HEADERS, headers, value};
use crate::process::{Flow, Process, Properties, StreamId, Surroundings};

/// From a request to its answer, and so from one request to the next, in nanoseconds.
const LATENCY: u64 = 1_000_000;
/// A breaker that this many failures do not open is not opened by failures.
const FAILURES_MAX: usize = 5_000;
/// Longer than any row's breaker is open that becomes half-open, in nanoseconds.
const OPEN: u64 = 1_100_000_000;
const BODY: &[u8] = b"{\"item\":\"seven\"}\n";
/// The vote of the upstream position for another attempt.
const VOTE: &str = "x-seawall-retry";

/// A row's process, with the requests that come to it.
pub(super) struct Exchanges<'a> {
    row: &'a Row,
    process: &'a Process,
    number: u64,
    ticks: Ticks,
}

/// What the ticks of all VMs cost.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    /// Fuel.
    pub(super) fuel: u64,
    /// Host calls.
    pub(super) calls: BTreeMap<&'static str, u64>,
    /// Time.
    pub(super) time: Duration,
}

impl<'a> Exchanges<'a> {
    pub(super) fn new(row: &'a Row, process: &'a Process) -> Self {
        Self {
            row,
            process,
            number: 0,
            ticks: Ticks::default(),
        }
    }

    /// What ticks cost since the last time.
    pub(super) fn take_ticks(&mut self) -> Ticks {
        std::mem::take(&mut self.ticks)
    }

    /// Brings the breaker into the row's state and requests into flight.
    pub(super) fn prepare(&mut self) -> Result<(), BenchError> {
        match self.row.breaker {
            BreakerState::Closed => {}
            BreakerState::Open => self.trip()?,
            BreakerState::Full | BreakerState::Probing => {
                self.trip()?;
                self.process.advance(self.process.common().now.get() + OPEN);
            }
        }
        let permits = match self.row.breaker {
            BreakerState::Full => 2,
            _ => 0,
        };
        for _ in 0..self.row.in_flight + permits {
            if let Err(reply) = self.ask() {
                return Err(self.void(&format!("no request stays in flight: {reply:?}")));
            }
        }
        Ok(())
    }

    /// Fails until the filter refuses.
    fn trip(&mut self) -> Result<(), BenchError> {
        for _ in 0..FAILURES_MAX {
            match self.ask() {
                Err(_) => return Ok(()),
                Ok(stream) => {
                    self.attempt(stream, 1, "503");
                    self.answer(stream, "503");
                }
            }
        }
        Err(self.void(&format!("{FAILURES_MAX} failures do not open the breaker")))
    }

    /// One request, and what must become of it.
    pub(super) fn request(&mut self, expected: Outcome) -> Result<(), BenchError> {
        let outcome = match self.ask() {
            Err(reply) => {
                self.pass(LATENCY);
                let has = |name: &str| value(&reply.headers, name).is_some();
                match (has("x-seawall-degraded"), has("x-seawall-reason")) {
                    (true, _) => Outcome::Degraded,
                    (false, true) => Outcome::Refused,
                    (false, false) => return Err(self.void(&format!("{reply:?}"))),
                }
            }
            Ok(stream) => {
                self.pass(LATENCY);
                let fails = self.number.is_multiple_of(self.row.fail_every);
                let mut status = if fails { "503" } else { "200" };
                if self.attempt(stream, 1, status) {
                    status = "200";
                    self.attempt(stream, 2, status);
                }
                self.answer(stream, status);
                Outcome::Passed
            }
        };
        if outcome == expected {
            return Ok(());
        }
        Err(self.void(&format!(
            "request {} was {outcome:?}, and not {expected:?}",
            self.number
        )))
    }

    fn void(&self, why: &str) -> BenchError {
        BenchError::Void {
            row: self.row.name.clone(),
            why: why.to_owned(),
        }
    }

    /// Opens a request; the filter's own answer if it gives one.
    fn ask(&mut self) -> Result<StreamId, LocalReply> {
        self.number += 1;
        let process = self.process;
        let stream = process.open(0, Surroundings::default().properties());
        let id = format!("{:032x}", self.number);
        let mut asked = vec![
            (":authority", "shop.example"),
            (":path", "/items/7"),
            (":method", if self.row.body == 0 { "GET" } else { "POST" }),
            (":scheme", "http"),
            ("user-agent", "bench/1"),
            ("accept", "*/*"),
            ("x-forwarded-proto", "http"),
            ("x-request-id", &id),
        ];
        let more = self.row.headers.iter();
        asked.extend(more.map(|(name, value)| (name.as_str(), value.as_str())));
        match process.request_headers(stream, headers(&asked), self.row.body == 0) {
            Flow::Continue => {}
            Flow::Pause => panic!("a request waits in row \"{}\"", self.row.name),
            Flow::Reply(reply) => {
                process.close(stream);
                return Err(reply);
            }
        }
        if self.row.body > 0 {
            process.request_body(stream, &vec![b'x'; self.row.body], false);
            process.request_body(stream, b"", true);
        }
        Ok(stream)
    }

    /// An attempt as the upstream position sees it; whether that votes for another one.
    fn attempt(&self, request: StreamId, number: u64, status: &str) -> bool {
        if self.row.positions == Positions::Downstream {
            return false;
        }
        let surroundings = Surroundings {
            upstream: Some("10.0.0.1:80".to_owned()),
            attempt: Some(number),
            ..Surroundings::default()
        };
        let process = self.process;
        let attempt = process.open_attempt(request, surroundings.properties());
        let asked = process.header_map(request, 0);
        process.request_headers(attempt, asked, true);
        process.response_headers(attempt, answer_headers(status), false);
        let votes = value(&process.header_map(attempt, RESPONSE_HEADERS), VOTE).is_some();
        if !votes {
            process.response_body(attempt, BODY, false);
            process.response_body(attempt, b"", true);
        }
        process.close(attempt);
        votes
    }

    /// The upstream's answer, and the request's end.
    fn answer(&self, stream: StreamId, status: &str) {
        let process = self.process;
        let mut known = Properties::new();
        known.insert(
            "response\0code_details".to_owned(),
            b"via_upstream".to_vec(),
        );
        known.insert("response\0flags".to_owned(), 0_u64.to_le_bytes().to_vec());
        known.insert("upstream\0address".to_owned(), b"10.0.0.1:80".to_vec());
        for (path, value) in known {
            process.set_property(stream, &path, value);
        }
        process.response_headers(stream, answer_headers(status), false);
        process.response_body(stream, BODY, false);
        process.response_body(stream, b"", true);
        process.close(stream);
    }

    /// Lets time pass; what ticks cost is no request's.
    fn pass(&mut self, nanos: u64) {
        let (process, begin) = (self.process, now());
        let (fuel, calls) = (process.fuel(), process.common().calls.borrow().clone());
        process.advance(process.common().now.get() + nanos);
        self.ticks.fuel += process.fuel() - fuel;
        for (name, count) in process.common().calls.borrow().iter() {
            let made = count - calls.get(name).unwrap_or(&0);
            *self.ticks.calls.entry(name).or_default() += made;
        }
        self.ticks.time += begin.elapsed();
    }
}

fn answer_headers(status: &str) -> HeaderMap {
    headers(&[
        (":status", status),
        ("content-type", "application/json"),
        ("content-length", "17"),
        ("date", "Sun, 29 Nov 2026 12:00:00 GMT"),
        ("x-envoy-upstream-service-time", "1"),
    ])
}

/// Real time: what a row takes here is told, and never held against anything.
#[allow(clippy::disallowed_methods, reason = "time that is taken is measured")]
pub(super) fn now() -> Instant {
    Instant::now()
}
