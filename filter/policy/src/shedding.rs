//! Load shedding: what an upstream cannot do in time is refused before it, the least important first.
//!
//! Two things say how much it can do: a limit on the requests in flight, fixed or found from latency
//! ([`crate::limiter`]), and what the upstream itself reports ([`crate::load`]).

use crate::bulkhead::Until;
use crate::priority;
use crate::share::{Enforcement, Share};
use crate::time::Span;

/// The limit on requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nobody limits; only what the upstream reports counts.
    None,
    /// So many.
    Fixed(u32),
    /// It follows latency.
    Adaptive {
        /// Never less; at least 1.
        min: u32,
        /// Never more.
        max: u32,
        /// At the start.
        initial: u32,
    },
}

/// What shedding is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is done with a request that would be shed.
    pub mode: Enforcement,
    /// The limit.
    pub limit: Limit,
    /// Which share of the limit each priority may fill, the most important first.
    pub shares: [Share; 4],
    /// Where a request's priority is read.
    pub priorities: priority::Settings,
    /// Above this utilisation, as the upstream reports it, the least important are shed; 0 is off.
    pub load_over: Share,
    /// `retry-after` of a shed request is spread from 1 s to this.
    pub retry_after: Span,
    /// Until when a request counts as in flight.
    pub until: Until,
}

impl Settings {
    /// The most requests that a limit may allow.
    pub const LIMIT_MAX: u32 = 100_000;
    /// The limits to start from and between, where the configuration is silent (Netflix, concurrency-limits).
    pub const ADAPTIVE: Limit = Limit::Adaptive {
        min: 20,
        max: 200,
        initial: 20,
    };

    /// When a shed request is told to come again: spread, so that those that were shed together do not come back
    /// together.
    pub fn retry_after(&self, draw: u32) -> Span {
        let seconds = self.retry_after.as_secs_ceil().max(1);
        let spread = u64::from(draw).saturating_mul(seconds) >> 32;
        Span::secs(spread.saturating_add(1))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Enforcement::Enforce(Share::ALL),
            limit: Self::ADAPTIVE,
            shares: [100, 90, 70, 50].map(Share::percent),
            priorities: priority::Settings::default(),
            load_over: Share::percent(80),
            retry_after: Span::secs(4),
            until: Until::End,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_shed_together_come_back_apart() {
        let settings = Settings::default();
        let seconds = |draw| settings.retry_after(draw).as_secs_ceil();
        assert_eq!((seconds(0), seconds(u32::MAX)), (1, 4));
        let mut told = [0_u32; 4];
        for step in 0..4_000_u32 {
            told[seconds(step * 1_073_741) as usize - 1] += 1;
        }
        assert!(told.iter().all(|count| (999..=1_001).contains(count)));
    }
}
