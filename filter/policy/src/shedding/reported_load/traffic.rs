//! What one VM knows of the traffic to an upstream that reports its load: how much of it each priority is, and how much of
//! it was admitted of late.
//!
//! A utilisation is about the while that it was measured in, so what it may grow to is a multiple of what was admitted then. Nothing
//! of this is shared: each VM sees a fair part of the traffic, and what is shed stands in shared data.

use std::collections::VecDeque;

use crate::priority::Priority;
use crate::time::{Span, Timestamp};

use super::{PRIORITIES, WHOLE, millionths, passing};

/// How long an upstream may measure its utilisation.
const MEASURED: Span = Span::secs(2);
/// What was admitted is noted once in so long.
const STEP: Span = Span::millis(100);
/// So many notes are kept.
const NOTES_MAX: usize = 20;
/// What one request counts for, so that small counts can fade.
const REQUEST: u32 = 256;

/// The part of each priority where nothing is known, in millionths.
const LIKE: u32 = WHOLE / PRIORITIES as u32;

/// How much of the traffic each priority is, the highest first; all zero if nothing is known.
pub type Offered = [u32; PRIORITIES as usize];

/// The traffic to one upstream, as one VM sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    offered: Offered,
    /// When how much was admitted, in millionths of what was offered.
    admitted: VecDeque<(Timestamp, u32)>,
}

impl Traffic {
    /// A request of this priority came.
    pub fn came(&mut self, priority: Priority) {
        if let Some(count) = self.offered.get_mut(usize::from(priority.rank())) {
            *count = count.saturating_add(REQUEST);
        }
    }

    /// How much each priority is.
    pub const fn offered(&self) -> Offered {
        self.offered
    }

    /// What was admitted on average while the utilisation was measured that is reported now.
    pub fn admitted(&self, now: Timestamp) -> Option<u32> {
        let of_late = self
            .admitted
            .iter()
            .filter(|(at, _)| now.since(*at) <= MEASURED);
        let (mut sum, mut count) = (0_u64, 0_u64);
        for (_, admitted) in of_late {
            sum = sum.saturating_add(u64::from(*admitted));
            count = count.saturating_add(1);
        }
        u32::try_from(sum.checked_div(count)?).ok()
    }

    /// So much is shed from now on.
    pub fn stands(&mut self, shed: u32, now: Timestamp) {
        let last = self.admitted.back();
        if last.is_some_and(|(at, _)| now.since(*at) < STEP) {
            return;
        }
        if self.admitted.len() >= NOTES_MAX {
            self.admitted.pop_front();
        }
        self.admitted
            .push_back((now, admitted(&self.offered, shed)));
        for count in &mut self.offered {
            *count = count.saturating_sub(count.div_ceil(8));
        }
    }
}

/// How much of what is offered passes where so much is shed, in millionths.
pub(super) fn admitted(offered: &Offered, shed: u32) -> u32 {
    let parts = (0..PRIORITIES).map(|priority| {
        millionths(
            weight(offered, priority).into(),
            passing(shed, priority).into(),
        )
    });
    let sum = parts.fold(0_u64, u64::saturating_add);
    u32::try_from(sum).unwrap_or(WHOLE).min(WHOLE)
}

/// What part of the traffic a priority is, in millionths; a like part where nothing is known.
pub(super) fn weight(offered: &Offered, priority: u8) -> u32 {
    let all = offered
        .iter()
        .fold(0_u64, |sum, count| sum.saturating_add(u64::from(*count)));
    let own = offered.get(usize::from(priority)).copied().unwrap_or(0);
    let part = u64::from(own)
        .saturating_mul(u64::from(WHOLE))
        .checked_div(all);
    part.and_then(|part| u32::try_from(part).ok())
        .unwrap_or(LIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::nanos(1_000_000_000).after(Span::millis(millis))
    }

    #[test]
    fn what_is_admitted_follows_from_the_priorities_that_come() {
        let mut traffic = Traffic::default();
        assert_eq!(admitted(&traffic.offered(), 2_000_000), 505_000);
        for _ in 0..30 {
            traffic.came(Priority::CriticalPlus);
        }
        for _ in 0..10 {
            traffic.came(Priority::Sheddable);
        }
        assert_eq!(weight(&traffic.offered(), 0), 750_000);
        assert_eq!(admitted(&traffic.offered(), 0), WHOLE);
        assert_eq!(admitted(&traffic.offered(), 500_000), 875_000);
        // What nobody asks for makes no difference.
        let lowest = admitted(&traffic.offered(), 1_000_000);
        assert_eq!(lowest, 752_500);
        assert_eq!(admitted(&traffic.offered(), 3_000_000), lowest);
    }

    #[test]
    fn it_looks_back_as_far_as_an_upstream_measures_and_no_further() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.admitted(at(0)), None);
        for step in 0..1_000 {
            traffic.stands(0, at(10 * step));
            assert!(traffic.admitted.len() <= NOTES_MAX);
        }
        assert_eq!(traffic.admitted(at(10_000)), Some(WHOLE));
        for step in 0..200 {
            traffic.stands(4_000_000, at(10_000 + 10 * step));
        }
        assert_eq!(traffic.admitted(at(12_000)), Some(10_000));
        assert_eq!(traffic.admitted(at(15_000)), None);
    }

    #[test]
    fn the_mix_of_priorities_follows_the_traffic() {
        let mut traffic = Traffic::default();
        for step in 0..100 {
            let (one, other) = (Priority::Critical, Priority::Sheddable);
            traffic.came(if step < 50 { one } else { other });
            traffic.stands(0, at(100 * step));
        }
        assert!(weight(&traffic.offered(), Priority::Sheddable.rank()) > 990_000);
    }
}
