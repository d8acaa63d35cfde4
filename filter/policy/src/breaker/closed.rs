//! Closed: every request is one verdict, in a window and in a row, and its last word counts.
//!
//! A request that fails after it was counted takes its verdict back and becomes a failure. Where no verdict but failures
//! came in between, the row of failures is as if the failure had been told at once; otherwise it grows by one.
//!
//! Silence is counted as a slow call while it lasts, and does not touch the row. When it ends, an answer ends the row. A request that
//! ends without any answer makes it longer, whoever ended it, but only where the window holds no success: clients that do not
//! wait for a slow page open nothing beside others that are answered.

use super::rules::host_clock;
use super::{Cause, HostId, Hosts, LastWord, Settings, Verdict};
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
    /// Whether the upstream was silent so far.
    silent: bool,
}

impl Entry {
    /// Whether the upstream was silent when it was counted.
    pub(super) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// The same once its silence is over.
    pub(super) const fn answered(self) -> Self {
        Self {
            silent: false,
            ..self
        }
    }
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
        let silent = verdict.silent && verdict.outcome == Outcome::Slow;
        match (failed, silent) {
            (true, _) => self.fail(geometry, now, row),
            (false, true) => {}
            (false, false) => self.consecutive = 0,
        }
        self.note_host(geometry, now, verdict.host, failed);
        Some(Entry {
            place,
            outcome: verdict.outcome,
            number: self.verdicts,
            row,
            silent,
        })
    }

    /// What became of a request after it was counted; `false` if that changes nothing.
    ///
    /// A failure takes its verdict back, where that still stands in the window and was none. Where the upstream never answered it
    /// is a failure of now all the same: silence goes on, a response that breaks late is history.
    pub(super) fn last_word(
        &mut self,
        geometry: Geometry,
        now: Timestamp,
        entry: Entry,
        word: LastWord,
    ) -> bool {
        let mut row = self.consecutive;
        let host = match word {
            LastWord::Answered => return entry.silent && std::mem::take(&mut self.consecutive) > 0,
            LastWord::Unanswered if !entry.silent || self.has_success(now) => return false,
            LastWord::Unanswered => 0,
            LastWord::Failed { .. } | LastWord::Stalled { .. }
                if entry.outcome == Outcome::Failure =>
            {
                return false;
            }
            LastWord::Failed { host } | LastWord::Stalled { host } => {
                let since = self.verdicts.wrapping_sub(entry.number);
                if !self.window.fail(entry.place, entry.outcome, since, now) {
                    let stalled = matches!(word, LastWord::Stalled { .. });
                    if !(entry.silent || stalled) {
                        return false;
                    }
                    if !(stalled && self.window.fail_any(now)) {
                        self.window.add(Outcome::Failure, now);
                        self.verdicts = self.verdicts.wrapping_add(1);
                    }
                }
                if row == since && !entry.silent {
                    row = entry.row.saturating_add(row);
                }
                host
            }
        };
        self.fail(geometry, now, row);
        self.note_host(geometry, now, host, true);
        true
    }

    /// Whether the window holds a request that was answered well, and in time.
    fn has_success(&mut self, now: Timestamp) -> bool {
        let counts = self.window.counts(now);
        counts.calls > counts.failures.saturating_add(counts.slow)
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
