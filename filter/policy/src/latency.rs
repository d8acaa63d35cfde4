//! Observed latency: a histogram over all workers, and limits that follow one of its percentiles.
//!
//! Buckets grow by a quarter of a power of two, so a percentile is at most a quarter too high. Two halves of a minute
//! stand side by side, so that what is asked covers 30 to 60 seconds. Each VM adds what it saw at its tick.
//!
//! A sample is what the upstream took for good work ([`Histogram::observe`]). Failures and 4xx are often fast and say
//! nothing about that; a flood of them would pull every limit down. What a limit ended took longer than the limit: if it
//! were no sample, or one as long as the limit, the limit would follow its own tail.

use crate::deadline::{Follow, Limit, LimitSource};
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::{Span, Timestamp};

/// The number of buckets: up to 268 seconds.
pub const BUCKETS: usize = 80;
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SL";
/// The width of the first buckets, in nanoseconds.
const UNIT: u64 = 128_000;
/// The length of a half.
const HALF: Span = Span::secs(30);

/// How a request ended, as far as that says how long its upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With response headers of the upstream.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The gRPC status, where it came with the headers.
        grpc: Option<u16>,
    },
    /// The time limit of the whole request passed. Where none is known here, it was the route's own.
    Cut(Limit),
}

/// How many answers took how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram([u32; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    /// A request ended after this time: one more sample, if it is one.
    pub fn observe(&mut self, ended: Ended, latency: Span) {
        match ended {
            Ended::Answered { status, grpc } => {
                if (100..400).contains(&status) && grpc.is_none_or(|status| status == 0) {
                    self.add(latency);
                }
            }
            // How little time a caller has says nothing about how long its request would have taken.
            Ended::Cut(Limit::Within {
                by: LimitSource::Caller,
                ..
            }) => {}
            // Envoy's timers start a little before our clock does.
            Ended::Cut(Limit::Within { total, .. }) => self.add_longer(latency.max(total)),
            Ended::Cut(Limit::None | Limit::Doomed) => self.add_longer(latency),
        }
    }

    /// A sample that is longer than this.
    fn add_longer(&mut self, than: Span) {
        self.add(upper_bound(bucket(than)));
    }

    /// One more sample.
    pub fn add(&mut self, latency: Span) {
        if let Some(bucket) = self.0.get_mut(bucket(latency)) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.0.iter_mut().zip(&other.0) {
            *bucket = bucket.saturating_add(*more);
        }
    }
}

/// What all workers saw of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    half: u64,
    running: Histogram,
    before: Histogram,
}

impl Latencies {
    /// Adds what a worker saw.
    pub fn merge(&mut self, seen: &Histogram, now: Timestamp) {
        let half = now.as_nanos().checked_div(HALF.as_nanos()).unwrap_or(0);
        match half.saturating_sub(self.half) {
            0 => {}
            1 => self.before = std::mem::take(&mut self.running),
            _ => *self = Self::default(),
        }
        self.half = self.half.max(half);
        self.running.merge(seen);
    }

    /// What a limit that follows would be now; `None` while there are too few samples.
    pub fn limit(&self, follow: &Follow) -> Option<Span> {
        let counts = || self.running.0.iter().zip(&self.before.0);
        let sum = |(one, other): (&u32, &u32)| u64::from(*one).saturating_add(u64::from(*other));
        let all = counts().map(sum).fold(0_u64, u64::saturating_add);
        if all < u64::from(follow.samples.max(1)) {
            return None;
        }
        let share = u64::from(follow.percentile.as_basis_points());
        let rank = Span::nanos(all).share(share, 10_000).as_nanos();
        let mut seen = 0_u64;
        let reached = counts().map(sum).position(|count| {
            seen = seen.saturating_add(count);
            seen > rank || seen == all
        });
        let latency = upper_bound(reached.unwrap_or(BUCKETS));
        let limit = latency.share(u64::from(follow.factor), 100);
        Some(limit.max(follow.min).min(follow.max))
    }
}

impl SharedRecord for Latencies {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.half);
        for count in self.running.0.iter().chain(&self.before.0) {
            out.u32(*count);
        }
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            let mut read = Self {
                half: reader.u64()?,
                ..Self::default()
            };
            let places = read.running.0.iter_mut().chain(&mut read.before.0);
            for place in places {
                *place = reader.u32()?;
            }
            Some(read)
        })
    }
}

/// The bucket of a latency: four to each power of two.
fn bucket(latency: Span) -> usize {
    let units = latency.as_nanos() / UNIT;
    if units < 4 {
        return units as usize;
    }
    let power = units.ilog2();
    let quarter = (units >> power.saturating_sub(2)) & 3;
    let first = (power as usize).saturating_sub(1).saturating_mul(4);
    first
        .saturating_add(quarter as usize)
        .min(BUCKETS.saturating_sub(1))
}

/// No latency in the bucket is as long.
fn upper_bound(bucket: usize) -> Span {
    let bucket = bucket.min(BUCKETS) as u64;
    let units = match bucket {
        0..4 => bucket.saturating_add(1),
        _ => (bucket % 4).saturating_add(5) << (bucket / 4).saturating_sub(1),
    };
    Span::nanos(UNIT).times(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratio::Share;
    use proptest::prelude::*;

    const P99: Follow = Follow {
        percentile: Share::percent(99),
        factor: 200,
        min: Span::millis(10),
        max: Span::secs(5),
        samples: 100,
    };

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO.after(Span::secs(secs))
    }

    fn seen(count: u32, millis: u64) -> Histogram {
        let mut histogram = Histogram::default();
        for _ in 0..count {
            histogram.add(Span::millis(millis));
        }
        histogram
    }

    #[test]
    fn a_limit_follows_the_percentile_within_its_bounds() {
        let mut all = Latencies::default();
        all.merge(&seen(50, 100), at(60));
        assert_eq!(all.limit(&P99), None, "too few");
        all.merge(&seen(49, 100), at(61));
        all.merge(&seen(1, 100), at(61));
        let limit = all.limit(&P99).unwrap();
        assert!(
            limit >= Span::millis(200) && limit <= Span::millis(250),
            "{limit}"
        );
        all.merge(&seen(2, 100_000), at(61));
        assert_eq!(all.limit(&P99), Some(Span::secs(5)), "clamped");
        let mut quick = Latencies::default();
        quick.merge(&seen(200, 1), at(60));
        assert_eq!(quick.limit(&P99), Some(Span::millis(10)));
    }

    fn within(by: LimitSource, secs: u64) -> Limit {
        let total = Span::secs(secs);
        Limit::Within { total, by }
    }

    #[test]
    fn only_good_answers_and_limits_that_passed_are_samples() {
        use LimitSource::{Adaptive, Caller, Policy, Route};
        let answered = |status, grpc| Ended::Answered { status, grpc };
        let early = Span::millis(1_999);
        let after = |limit| upper_bound(bucket(limit));
        for (ended, latency, sample) in [
            (answered(200, None), early, Some(early)),
            (answered(304, None), early, Some(early)),
            (answered(200, Some(0)), early, Some(early)),
            (answered(200, Some(5)), early, None),
            (answered(404, None), early, None),
            (answered(429, None), early, None),
            (answered(503, None), early, None),
            (answered(0, None), early, None),
            // A limit that passed, by our clock a little early: longer than the limit.
            (
                Ended::Cut(within(Adaptive, 2)),
                early,
                Some(after(Span::secs(2))),
            ),
            (
                Ended::Cut(within(Policy, 2)),
                early,
                Some(after(Span::secs(2))),
            ),
            (
                Ended::Cut(within(Route, 2)),
                Span::secs(3),
                Some(after(Span::secs(3))),
            ),
            (Ended::Cut(Limit::None), early, Some(after(early))),
            (Ended::Cut(within(Caller, 2)), early, None),
        ] {
            let (mut seen, mut expected) = (Histogram::default(), Histogram::default());
            seen.observe(ended, latency);
            if let Some(sample) = sample {
                expected.add(sample);
            }
            assert_eq!(seen, expected, "{ended:?} after {latency}");
        }
        assert!(after(Span::secs(2)) > Span::secs(2));
    }

    /// An upstream that gives so many answers of 1 ms a second, and a few pages of 400 ms, under the limit that follows.
    fn minutes(all: &mut Latencies, follow: &Follow, from: u64, pages: bool) -> u32 {
        let mut cut = 0;
        for second in 0..600 {
            let limit = all.limit(follow).unwrap_or(Span::secs(15));
            let mut histogram = Histogram::default();
            for _ in 0..600 {
                histogram.observe(
                    Ended::Answered {
                        status: 200,
                        grpc: None,
                    },
                    Span::millis(1),
                );
            }
            let page = Span::millis(400);
            if pages && page > limit {
                let by = LimitSource::Adaptive;
                histogram.observe(Ended::Cut(Limit::Within { total: limit, by }), limit);
                cut += 1;
            } else if pages {
                histogram.add(page);
            }
            all.merge(&histogram, at(from + second));
        }
        cut
    }

    #[test]
    fn cheap_answers_do_not_cut_slow_pages_where_the_limit_has_its_floor() {
        let floored = Follow {
            min: Span::secs(2),
            max: Span::secs(15),
            ..P99
        };
        assert_eq!(minutes(&mut Latencies::default(), &floored, 60, true), 0);
        // Without it each page is cut: the pages are fewer than one in a hundred.
        let cut = minutes(&mut Latencies::default(), &P99, 60, true);
        assert!(cut > 590, "{cut}");
    }

    #[test]
    fn a_limit_under_which_all_is_cut_grows_to_its_maximum() {
        let mut all = Latencies::default();
        minutes(&mut all, &P99, 60, false);
        assert_eq!(all.limit(&P99), Some(Span::millis(10)));
        // From now on nothing is answered. A tick each 400 ms, 240 requests in each.
        let mut ticks = 0;
        while all.limit(&P99) != Some(P99.max) {
            let total = all.limit(&P99).unwrap();
            let by = LimitSource::Adaptive;
            let mut histogram = Histogram::default();
            for _ in 0..240 {
                histogram.observe(Ended::Cut(Limit::Within { total, by }), total);
            }
            all.merge(&histogram, at(660).after(Span::millis(400 * ticks)));
            ticks += 1;
            assert!(ticks < 50, "20 s");
        }
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let mut all = Latencies::default();
        all.merge(&seen(200, 100), at(60));
        all.merge(&seen(0, 1), at(119));
        assert!(all.limit(&P99).is_some());
        all.merge(&seen(0, 1), at(121));
        assert_eq!(all.limit(&P99), None);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_put_into_it(nanos in 0_u64..268_000_000_000) {
            let latency = Span::nanos(nanos);
            let number = bucket(latency);
            prop_assert!(upper_bound(number) > latency);
            prop_assert!(number == 0 || upper_bound(number - 1) <= latency);
            prop_assert!(upper_bound(number).as_nanos() <= latency.as_nanos() / 4 * 5 + 2 * UNIT);
        }

        #[test]
        fn it_reads_back_and_rubbish_is_as_nothing(
            samples in prop::collection::vec(any::<u64>(), 0..50),
            now in any::<u64>(),
            rubbish in prop::collection::vec(any::<u8>(), 0..700),
        ) {
            let mut histogram = Histogram::default();
            for nanos in samples {
                histogram.add(Span::nanos(nanos));
            }
            let mut all = Latencies::default();
            all.merge(&histogram, Timestamp::nanos(now));
            prop_assert_eq!(Latencies::decode(&all.encode()), Ok(all));
            prop_assert_eq!(Latencies::decode(&rubbish), Err(Unreadable::Damaged));
        }
    }
}
