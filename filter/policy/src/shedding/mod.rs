//! Load shedding: what an upstream cannot do in time is refused before it, the least important first.
//!
//! Two things say how much it can do: a limit on the requests in flight, fixed or found from latency
//! ([`crate::limiter`]), and what the upstream itself reports ([`crate::shedding::reported_load`]).

pub mod reported_load;

use crate::bulkhead::{self, Until};
use crate::limiter;
use crate::priority::{self, Priority};
use crate::ratio::{Enforcement, Share};
use crate::time::Span;

/// So many slots the highest priority has for itself at least. Where the others keep the rest full, and it offers half of
/// what the upstream can do, each of these slots halves how often it finds all taken: twelve of them leave one in 8,000.
pub const RESERVED_SLOTS: u32 = 12;

/// The limit on requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nobody limits; only what the upstream reports counts.
    None,
    /// So many.
    Fixed(u32),
    /// It follows latency.
    Adaptive(limiter::Settings),
}

impl Limit {
    /// How many requests may be in flight where a record has learned this limit; `None` where nothing bounds them, or nothing
    /// is learned yet.
    pub fn in_force(&self, learned: Option<u32>) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Fixed(limit) => Some(*limit),
            Self::Adaptive(settings) => {
                let floor = settings.floor.max(1);
                learned.map(|limit| limit.clamp(floor, settings.ceiling.max(floor)))
            }
        }
    }
}

/// Which share of the limit each priority may fill, the most important first.
///
/// A share bounds how full the upstream may be for a request of that priority to get in, not how many of that priority
/// are in it: so the lower ones are refused first as it fills, and any of them may use it alone up to its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares(pub [Share; 4]);

impl Shares {
    /// Of how many slots a request of this priority may take the last one, where there are `limit`: rounded up, and at
    /// least one, so that every priority gets in where nothing is in flight.
    pub fn slots(&self, priority: Priority, limit: u32) -> u32 {
        let share = self.0.get(usize::from(priority.rank()));
        let points = share.copied().unwrap_or(Share::ALL).as_basis_points();
        let scaled = u64::from(limit).saturating_mul(u64::from(points));
        let places = u32::try_from(scaled.div_ceil(10_000)).unwrap_or(u32::MAX);
        places.max(1)
    }

    /// The same for a limit that follows latency, and so may be small: the highest priority then has at least
    /// [`RESERVED_SLOTS`] beyond the next one, if need be beyond the limit.
    pub fn soft_slots(&self, priority: Priority, limit: u32) -> u32 {
        let places = self.slots(priority, limit);
        let next = self.slots(Priority::Critical, limit);
        match priority {
            Priority::CriticalPlus => places.max(next.saturating_add(RESERVED_SLOTS)),
            _ => places,
        }
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self([100, 90, 70, 50].map(Share::percent))
    }
}

/// What shedding is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is done with a request that would be shed.
    pub mode: Enforcement,
    /// The limit.
    pub limit: Limit,
    /// Which share of the limit each priority may fill.
    pub shares: Shares,
    /// Where a request's priority is read.
    pub priorities: priority::Settings,
    /// Above this utilisation, as the upstream reports it, the least important are shed; 0 is off.
    pub load_over: Share,
    /// `retry-after` of a shed request is spread from 1 s to this.
    pub retry_after: Span,
    /// Until when a request counts as in flight.
    pub until: Until,
    /// Which share of the limit requests may fill whose body is not complete.
    pub unfinished: Share,
}

impl Settings {
    /// The most requests that a limit may allow.
    pub const LIMIT_MAX: u32 = 100_000;
    /// The limits to start from and between, where the configuration is silent (Netflix, concurrency-limits).
    pub const ADAPTIVE: limiter::Settings = limiter::Settings {
        floor: 20,
        ceiling: 200,
        initial: 20,
        tolerance: 150,
    };
    /// The most by which refusals of other policies are spread.
    pub const RETRY_AFTER: Span = Span::secs(4);
}

/// When a request that was refused for its load is told to come again: from 1 s to `most`, so that those that were
/// refused together do not come back together.
pub fn spread(most: Span, draw: u32) -> Span {
    let seconds = most.as_secs_ceil().max(1);
    let later = u64::from(draw).saturating_mul(seconds) >> 32;
    Span::secs(later.saturating_add(1))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Enforcement::Enforce(Share::ALL),
            limit: Limit::Adaptive(Self::ADAPTIVE),
            shares: Shares::default(),
            priorities: priority::Settings::default(),
            load_over: Share::percent(80),
            retry_after: Self::RETRY_AFTER,
            until: Until::End,
            unfinished: bulkhead::Settings::UNFINISHED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_shed_together_come_back_apart() {
        let seconds = |draw| spread(Settings::RETRY_AFTER, draw).as_secs_ceil();
        assert_eq!((seconds(0), seconds(u32::MAX)), (1, 4));
        let mut told = [0_u32; 4];
        for step in 0..4_000_u32 {
            told[seconds(step * 1_073_741) as usize - 1] += 1;
        }
        assert!(told.iter().all(|count| (999..=1_001).contains(count)));
    }

    #[test]
    fn a_lower_priority_never_has_more_places_and_each_has_one() {
        let shares = Shares::default();
        for limit in [0, 1, 2, 3, 7, 10, 99, 1_000, u32::MAX] {
            let places = Priority::ALL.map(|priority| shares.slots(priority, limit));
            assert!(places.is_sorted_by(|a, b| a >= b), "{limit}: {places:?}");
            assert!(places[3] >= 1 && places[0] == limit.max(1));
        }
        let of_ten = Priority::ALL.map(|priority| shares.slots(priority, 10));
        assert_eq!(of_ten, [10, 9, 7, 5]);
        let of_three = Priority::ALL.map(|priority| shares.slots(priority, 3));
        assert_eq!(of_three, [3, 3, 3, 2], "rounded up");
    }

    #[test]
    fn a_small_limit_that_follows_latency_keeps_places_for_the_highest() {
        let shares = Shares::default();
        let of = |limit| Priority::ALL.map(|priority| shares.soft_slots(priority, limit));
        assert_eq!(of(20), [30, 18, 14, 10]);
        assert_eq!(of(200), [200, 180, 140, 100]);
    }
}
