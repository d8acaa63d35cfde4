//! Closed: every request is one verdict, in a window and in a row, and its last word counts.
//!
//! A request that fails after it was counted takes its verdict back and becomes a failure. Where no verdict but failures
//! came in between, the row of failures is as if the failure had been told at once; otherwise it grows by one.

use super::rules::host_clock;
use super::{Cause, HostId, Hosts, Settings, Verdict};
use crate::breaker::window::{CountedIn, Geometry, Window};
use crate::outcome::Outcome;
use crate::ratio::Share;
use crate::time::{Span, Timestamp};

/// What a closed breaker keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The verdicts.
    pub window: Window,
    /// Failures in a row.
    pub consecutive: u32,
    /// When the last of them was.
    pub last_failure: Timestamp,
    /// Since when the admitted share grows.
    pub ramp_from: Option<Timestamp>,
    /// Since when a trip is withheld.
    pub grace_from: Option<Timestamp>,
    /// Verdicts so far, wrapping: the number of a call, and the tick of host tracking in a count window.
    pub verdicts: u32,
    /// The hosts.
    pub hosts: Hosts,
}

/// Where a verdict was counted, so that it can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// In the window.
    place: CountedIn,
    /// What it was counted as.
    outcome: Outcome,
    /// Its number.
    number: u32,
    /// Failures in a row before it.
    row: u32,
}

impl Closed {
    pub(super) fn new(geometry: Geometry, ramp_from: Option<Timestamp>) -> Self {
        Self {
            window: Window::new(geometry),
            consecutive: 0,
            last_failure: Timestamp::ZERO,
            ramp_from,
            grace_from: None,
            verdicts: 0,
            hosts: Hosts::default(),
        }
    }

    /// Counts a verdict; `None` for one that does not count.
    pub(super) fn count(
        &mut self,
        geometry: Geometry,
        now: Timestamp,
        verdict: Verdict,
    ) -> Option<Entry> {
        let place = self.window.add(verdict.outcome, now)?;
        let row = self.consecutive;
        self.verdicts = self.verdicts.wrapping_add(1);
        let failed = verdict.outcome == Outcome::Failure;
        if failed {
            self.fail(geometry, now, row);
        } else {
            self.consecutive = 0;
        }
        self.note_host(geometry, now, verdict.host, failed);
        Some(Entry {
            place,
            outcome: verdict.outcome,
            number: self.verdicts,
            row,
        })
    }

    /// A request that was counted failed after all; `false` if it no longer stands in the window, or failed before.
    pub(super) fn fail_late(
        &mut self,
        geometry: Geometry,
        now: Timestamp,
        entry: Entry,
        host: HostId,
    ) -> bool {
        let since = self.verdicts.wrapping_sub(entry.number);
        let failed_before = entry.outcome == Outcome::Failure;
        if failed_before || !self.window.fail(entry.place, entry.outcome, since, now) {
            return false;
        }
        let row = match self.consecutive {
            row if row == since => entry.row.saturating_add(row),
            row => row,
        };
        self.fail(geometry, now, row);
        self.note_host(geometry, now, host, true);
        true
    }

    /// The cause if the breaker trips now; withheld for a while where a minority of the hosts fails.
    pub(super) fn due(
        &mut self,
        settings: &Settings,
        geometry: Geometry,
        now: Timestamp,
    ) -> Option<Cause> {
        let (tick, horizon) = host_clock(geometry, self.verdicts, now);
        let due = due_trip(settings, geometry, self, now);
        let withheld = matches!(
            due,
            Some(Cause::FailureRate { .. } | Cause::Consecutive { .. })
        ) && settings.host_grace > Span::ZERO
            && self.hosts.minority_fails(tick, horizon);
        if !withheld {
            self.grace_from = None;
            return due;
        }
        let since = *self.grace_from.get_or_insert(now);
        due.filter(|_| now.since(since) >= settings.host_grace)
    }

    /// One more failure behind a row of so many; a gap longer than the window begins the row anew.
    fn fail(&mut self, geometry: Geometry, now: Timestamp, row: u32) {
        let gap = now.since(self.last_failure);
        let anew = geometry.over().is_some_and(|over| gap > over);
        self.consecutive = if anew { 1 } else { row.saturating_add(1) };
        self.last_failure = now;
    }

    fn note_host(&mut self, geometry: Geometry, now: Timestamp, host: HostId, failed: bool) {
        let (tick, horizon) = host_clock(geometry, self.verdicts, now);
        self.hosts.note(host, failed, tick, horizon);
    }
}

/// What would make a closed breaker trip now.
fn due_trip(
    settings: &Settings,
    geometry: Geometry,
    closed: &mut Closed,
    now: Timestamp,
) -> Option<Cause> {
    let thresholds = &settings.thresholds;
    let counts = closed.window.counts(now);
    let minimum = match geometry {
        Geometry::Time { .. } => thresholds.minimum_calls,
        Geometry::Count { calls } => thresholds.minimum_calls.min(u32::from(calls)),
    };
    let reached = |threshold: Share, part| {
        threshold > Share::NONE
            && counts.calls >= minimum
            && threshold.is_reached_by(part, counts.calls)
    };
    if reached(thresholds.failure_rate, counts.failures) {
        return Some(Cause::FailureRate {
            counts,
            threshold: thresholds.failure_rate,
        });
    }
    if reached(thresholds.slow_rate, counts.slow) {
        return Some(Cause::SlowRate {
            counts,
            threshold: thresholds.slow_rate,
        });
    }
    // Where there is enough for a failure rate, the rate decides: a row comes about by chance in many calls of which some
    // fail. Where that rate is off, nothing but the row sees failures.
    let row = thresholds.consecutive > 0
        && closed.consecutive >= thresholds.consecutive
        && (counts.calls < minimum || thresholds.failure_rate == Share::NONE);
    row.then_some(Cause::Consecutive {
        failures: closed.consecutive,
    })
}
