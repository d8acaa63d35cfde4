//! Exponential back-off with full jitter, as Envoy's and most clients': each wait is anything below a bound that doubles.

use rand::{Rng, RngExt};

/// How long to wait before a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The bound of the first wait, in nanoseconds.
    pub base: u64,
    /// No wait is longer, in nanoseconds.
    pub max: u64,
}

impl Default for BackOff {
    /// Envoy's: 25 ms, at most ten times that.
    fn default() -> Self {
        Self::from_base(25_000_000)
    }
}

impl BackOff {
    /// From a base in nanoseconds; the longest wait is ten times as long, as in Envoy.
    pub fn from_base(base: u64) -> Self {
        Self {
            base,
            max: base.saturating_mul(10),
        }
    }

    /// The wait before a retry, counted from 1, in nanoseconds.
    pub fn wait(&self, retry: u32, random: &mut impl Rng) -> u64 {
        let doubled = 1_u64.checked_shl(retry.saturating_sub(1));
        let bound = doubled.map_or(u64::MAX, |times| self.base.saturating_mul(times));
        let bound = bound.min(self.max);
        if bound == 0 {
            return 0;
        }
        random.random_range(0..bound)
    }
}
