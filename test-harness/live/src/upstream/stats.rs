//! What reached an upstream: counts, first attempts apart from retries, the highest concurrency, and a bounded list of arrivals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::header::HeaderValue;
use serde::Serialize;

use super::attempts::Attempts;
use crate::clock;

/// No more arrivals are kept one by one.
const ARRIVALS_MAX: usize = 200_000;
/// Headers whose values are kept.
const KEPT: [&str; 4] = [
    "grpc-timeout",
    "x-envoy-expected-rq-timeout-ms",
    "x-left",
    "x-prio",
];

/// One request that reached the upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    /// When, in milliseconds since the upstream started.
    pub at_ms: u64,
    /// Its path and query.
    pub path: String,
    /// Its `x-request-id`, or nothing.
    pub id: String,
    /// The number of this attempt, from 1, by how often its id was seen.
    pub attempt: u32,
    /// Names of the headers that came with it.
    pub headers: Vec<String>,
    /// The values of those that say how long there is, or how important it is, and of all `x-seawall-*`.
    pub values: BTreeMap<String, String>,
}

impl Arrival {
    /// What a request brings; when it came and which attempt it is, is told by who counts it.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let kept = headers.iter().filter(|(name, _)| {
            KEPT.contains(&name.as_str()) || name.as_str().starts_with("x-seawall-")
        });
        Self {
            at_ms: 0,
            path: request.uri().to_string(),
            id: headers.get("x-request-id").map(text).unwrap_or_default(),
            attempt: 0,
            headers: headers
                .keys()
                .map(|name| name.as_str().to_owned())
                .collect(),
            values: kept
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
        }
    }
}

/// What reached an upstream so far.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Requests, every attempt of them.
    pub requests: u64,
    /// Those whose id was not seen before.
    pub first_attempts: u64,
    /// Those whose id was seen before.
    pub retries: u64,
    /// Requests now in work.
    pub in_flight: u64,
    /// The most requests in work at the same time.
    pub in_flight_max: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// The attempts one by one, up to a bound.
    #[serde(skip)]
    pub arrivals: Vec<Arrival>,
}

#[derive(Debug)]
pub(super) struct Stats {
    started: Instant,
    attempts: Attempts,
    now: Snapshot,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            started: clock::now(),
            attempts: Attempts::new(),
            now: Snapshot {
                requests: 0,
                first_attempts: 0,
                retries: 0,
                in_flight: 0,
                in_flight_max: 0,
                answers: BTreeMap::new(),
                arrivals: Vec::new(),
            },
        }
    }

    pub(super) fn age(&self) -> Duration {
        clock::now().duration_since(self.started)
    }

    /// Counts an attempt and gives its number, from 1.
    pub(super) fn arrived(&mut self, mut arrival: Arrival) -> u32 {
        let at_ms = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
        let attempt = self.attempts.next(&arrival.id);
        let now = &mut self.now;
        now.requests += 1;
        if attempt == 1 {
            now.first_attempts += 1;
        } else {
            now.retries += 1;
        }
        now.in_flight += 1;
        now.in_flight_max = now.in_flight_max.max(now.in_flight);
        if now.arrivals.len() < ARRIVALS_MAX {
            arrival.at_ms = at_ms;
            arrival.attempt = attempt;
            now.arrivals.push(arrival);
        }
        attempt
    }

    pub(super) fn left(&mut self, status: Option<u16>) {
        self.now.in_flight = self.now.in_flight.saturating_sub(1);
        if let Some(status) = status {
            *self.now.answers.entry(status).or_default() += 1;
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.now.clone()
    }

    pub(super) fn reset(&mut self) {
        let in_flight = self.now.in_flight;
        let started = self.started;
        *self = Self::new();
        self.started = started;
        self.now.in_flight = in_flight;
        self.now.in_flight_max = in_flight;
    }
}
