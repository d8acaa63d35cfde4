//! Observed latency: a histogram over all workers, and limits that follow one of its percentiles.
//!
//! Buckets grow by a quarter of a power of two, so a percentile is at most a quarter too high. Two halves of a minute
//! stand side by side, so that what is asked covers 30 to 60 seconds. Each VM adds what it saw at its tick.

use crate::record::sealed::{Reader, Writer};
use crate::share::Share;
use crate::time::{Span, Timestamp};

/// The number of buckets: up to 268 seconds.
pub const BUCKETS: usize = 80;
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SL";
/// The width of the first buckets, in nanoseconds.
const UNIT: u64 = 128_000;
/// The length of a half.
const HALF: Span = Span::secs(30);

/// A limit that follows a percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Which.
    pub percentile: Share,
    /// Times so much, in hundredths.
    pub factor: u32,
    /// Never less.
    pub min: Span,
    /// Never more.
    pub max: Span,
    /// Nothing is said before so many samples.
    pub samples: u32,
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

    /// The bytes for shared data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.half);
        for count in self.running.0.iter().chain(&self.before.0) {
            out.u32(*count);
        }
        out.sealed(VERSION)
    }

    /// Reads what [`Latencies::encode`] wrote; what is none is as if nothing had been seen. Nothing if a later version wrote
    /// it: then it is to be left alone.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match Reader::open(bytes, MAGIC) {
            Some((version, _)) if version > VERSION => None,
            Some((VERSION, reader)) => Some(Self::read(reader).unwrap_or_default()),
            _ => Some(Self::default()),
        }
    }

    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let mut read = Self {
            half: reader.u64()?,
            ..Self::default()
        };
        let places = read.running.0.iter_mut().chain(&mut read.before.0);
        for place in places {
            *place = reader.u32()?;
        }
        reader.is_empty().then_some(read)
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
            prop_assert_eq!(Latencies::decode(&all.encode()), Some(all));
            prop_assert_eq!(Latencies::decode(&rubbish), Some(Latencies::default()));
        }
    }
}
