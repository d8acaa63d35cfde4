//! Outages that a log holds.
//!
//! The rule, for each cluster by itself: time is cut into slots of a second, or longer ones where fewer than twenty requests
//! come in a second, so that a slot has twenty on average. A slot is sick if five of its requests or more failed and they are
//! a fifth of it or more. Sick slots in a row are one outage, also with slots between them in which nobody asked. It lasts from its first failed
//! request to its last one, with those right before and behind them that failed too; what failed is counted over all that
//! came in between.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Request;

/// Requests that a slot has on average.
const PER_SLOT: u64 = 20;
/// No slot is shorter, in microseconds.
const SLOT_MIN_US: u64 = 1_000_000;
/// So many failures make a slot sick.
const FAILURES: u64 = 5;
/// If they are one of so many requests of the slot.
const SHARE: u64 = 5;

/// A time in which a cluster's requests failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// Whose; none where the log names no cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its first failure, in microseconds since the trace began.
    pub from_us: u64,
    /// Its last failure.
    pub to_us: u64,
    /// Requests that came in between.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: u64| micros as f64 / 1e6;
        if let Some(cluster) = &self.cluster {
            write!(f, "of {cluster} ")?;
        }
        let share = 100.0 * self.failed as f64 / self.requests.max(1) as f64;
        write!(
            f,
            "from {:.1} s to {:.1} s: {share:.0} % failed ({} of {} requests)",
            seconds(self.from_us),
            seconds(self.to_us),
            self.failed,
            self.requests
        )
    }
}

/// The outages of a trace in the order of time, by their beginning.
pub fn outages(trace: &[Request]) -> Vec<Outage> {
    let mut failures = Failures::default();
    trace.iter().for_each(|request| failures.add(request));
    failures.outages()
}

/// When each cluster's requests came, and which of them failed: eight bytes for each.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    clusters: BTreeMap<Option<String>, Vec<Came>>,
}

/// When a request came, in microseconds, with a bit that says whether it failed.
#[derive(Clone, Copy, Debug)]
struct Came(u64);

impl Came {
    fn at_us(self) -> u64 {
        self.0 >> 1
    }

    fn failed(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Failures {
    /// One more request. They come in the order of their time.
    pub fn add(&mut self, request: &Request) {
        let came = Came(request.at_us << 1 | u64::from(request.failed()));
        match self.clusters.get_mut(&request.cluster) {
            Some(all) => all.push(came),
            None => drop(self.clusters.insert(request.cluster.clone(), vec![came])),
        }
    }

    /// The outages in the order of time, by their beginning.
    pub fn outages(&self) -> Vec<Outage> {
        let mut all: Vec<Outage> = Vec::new();
        for (cluster, requests) in &self.clusters {
            all.extend(of_cluster(cluster.as_deref(), requests));
        }
        all.sort_by_key(|outage| outage.from_us);
        all
    }
}

fn of_cluster(cluster: Option<&str>, requests: &[Came]) -> Vec<Outage> {
    let (Some(first), Some(last)) = (requests.first(), requests.last()) else {
        return Vec::new();
    };
    let count = requests.len() as u64;
    let length = last.at_us() - first.at_us();
    let slot = (length.saturating_mul(PER_SLOT) / count).max(SLOT_MIN_US);
    let mut all: Vec<Outage> = Vec::new();
    let mut open: Option<Outage> = None;
    for slot in requests.chunk_by(|one, next| one.at_us() / slot == next.at_us() / slot) {
        let mut failures = slot.iter().filter(|request| request.failed());
        let failed = failures.clone().count() as u64;
        let sick = failed >= FAILURES && failed * SHARE >= slot.len() as u64;
        let (Some(from), true) = (failures.next(), sick) else {
            all.extend(open.take());
            continue;
        };
        let to = failures.next_back().unwrap_or(from);
        let outage = open.get_or_insert_with(|| Outage {
            cluster: cluster.map(str::to_owned),
            from_us: from.at_us(),
            to_us: to.at_us(),
            requests: 0,
            failed: 0,
        });
        outage.to_us = to.at_us();
    }
    all.extend(open);
    for outage in &mut all {
        let mut from = requests.partition_point(|request| request.at_us() < outage.from_us);
        let mut to = requests.partition_point(|request| request.at_us() <= outage.to_us);
        // Its first and last failures may be few in a slot that is not sick.
        while from > 0 && requests[from - 1].failed() {
            from -= 1;
            outage.from_us = requests[from].at_us();
        }
        while requests.get(to).is_some_and(|request| request.failed()) {
            outage.to_us = requests[to].at_us();
            to += 1;
        }
        for request in &requests[from..to] {
            outage.requests += 1;
            outage.failed += u64::from(request.failed());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(rate: u64, seconds: u64, failed: impl Fn(u64) -> bool) -> Vec<Request> {
        let request = |number: u64| Request {
            at_us: number * 1_000_000 / rate,
            status: Some(if failed(number) { 503 } else { 200 }),
            ..Request::default()
        };
        (0..rate * seconds).map(request).collect()
    }

    #[test]
    fn an_outage_is_found_at_any_rate_and_its_bounds_are_its_failures() {
        for rate in [1, 10, 100] {
            let found = outages(&trace(rate, 600, |number| {
                (200 * rate..400 * rate).contains(&number)
            }));
            let [outage] = found.as_slice() else {
                panic!("{rate}: {found:?}");
            };
            assert_eq!(outage.from_us, 200_000_000, "{rate}");
            assert_eq!(outage.to_us, (400 * rate - 1) * 1_000_000 / rate, "{rate}");
            assert_eq!((outage.requests, outage.failed), (200 * rate, 200 * rate));
        }
    }

    #[test]
    fn single_failures_are_no_outage_and_a_part_that_fails_is_one() {
        assert_eq!(outages(&trace(100, 60, |number| number % 10 == 0)), []);
        assert_eq!(outages(&trace(1, 60, |number| number % 20 == 0)), []);
        let part = outages(&trace(100, 60, |number| {
            (1_000..2_000).contains(&number) && number % 3 == 0
        }));
        assert_eq!(part.len(), 1);
        assert!(part[0].to_string().contains("33 % failed"), "{}", part[0]);
        assert_eq!(outages(&[]), []);
    }

    #[test]
    fn one_cluster_among_many_is_seen() {
        let mut all = trace(100, 60, |_| false);
        for (number, request) in all.iter_mut().enumerate() {
            let sick = number % 20 == 0;
            request.cluster = Some(if sick { "sick" } else { "well" }.to_owned());
            if sick && (2_000..4_000).contains(&number) {
                request.status = Some(503);
            }
        }
        let found = outages(&all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].cluster.as_deref(), Some("sick"));
    }
}
