//! What reached an upstream: counts, the highest concurrency, and a bounded list of arrivals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock;

/// No more arrivals are kept one by one.
const ARRIVALS_MAX: usize = 200_000;

/// One request that reached the upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    /// When, in milliseconds since the upstream started.
    pub at_ms: u64,
    /// Its path and query.
    pub path: String,
    /// Its `x-request-id`, or nothing.
    pub id: String,
    /// Names of the headers that came with it.
    pub headers: Vec<String>,
}

/// What reached an upstream so far.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Requests.
    pub requests: u64,
    /// Requests now in work.
    pub in_flight: u64,
    /// The most requests in work at the same time.
    pub in_flight_max: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// The requests one by one, up to a bound.
    #[serde(skip)]
    pub arrivals: Vec<Arrival>,
}

#[derive(Debug)]
pub(super) struct Stats {
    started: Instant,
    now: Snapshot,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            started: clock::now(),
            now: Snapshot {
                requests: 0,
                in_flight: 0,
                in_flight_max: 0,
                answers: BTreeMap::new(),
                arrivals: Vec::new(),
            },
        }
    }

    pub(super) fn arrived(&mut self, path: String, id: String, headers: Vec<String>) {
        let since: Duration = clock::now().duration_since(self.started);
        let now = &mut self.now;
        now.requests += 1;
        now.in_flight += 1;
        now.in_flight_max = now.in_flight_max.max(now.in_flight);
        if now.arrivals.len() < ARRIVALS_MAX {
            let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            now.arrivals.push(Arrival {
                at_ms,
                path,
                id,
                headers,
            });
        }
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
