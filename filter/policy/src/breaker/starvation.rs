//! How long half-open has gone without a verdict, and what own probes say meanwhile.
//!
//! Half-open ends by verdicts alone. Where none comes, since nobody asks or nobody's request ends well or badly, a counter
//! says so; and where the upstream's own health check is asked, three good answers in a row begin the ramp.

use super::candidates::{since, tenths};
use crate::time::{Span, Timestamp};

/// Half-open without a verdict for so long is asked by own probes.
const PROBED_AFTER: Span = Span::secs(20);
/// So many good own probes in a row begin the ramp.
pub const GOOD_PROBES: u32 = 3;

/// What is remembered of a half-open state without verdicts; times in tenths of a second, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starvation {
    /// When the last verdict was counted, or half-open began.
    pub(crate) verdict: u32,
    /// When somebody first asked since then, and since the last span without a verdict was counted.
    pub(crate) asked: u32,
    /// Good own probes in a row.
    pub(crate) good: u8,
}

impl Starvation {
    pub(super) fn begun(at: Timestamp) -> Self {
        Self {
            verdict: tenths(at),
            ..Self::default()
        }
    }

    /// Somebody asks.
    pub(super) fn asked(&mut self, now: u32) {
        if self.verdict == 0 {
            self.verdict = now;
        }
        if self.asked == 0 {
            self.asked = now;
        }
    }

    /// A verdict was counted.
    pub(super) fn fed(&mut self, now: u32) {
        *self = Self {
            verdict: now,
            ..Self::default()
        };
    }

    /// Whether somebody asked so long ago and no verdict came since; true once for each such span.
    pub(super) fn is_due(&mut self, wait: Span, now: u32) -> bool {
        let due = self.asked != 0 && since(now, self.asked) >= wait;
        if due {
            self.asked = 0;
        }
        due
    }

    /// Whether the upstream is worth an own probe.
    pub(super) fn wants_probe(&self, now: u32) -> bool {
        self.verdict != 0 && since(now, self.verdict) >= PROBED_AFTER
    }

    /// An own probe was answered; whether there were enough good ones.
    pub(super) fn probed(&mut self, good: bool) -> bool {
        self.good = match good {
            true => self.good.saturating_add(1),
            false => 0,
        };
        u32::from(self.good) >= GOOD_PROBES
    }
}
