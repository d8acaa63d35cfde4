//! The retry budget: what first attempts pay in and retries draw out, over all workers of a process.
//!
//! Each first attempt deposits a share of a retry, a trickle flows in besides, a retry withdraws a whole one. What lies
//! unused for longer than the time to live is lost, so that a quiet hour pays for no storm. The scheme is Finagle's
//! (`RetryBudget`), as linkerd uses it too. Everything is an integer: 30 % stays 30 %.

use crate::time::{Span, Timestamp};

/// What one retry costs. A first attempt deposits its ratio in basis points.
pub const RETRY: u64 = 10_000;
/// The running bucket of deposits and ten full ones: a bucket is lost when its end is a time to live old.
pub const BUCKETS: usize = 11;
/// How many of them lie behind the running one.
const FULL: u64 = 10;
/// The trickle is kept in parts of a billion, so that nanoseconds times units per second need no division.
const FINE: u64 = 1_000_000_000;

/// What a budget is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What a first attempt pays in, in basis points of a retry, at most [`Settings::RATIO_MAX`].
    pub ratio: u32,
    /// What flows in each second, in units of which a retry costs [`RETRY`].
    pub floor: u32,
    /// How long deposits last.
    pub ttl: Span,
}

impl Default for Settings {
    /// 20 % [Finagle, linkerd]; the trickle is small on purpose: 200 sidecars with Finagle's 10 a second each would be
    /// 2,000 retries a second that nobody asked for.
    fn default() -> Self {
        Self {
            ratio: 2_000,
            floor: 1_000,
            ttl: Span::secs(10),
        }
    }
}

impl Settings {
    /// Ten retries for each first attempt: beyond that a budget bounds nothing.
    pub const RATIO_MAX: u32 = 100_000;

    /// The length of a bucket.
    pub fn slice(&self) -> Span {
        Span::nanos((self.ttl.as_nanos() / 10).max(1))
    }

    /// The most that the trickle collects: a retry, or what flows in during a time to live.
    fn reserve_max(&self) -> u64 {
        let in_ttl = self.ttl.share(u64::from(self.floor), FINE).as_nanos();
        in_ttl.max(RETRY).saturating_mul(FINE)
    }
}

/// What stands to the account of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The length of a bucket.
    pub(crate) slice: Span,
    /// The number of the running bucket.
    pub(crate) newest: u64,
    /// Deposits; bucket number `n` stands at `n % 11`.
    pub(crate) buckets: [u32; BUCKETS],
    /// What flowed in, in billionths of a unit.
    pub(crate) floor: u64,
    /// Until when it flowed; zero if it never did.
    pub(crate) floor_at: Timestamp,
    /// What was spent without having been there: paid back before anything else.
    pub(crate) owed: u64,
}

impl Budget {
    /// An empty one.
    pub fn new(slice: Span) -> Self {
        Self {
            slice: slice.max(Span::nanos(1)),
            newest: 0,
            buckets: [0; BUCKETS],
            floor: 0,
            floor_at: Timestamp::ZERO,
            owed: 0,
        }
    }

    /// Gives it another length of buckets; what there is goes to the running one.
    pub fn reshape(&mut self, slice: Span, now: Timestamp) {
        let there = self.deposits();
        let (floor, floor_at, owed) = (self.floor, self.floor_at, self.owed);
        *self = Self {
            floor,
            floor_at,
            owed,
            ..Self::new(slice)
        };
        self.advance(now);
        self.put(there);
    }

    /// What can be spent at this time, in units.
    pub fn balance(&mut self, settings: &Settings, now: Timestamp) -> u64 {
        self.flow(settings, now);
        let there = self.deposits().saturating_add(self.floor / FINE);
        there.saturating_sub(self.owed)
    }

    /// So many first attempts pay in.
    pub fn deposit(&mut self, settings: &Settings, attempts: u64, now: Timestamp) {
        self.flow(settings, now);
        self.credit(attempts.saturating_mul(u64::from(settings.ratio)));
    }

    /// Pays for one retry; `false` if there is too little, and then nothing is spent.
    pub fn withdraw(&mut self, settings: &Settings, now: Timestamp) -> bool {
        if self.balance(settings, now) < RETRY {
            return false;
        }
        self.spend(RETRY);
        true
    }

    /// Gives back what so many retries cost that were paid and never sent.
    pub fn refund(&mut self, settings: &Settings, retries: u64, now: Timestamp) {
        self.flow(settings, now);
        self.credit(retries.saturating_mul(RETRY));
    }

    /// Charges for so many retries that were sent already: what is not there is owed.
    pub fn charge(&mut self, settings: &Settings, retries: u64, now: Timestamp) {
        let price = retries.saturating_mul(RETRY);
        let there = self.balance(settings, now).min(price);
        self.spend(there);
        self.owed = self.owed.saturating_add(price.saturating_sub(there));
    }

    fn credit(&mut self, units: u64) {
        let back = units.min(self.owed);
        self.owed = self.owed.saturating_sub(back);
        self.put(units.saturating_sub(back));
    }

    /// Into the running bucket, as far as it holds.
    fn put(&mut self, units: u64) {
        let newest = self.newest;
        let bucket = self.bucket(newest);
        let sum = u64::from(*bucket).saturating_add(units);
        *bucket = u32::try_from(sum).unwrap_or(u32::MAX);
    }

    /// Takes what is known to be there: oldest deposits first, the trickle last.
    fn spend(&mut self, units: u64) {
        let mut left = units;
        let oldest = self.newest.saturating_sub(FULL);
        for number in oldest..=self.newest {
            let bucket = self.bucket(number);
            let taken = left.min(u64::from(*bucket)) as u32;
            *bucket = bucket.saturating_sub(taken);
            left = left.saturating_sub(u64::from(taken));
        }
        self.floor = self.floor.saturating_sub(left.saturating_mul(FINE));
    }

    #[inline]
    fn deposits(&self) -> u64 {
        let sum = |sum: u64, bucket: &u32| sum.saturating_add(u64::from(*bucket));
        self.buckets.iter().fold(0, sum)
    }

    /// Lets the trickle flow and old buckets go.
    fn flow(&mut self, settings: &Settings, now: Timestamp) {
        self.advance(now);
        if self.floor_at == Timestamp::ZERO {
            self.floor_at = now;
        }
        let passed = now.since(self.floor_at).as_nanos();
        let more = passed.saturating_mul(u64::from(settings.floor));
        self.floor = self.floor.saturating_add(more).min(settings.reserve_max());
        self.floor_at = self.floor_at.max(now);
    }

    fn advance(&mut self, now: Timestamp) {
        let slice = self.slice.as_nanos().max(1);
        let number = now.as_nanos().checked_div(slice).unwrap_or(0);
        let passed = number.saturating_sub(self.newest);
        for step in 1..=passed.min(BUCKETS as u64) {
            *self.bucket(self.newest.saturating_add(step)) = 0;
        }
        self.newest = self.newest.max(number);
    }

    fn bucket(&mut self, number: u64) -> &mut u32 {
        let [first, rest @ ..] = &mut self.buckets;
        match number.checked_rem(BUCKETS as u64).unwrap_or(0) as usize {
            0 => first,
            place => rest.get_mut(place.wrapping_sub(1)).unwrap_or(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(percent: u32, floor: u32, ttl: u64) -> Settings {
        Settings {
            ratio: percent * 100,
            floor,
            ttl: Span::secs(ttl),
        }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO.after(Span::millis(millis))
    }

    #[test]
    fn five_first_attempts_pay_for_one_retry_at_twenty_percent() {
        let settings = settings(20, 0, 10);
        let mut budget = Budget::new(settings.slice());
        budget.deposit(&settings, 4, at(1_000));
        assert!(!budget.withdraw(&settings, at(1_000)));
        budget.deposit(&settings, 1, at(1_000));
        assert!(budget.withdraw(&settings, at(1_000)));
        assert!(!budget.withdraw(&settings, at(1_000)));
    }

    #[test]
    fn a_bucket_is_lost_when_its_end_is_a_ttl_old() {
        let settings = settings(100, 0, 10);
        let mut budget = Budget::new(settings.slice());
        budget.deposit(&settings, 1, at(1_500));
        assert_eq!(budget.balance(&settings, at(11_999)), RETRY);
        assert_eq!(budget.balance(&settings, at(12_000)), 0);
        // However long nobody looked.
        for later in [12_000, 12_500, 23_000, 1_000_000] {
            let mut budget = Budget::new(settings.slice());
            budget.deposit(&settings, 1, at(1_500));
            assert_eq!(budget.balance(&settings, at(later)), 0, "{later}");
        }
    }

    #[test]
    fn the_trickle_starts_empty_flows_and_is_bounded() {
        let settings = settings(0, 1_000, 10);
        let mut budget = Budget::new(settings.slice());
        assert_eq!(budget.balance(&settings, at(50_000)), 0);
        assert_eq!(budget.balance(&settings, at(55_000)), 5_000);
        assert_eq!(budget.balance(&settings, at(999_000)), RETRY, "one retry");
        assert!(budget.withdraw(&settings, at(999_000)));
        let wide = super::tests::settings(0, 20_000, 10);
        assert_eq!(budget.balance(&wide, at(9_999_000)), 20 * RETRY);
    }

    #[test]
    fn deposits_go_first_and_the_trickle_last() {
        let settings = settings(100, 1_000, 10);
        let mut budget = Budget::new(settings.slice());
        budget.balance(&settings, at(1_000));
        budget.deposit(&settings, 1, at(11_000));
        assert!(budget.withdraw(&settings, at(11_000)));
        assert_eq!(
            budget.balance(&settings, at(11_000)),
            RETRY,
            "the trickle's own"
        );
    }

    #[test]
    fn a_debt_is_paid_back_before_anything_is_lent() {
        let settings = settings(20, 0, 10);
        let mut budget = Budget::new(settings.slice());
        budget.charge(&settings, 2, at(1_000));
        budget.deposit(&settings, 14, at(1_000));
        assert!(
            !budget.withdraw(&settings, at(1_000)),
            "4,000 units short of a retry"
        );
        budget.deposit(&settings, 1, at(1_000));
        assert!(budget.withdraw(&settings, at(1_000)));
    }

    #[test]
    fn a_debt_is_paid_back_once() {
        let settings = settings(20, 0, 10);
        let mut budget = Budget::new(settings.slice());
        budget.charge(&settings, 2, at(1_000));
        budget.deposit(&settings, 10, at(1_000));
        budget.deposit(&settings, 5, at(60_000));
        assert!(budget.withdraw(&settings, at(60_000)));
    }

    #[test]
    fn a_clock_that_is_behind_takes_nothing_away() {
        let settings = settings(100, 0, 10);
        let mut budget = Budget::new(settings.slice());
        budget.deposit(&settings, 1, at(20_000));
        budget.deposit(&settings, 1, at(5_000));
        assert_eq!(budget.balance(&settings, at(20_000)), 2 * RETRY);
    }

    #[test]
    fn another_ttl_loses_nothing() {
        let before = settings(100, 0, 10);
        let mut budget = Budget::new(before.slice());
        budget.deposit(&before, 3, at(5_000));
        let after = settings(100, 0, 60);
        budget.reshape(after.slice(), at(6_000));
        assert_eq!(budget.balance(&after, at(60_000)), 3 * RETRY);
    }

    proptest! {
        #[test]
        fn no_more_is_drawn_than_was_paid_in(
            ratio in prop_oneof![0_u32..=100, 0_u32..=1_000],
            floor in 0_u32..30_000,
            ttl in 1_u64..60,
            steps in prop::collection::vec((0_u64..3_000, 0_u8..5, 1_u64..20), 1..200),
        ) {
            let settings = settings(ratio, floor, ttl);
            let mut budget = Budget::new(settings.slice());
            let start = at(1_000);
            budget.balance(&settings, start);
            let (mut now, mut paid_in, mut drawn) = (start, 0_u64, 0_u64);
            for (millis, kind, count) in steps {
                now = now.after(Span::millis(millis));
                match kind {
                    0 => {
                        budget.deposit(&settings, count, now);
                        paid_in += count * u64::from(ratio) * 100;
                    }
                    1 if drawn >= RETRY => {
                        budget.refund(&settings, 1, now);
                        drawn -= RETRY;
                    }
                    2 => {
                        budget.charge(&settings, 1, now);
                        drawn += RETRY;
                    }
                    _ => {
                        if budget.withdraw(&settings, now) {
                            drawn += RETRY;
                        }
                    }
                }
                let trickle = now.since(start).share(u64::from(floor), 1_000_000_000).as_nanos();
                prop_assert!(drawn.saturating_sub(budget.owed) <= paid_in + trickle);
            }
        }

        #[test]
        fn no_clock_and_no_number_breaks_it(
            clock in prop::collection::vec(any::<u64>(), 1..20),
            count in any::<u64>(),
            floor in any::<u32>(),
            slice in any::<u64>(),
        ) {
            let settings = Settings { floor, ..settings(100, 0, 60) };
            let mut budget = Budget::new(Span::nanos(slice));
            for nanos in clock {
                let now = Timestamp::nanos(nanos);
                budget.deposit(&settings, count, now);
                budget.charge(&settings, count, now);
                budget.refund(&settings, count, now);
                budget.reshape(Span::nanos(slice ^ nanos), now);
                let _ = budget.withdraw(&settings, now);
            }
        }
    }
}
