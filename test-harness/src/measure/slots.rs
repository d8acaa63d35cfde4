//! A run over time, in slots of a second. A run that is longer than so many slots has longer ones, so that what is kept of it
//! does not grow with its length.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LATENCY_MAX_US;
use super::counts::{ClientOutcome, Counts};
use levels::{Join, Latest, Level, join, limits};

/// No run has more slots.
pub const SLOTS_MAX: usize = 1_000;
/// Lengths of a slot in seconds, each a multiple of the one before; behind the last one they double.
const LENGTHS: [u64; 9] = [1, 2, 10, 20, 60, 120, 600, 1_800, 3_600];
/// Reasons that are told apart; what comes beyond them is counted together.
const REASONS_MAX: usize = 32;
/// Under which name.
const OTHER: &str = "other";
const SECOND: u64 = 1_000_000_000;

/// What is measured in slots, until the run is over.
#[derive(Debug)]
pub(super) struct Slots {
    /// The length of a slot in seconds.
    length: u64,
    offered: Vec<u64>,
    answers: Vec<Counts>,
    reached: Vec<u64>,
    latency_us: Vec<Option<Histogram<u32>>>,
    in_flight: Level,
    waiting: Level,
    limit: Vec<Latest>,
    refusals: BTreeMap<String, Vec<u64>>,
}

/// A run over time: one entry for each slot. Counts are of the whole slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The length of a slot in milliseconds, the same in all lanes.
    pub slot_ms: u64,
    /// Requests by when users sent them.
    pub offered: Vec<u64>,
    /// The upstream's own answers, by when they came, as all that follows.
    pub good: Vec<u64>,
    /// Answers of the fallback ladder.
    pub degraded: Vec<u64>,
    /// Requests that ended in a refusal of the filter.
    pub refused: Vec<u64>,
    /// Requests that ended in an error.
    pub failed: Vec<u64>,
    /// Attempts that reached the upstream.
    pub reached_upstream: Vec<u64>,
    /// Median latency of good answers in milliseconds, to 1 %; null where there was none.
    pub p50_ms: Vec<Option<f64>>,
    /// The 95th percentile.
    pub p95_ms: Vec<Option<f64>>,
    /// The 99th percentile.
    pub p99_ms: Vec<Option<f64>>,
    /// The most attempts that the upstream had at one time, also those that nobody waits for any more.
    pub in_flight: Vec<u64>,
    /// How many attempts might be there at the end of the slot, by limits and bulkheads of the policy, over all Envoys and upstreams; null
    /// before the filter said so. Left out where no policy has either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limit: Vec<Option<u64>>,
    /// The most users who waited for an answer at one time.
    pub waiting: Vec<u64>,
    /// Answers of the filter in the upstream's place, refusals and degraded ones, by the reason that they name.
    pub refusals: BTreeMap<String, Vec<u64>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            length: LENGTHS[0],
            offered: Vec::new(),
            answers: Vec::new(),
            reached: Vec::new(),
            latency_us: Vec::new(),
            in_flight: Level::default(),
            waiting: Level::default(),
            limit: Vec::new(),
            refusals: BTreeMap::new(),
        }
    }
}

impl Slots {
    /// A user sent a request, at this time in nanoseconds since the trace began.
    pub(super) fn offered(&mut self, at: u64) {
        let slot = self.slot(at);
        *entry(&mut self.offered, slot) += 1;
    }

    /// A request is over, after so many microseconds.
    pub(super) fn answered(&mut self, at: u64, latency_us: u64, outcome: ClientOutcome) {
        let slot = self.slot(at);
        entry(&mut self.answers, slot).add(outcome);
        if outcome == ClientOutcome::Good {
            let latencies = entry(&mut self.latency_us, slot).get_or_insert_with(latencies);
            // It grows as far as this bound asks for.
            latencies
                .record(latency_us.min(LATENCY_MAX_US))
                .unwrap_or_default();
        }
    }

    /// An attempt reached the upstream.
    pub(super) fn reached(&mut self, at: u64) {
        let slot = self.slot(at);
        *entry(&mut self.reached, slot) += 1;
    }

    /// The filter answered in the upstream's place.
    pub(super) fn refused(&mut self, at: u64, reason: &str) {
        let slot = self.slot(at);
        let known = self.refusals.contains_key(reason) || self.refusals.len() < REASONS_MAX;
        let reason = if known { reason } else { OTHER };
        if !self.refusals.contains_key(reason) {
            self.refusals.insert(reason.to_owned(), Vec::new());
        }
        if let Some(counts) = self.refusals.get_mut(reason) {
            *entry(counts, slot) += 1;
        }
    }

    /// So many attempts are at the upstream, and so many users wait. Called in the order of time.
    pub(super) fn level(&mut self, at: u64, in_flight: u64, waiting: u64) {
        if (self.in_flight.now, self.waiting.now) != (in_flight, waiting) {
            let slot = self.slot(at);
            self.in_flight.set(slot, in_flight);
            self.waiting.set(slot, waiting);
        }
    }

    /// So many attempts may be at the upstream. Called in the order of time.
    pub(super) fn limit(&mut self, at: u64, limit: Option<u64>) {
        let Some(limit) = limit else {
            return;
        };
        let slot = self.slot(at);
        let before = self.limit.last().copied().unwrap_or_default();
        while self.limit.len() <= slot {
            self.limit.push(before);
        }
        if let Some(last) = self.limit.get_mut(slot) {
            *last = Latest(Some(limit));
        }
    }

    /// What users got, slot by slot of the answers.
    pub(super) fn answers(&self) -> &[Counts] {
        &self.answers
    }

    /// Attempts that reached the upstream.
    pub(super) fn reached_counts(&self) -> &[u64] {
        &self.reached
    }

    /// The slots that begin in this time, in nanoseconds, and their length in seconds.
    fn within(&self, from: u64, to: u64) -> (std::ops::Range<usize>, u64) {
        let slot =
            |at: u64| usize::try_from(at.div_ceil(SECOND * self.length)).unwrap_or(usize::MAX);
        (slot(from)..slot(to), self.length)
    }

    /// What happened in this time, in nanoseconds, to a slot: what users got, attempts that reached the upstream, latencies of
    /// good answers, and its length in seconds.
    pub(super) fn window(&self, from: u64, to: u64) -> (Counts, u64, Histogram<u32>, u64) {
        let (range, length) = self.within(from, to);
        let (mut answers, mut all) = (Counts::default(), latencies());
        for counts in range.clone().filter_map(|slot| self.answers.get(slot)) {
            answers.join(*counts);
        }
        let reached = range.clone().filter_map(|slot| self.reached.get(slot));
        let of_slots = range.clone().filter_map(|slot| self.latency_us.get(slot));
        for of in of_slots.flatten() {
            all.add(of).unwrap_or_default();
        }
        let length = length.saturating_mul(range.len() as u64);
        (answers, reached.sum(), all, length)
    }

    /// The first slot from this time on, in nanoseconds, in which never more than so many attempts were at the upstream: its
    /// beginning.
    pub(super) fn in_flight_under(&self, from: u64, most: u64) -> u64 {
        let level = &self.in_flight;
        let (range, length) = self.within(from, u64::MAX);
        let is_under = |slot: &usize| {
            let of = level.most.get(*slot);
            of.map_or(level.now, |of| of.0) <= most
        };
        let slot = (range.start..=level.most.len().max(range.start)).find(is_under);
        (slot.unwrap_or(range.start) as u64)
            .saturating_mul(SECOND * length)
            .max(from)
    }

    /// The most attempts that were at the upstream in this time, in nanoseconds, to a slot.
    pub(super) fn most_in_flight(&self, from: u64, to: u64) -> u64 {
        let (range, _) = self.within(from, to);
        let all = range.filter_map(|slot| self.in_flight.most.get(slot));
        all.map(|most| most.0).max().unwrap_or(0)
    }

    /// Makes the slots of all runs as long as the longest of them.
    pub(super) fn align<'a>(all: impl Iterator<Item = &'a mut Self>) {
        let mut all: Vec<&mut Self> = all.collect();
        let longest = all.iter().map(|slots| slots.length).max().unwrap_or(0);
        for slots in &mut all {
            while slots.length < longest {
                slots.lengthen();
            }
        }
    }

    /// The whole run, slot by slot.
    pub(super) fn into_series(mut self) -> Series {
        let count = [
            self.offered.len(),
            self.answers.len(),
            self.reached.len(),
            self.in_flight.most.len(),
            self.refusals.values().map(Vec::len).max().unwrap_or(0),
        ];
        let count = count.into_iter().max().unwrap_or(0);
        self.offered.resize(count, 0);
        self.answers.resize(count, Counts::default());
        self.reached.resize(count, 0);
        self.latency_us.resize_with(count, || None);
        for counts in self.refusals.values_mut() {
            counts.resize(count, 0);
        }
        let of = |of: fn(&Counts) -> u64| self.answers.iter().map(of).collect();
        let percentile = |quantile: f64| {
            let latencies = self.latency_us.iter();
            latencies
                .map(|latencies| Some(millis(latencies.as_ref()?.value_at_quantile(quantile))))
                .collect()
        };
        Series {
            slot_ms: self.length * 1_000,
            good: of(|counts| counts.good),
            degraded: of(|counts| counts.degraded),
            refused: of(|counts| counts.refused),
            failed: of(|counts| counts.failed),
            p50_ms: percentile(0.5),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
            offered: self.offered,
            reached_upstream: self.reached,
            in_flight: self.in_flight.padded(count),
            waiting: self.waiting.padded(count),
            limit: limits(self.limit, count),
            refusals: self.refusals,
        }
    }

    /// The slot that holds this time.
    fn slot(&mut self, at: u64) -> usize {
        loop {
            let slot = usize::try_from(at / SECOND / self.length).unwrap_or(usize::MAX);
            if slot < SLOTS_MAX {
                return slot;
            }
            self.lengthen();
        }
    }

    /// The next longer slots: those that fall together are added up.
    fn lengthen(&mut self) {
        let longer = LENGTHS.into_iter().find(|length| *length > self.length);
        let longer = longer.unwrap_or(self.length.saturating_mul(2));
        let times = usize::try_from(longer / self.length).unwrap_or(2);
        self.length = longer;
        join(&mut self.offered, times);
        join(&mut self.answers, times);
        join(&mut self.reached, times);
        join(&mut self.latency_us, times);
        join(&mut self.in_flight.most, times);
        join(&mut self.waiting.most, times);
        join(&mut self.limit, times);
        for counts in self.refusals.values_mut() {
            join(counts, times);
        }
    }
}

fn entry<T: Default>(slots: &mut Vec<T>, slot: usize) -> &mut T {
    if slots.len() <= slot {
        slots.resize_with(slot + 1, T::default);
    }
    &mut slots[slot]
}

/// Grows with what it holds: some kilobytes for latencies under a second.
fn latencies() -> Histogram<u32> {
    let mut latencies = Histogram::new(2).expect("two digits are few enough");
    latencies.auto(true);
    latencies
}

fn millis(micros: u64) -> f64 {
    (micros as f64 / 10.0).round() / 100.0
}

mod levels;
#[cfg(test)]
mod tests;
