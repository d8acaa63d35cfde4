//! The window over which a closed breaker takes its rates: the last ten slices of time, or the last so many calls.
//!
//! Time slices are cut at multiples of a tenth of the window on the shared clock, so that every worker cuts at the same
//! instants; the running slice and the nine before it count (the scheme of Hystrix's rolling number). A count window
//! holds two bits per call.

mod count;

pub use count::CountWindow;

use crate::outcome::Outcome;
use crate::time::{Span, Timestamp};

/// How many slices a time window has.
pub const SLICES: usize = 10;
/// The most calls a count window may hold: two bits each fit a record.
pub const CALLS_MAX: u16 = 1_024;

/// What a window looks like; stored with it, so that every reader cuts it the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// Ten slices of this length, at least 1 ns.
    Time {
        /// The length of one slice.
        slice: Span,
    },
    /// The last so many calls, 1 to [`CALLS_MAX`].
    Count {
        /// How many calls.
        calls: u16,
    },
}

impl Geometry {
    /// A time window over `over`.
    pub const fn time(over: Span) -> Self {
        let slice = over.share(1, SLICES as u64);
        Self::Time {
            slice: if slice.as_nanos() == 0 {
                Span::nanos(1)
            } else {
                slice
            },
        }
    }

    /// A window over the last `calls` calls, brought into its bounds.
    pub const fn count(calls: u16) -> Self {
        Self::Count {
            calls: match calls {
                0 => 1,
                calls if calls > CALLS_MAX => CALLS_MAX,
                calls => calls,
            },
        }
    }

    /// The whole length of a time window.
    pub const fn over(self) -> Option<Span> {
        match self {
            Self::Time { slice } => Some(slice.times(SLICES as u64)),
            Self::Count { .. } => None,
        }
    }

    /// The number of the slice in which `now` lies; 0 for a count window.
    pub fn slice_at(self, now: Timestamp) -> u64 {
        match self {
            Self::Time { slice } => now.as_nanos().checked_div(slice.as_nanos()).unwrap_or(0),
            Self::Count { .. } => 0,
        }
    }
}

/// Calls, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Successes, slow ones and failures.
    pub calls: u32,
    /// Failures.
    pub failures: u32,
    /// Slow successes.
    pub slow: u32,
}

impl Counts {
    /// One more verdict; an outcome that does not count changes nothing.
    pub fn add(&mut self, outcome: Outcome) {
        if !outcome.counts() {
            return;
        }
        self.calls = self.calls.saturating_add(1);
        match outcome {
            Outcome::Failure => self.failures = self.failures.saturating_add(1),
            Outcome::Slow => self.slow = self.slow.saturating_add(1),
            Outcome::Success | Outcome::Overloaded | Outcome::Ignored => {}
        }
    }

    /// One verdict less; `false` if there is no such one.
    pub(crate) fn take_out(&mut self, outcome: Outcome) -> bool {
        let good = self
            .calls
            .saturating_sub(self.failures)
            .saturating_sub(self.slow);
        let part = match outcome {
            Outcome::Failure => &mut self.failures,
            Outcome::Slow => &mut self.slow,
            Outcome::Success => &mut { good },
            Outcome::Overloaded | Outcome::Ignored => return false,
        };
        if *part == 0 {
            return false;
        }
        *part = part.saturating_sub(1);
        self.calls = self.calls.saturating_sub(1);
        true
    }

    fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            failures: self.failures.saturating_add(other.failures),
            slow: self.slow.saturating_add(other.slow),
        }
    }
}

/// Where a verdict stands in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedIn {
    /// In the slice of this number.
    Slice(u64),
    /// In a call of its own.
    Call,
}

/// The verdicts of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// Slices of time.
    Time(TimeWindow),
    /// The last calls.
    Count(CountWindow),
}

impl Window {
    /// An empty window of this shape.
    pub fn new(geometry: Geometry) -> Self {
        match geometry {
            Geometry::Time { slice } => Self::Time(TimeWindow {
                slice,
                newest: 0,
                slices: [Counts::default(); SLICES],
            }),
            Geometry::Count { calls } => Self::Count(CountWindow::new(calls)),
        }
    }

    /// One more verdict at `now`, which must not lie before the last one. Says where it stands; `None` if it does not
    /// count.
    #[inline(never)]
    pub fn add(&mut self, outcome: Outcome, now: Timestamp) -> Option<CountedIn> {
        if !outcome.counts() {
            return None;
        }
        Some(match self {
            Self::Time(window) => {
                window.advance(now);
                window.running().add(outcome);
                CountedIn::Slice(window.newest)
            }
            Self::Count(window) => {
                window.add(outcome);
                CountedIn::Call
            }
        })
    }

    /// A verdict that was counted as `outcome`, so many verdicts ago, is a failure after all. In a time window it fails
    /// now; in a count window the call has failed. `false` if it no longer stands there.
    pub fn fail(
        &mut self,
        place: CountedIn,
        outcome: Outcome,
        verdicts: u32,
        now: Timestamp,
    ) -> bool {
        match (self, place) {
            (Self::Time(window), CountedIn::Slice(number)) => {
                window.advance(now);
                let taken_out = window.holds(number) && window.at(number).take_out(outcome);
                if taken_out {
                    window.running().add(Outcome::Failure);
                }
                taken_out
            }
            (Self::Count(window), CountedIn::Call) => window.fail(outcome, verdicts),
            (Self::Time(_) | Self::Count(_), _) => false,
        }
    }

    /// The last good verdict in a window of time is a failure after all, and fails now; `false` if there is none, and in a window of calls.
    pub(crate) fn fail_any(&mut self, now: Timestamp) -> bool {
        let Self::Time(window) = self else {
            return false;
        };
        window.advance(now);
        let newest = window.newest;
        let mut slices = (0..SLICES as u64).map(|back| newest.saturating_sub(back));
        let taken_out = slices.any(|number| window.at(number).take_out(Outcome::Success));
        if taken_out {
            window.running().add(Outcome::Failure);
        }
        taken_out
    }

    /// So many good verdicts more at `now`, in a window of time; `false` in one of calls, which has no lots.
    pub(crate) fn add_good(&mut self, count: u32, now: Timestamp) -> bool {
        match self {
            Self::Time(window) => {
                window.advance(now);
                let running = window.running();
                running.calls = running.calls.saturating_add(count);
                true
            }
            Self::Count(_) => false,
        }
    }

    /// How many verdicts count at `now`.
    pub(crate) fn calls_at(&self, now: Timestamp) -> u32 {
        match self {
            Self::Time(window) => window.calls_at(now),
            Self::Count(window) => window.counts().calls,
        }
    }

    /// What counts at `now`.
    pub fn counts(&mut self, now: Timestamp) -> Counts {
        match self {
            Self::Time(window) => {
                window.advance(now);
                window
                    .slices
                    .iter()
                    .fold(Counts::default(), |sum, slice| sum.plus(*slice))
            }
            Self::Count(window) => window.counts(),
        }
    }
}

/// Ten slices of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// The length of one slice.
    pub(crate) slice: Span,
    /// The number of the running slice.
    pub(crate) newest: u64,
    /// Slice number `n` stands at `n % 10`.
    pub(crate) slices: [Counts; SLICES],
}

impl TimeWindow {
    /// Drops what has left the window.
    fn advance(&mut self, now: Timestamp) {
        let number = Geometry::Time { slice: self.slice }.slice_at(now);
        let passed = number.saturating_sub(self.newest);
        for step in 1..=passed.min(SLICES as u64) {
            *self.at(self.newest.saturating_add(step)) = Counts::default();
        }
        self.newest = self.newest.max(number);
    }

    fn calls_at(&self, now: Timestamp) -> u32 {
        let number = Geometry::Time { slice: self.slice }.slice_at(now);
        let passed = number.saturating_sub(self.newest);
        let gone = |position: u64| {
            let begun = self.newest.wrapping_add(1).wrapping_add(position);
            begun.checked_rem(SLICES as u64).unwrap_or(0)
        };
        let all = self
            .slices
            .iter()
            .fold(0, |sum: u32, slice| sum.saturating_add(slice.calls));
        (0..passed.min(SLICES as u64)).fold(all, |left, position| {
            let slice = self.slices.get(gone(position) as usize);
            left.saturating_sub(slice.map_or(0, |slice| slice.calls))
        })
    }

    fn holds(&self, number: u64) -> bool {
        number <= self.newest && number.saturating_add(SLICES as u64) > self.newest
    }

    fn running(&mut self) -> &mut Counts {
        self.at(self.newest)
    }

    fn at(&mut self, number: u64) -> &mut Counts {
        let [first, rest @ ..] = &mut self.slices;
        match number.checked_rem(SLICES as u64).unwrap_or(0) as usize {
            0 => first,
            position => rest.get_mut(position.wrapping_sub(1)).unwrap_or(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop::sample::select(&Outcome::ALL[..])
    }

    /// The plain reading: count the verdicts that are not older than the window.
    fn expected(verdicts: &[(u64, Outcome)], keep: impl Fn(usize, u64) -> bool) -> Counts {
        let counted: Vec<_> = verdicts
            .iter()
            .filter(|(_, outcome)| outcome.counts())
            .collect();
        let mut counts = Counts::default();
        for (index, (at, outcome)) in counted.iter().enumerate() {
            if keep(counted.len() - index, *at) {
                counts.add(*outcome);
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn a_time_window_holds_the_running_slice_and_nine_before(
            steps in prop::collection::vec((0_u64..400, outcome()), 0..200),
            rest in 0_u64..2_000,
        ) {
            let mut window = Window::new(Geometry::time(Span::nanos(1_000)));
            let mut now = 0;
            let mut verdicts = Vec::new();
            for (step, outcome) in steps {
                now += step;
                window.add(outcome, Timestamp::nanos(now));
                verdicts.push((now, outcome));
            }
            now += rest;
            let running = now / 100;
            prop_assert_eq!(
                window.counts(Timestamp::nanos(now)),
                expected(&verdicts, |_, at| at / 100 + 10 > running)
            );
        }

        #[test]
        fn a_count_window_holds_the_last_calls(
            calls in 1_u16..=CALLS_MAX,
            outcomes in prop::collection::vec(outcome(), 0..3_000),
        ) {
            let mut window = Window::new(Geometry::count(calls));
            let mut verdicts = Vec::new();
            for outcome in outcomes {
                window.add(outcome, Timestamp::ZERO);
                verdicts.push((0, outcome));
            }
            prop_assert_eq!(
                window.counts(Timestamp::ZERO),
                expected(&verdicts, |back, _| back <= usize::from(calls))
            );
        }
    }

    #[test]
    fn a_clock_at_its_end_breaks_nothing() {
        let mut window = Window::new(Geometry::time(Span::ZERO));
        window.add(Outcome::Failure, Timestamp::nanos(u64::MAX));
        window.add(Outcome::Failure, Timestamp::ZERO);
        assert_eq!(window.counts(Timestamp::nanos(u64::MAX)).failures, 2);
    }
}
