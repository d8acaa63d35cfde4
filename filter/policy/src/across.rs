//! What is kept of a request while it passes through an application that knows nothing of it.
//!
//! Between a sidecar's inbound and outbound side stands an app that makes requests of its own and copies no more than
//! `x-request-id` or `traceparent`. The inbound side keeps what came with the request under that id; the outbound side of
//! the same Envoy picks it up. Back the other way goes whether a failure was seen below, since who retries it again
//! multiplies what was retried there.
//!
//! There is a fixed number of slots, found by the id's hash. Whoever comes later takes a slot; a request that lost its
//! slot is as one without anything kept.

use crate::record::sealed::{Reader, Writer};
use crate::time::{Span, Timestamp};

const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SA";
/// How many requests are kept at most.
const SLOTS: u64 = 4_096;
/// For how long a request without a deadline is kept.
const KEPT: Span = Span::secs(60);

/// What is kept of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// When its time is over.
    pub deadline: Option<Timestamp>,
    /// Its priority, 0 is the highest.
    pub priority: Option<u8>,
    /// It is a retry of somebody's before us.
    pub retry: bool,
    /// Something below failed, and what retries were due were made there.
    pub failed_below: bool,
}

/// An id's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    id: u64,
    /// The key in shared data.
    pub key: String,
}

impl Place {
    /// The place of an id: that of a `traceparent` is its trace (W3C Trace Context).
    pub fn of(id: &[u8]) -> Option<Self> {
        if id.is_empty() {
            return None;
        }
        let hash = id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let hash = hash ^ (hash >> 33);
        Some(Self {
            id: hash,
            key: format!("seawall/v1/across/{:x}", hash % SLOTS),
        })
    }

    /// What is kept there for this id.
    pub fn read(&self, bytes: &[u8], now: Timestamp) -> Option<Kept> {
        const NONE: u8 = u8::MAX;
        let (version, mut reader) = Reader::open(bytes, MAGIC)?;
        let (id, until) = (reader.u64()?, reader.time()?);
        let kept = Kept {
            deadline: reader.maybe()?,
            priority: Some(reader.u8()?).filter(|priority| *priority != NONE),
            retry: reader.flag()?,
            failed_below: reader.flag()?,
        };
        (version == VERSION && id == self.id && now < until).then_some(kept)
    }

    /// The bytes that keep it there, in the place of these; none if a later version wrote them.
    pub fn write(&self, before: &[u8], kept: &Kept, now: Timestamp) -> Option<Vec<u8>> {
        let later = |(version, _)| version > VERSION;
        if Reader::open(before, MAGIC).is_some_and(later) {
            return None;
        }
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.id);
        let shortest = now.after(KEPT);
        // Past its deadline a request is still known as one that has no time left.
        let until = kept
            .deadline
            .map_or(shortest, |at| at.after(KEPT).max(shortest));
        out.u64(until.min(now.after(KEPT.times(60))).as_nanos());
        out.maybe(kept.deadline);
        out.u8(kept.priority.unwrap_or(u8::MAX));
        out.u8(u8::from(kept.retry));
        out.u8(u8::from(kept.failed_below));
        Some(out.sealed(VERSION))
    }
}

/// The trace in a `traceparent` header: what stands between its first two dashes.
pub fn trace(traceparent: &[u8]) -> &[u8] {
    let mut parts = traceparent.split(|byte| *byte == b'-');
    parts.nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::nanos(5_000_000_000);

    #[test]
    fn what_is_kept_is_found_by_its_id_alone_and_not_for_ever() {
        let place = Place::of(b"5b0e1a2c").unwrap();
        let kept = Kept {
            deadline: Some(NOW.after(Span::millis(250))),
            priority: Some(2),
            retry: true,
            failed_below: false,
        };
        let bytes = place.write(&[], &kept, NOW).unwrap();
        assert_eq!(place.read(&bytes, NOW.after(Span::secs(1))), Some(kept));
        assert_eq!(place.read(&bytes, NOW.after(Span::secs(61))), None);
        let other = Place {
            id: place.id ^ 1,
            ..place
        };
        assert_eq!(
            other.read(&bytes, NOW),
            None,
            "a slot that another one took"
        );
    }

    #[test]
    fn a_trace_is_the_same_for_all_its_spans() {
        let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace(header), b"0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace(b"nonsense"), b"");
        assert_eq!(Place::of(trace(b"")), None);
    }

    proptest! {
        #[test]
        fn there_are_so_many_slots_and_rubbish_is_nothing(
            id in prop::collection::vec(any::<u8>(), 1..40),
            rubbish in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let place = Place::of(&id).unwrap();
            let slot = place.key.rsplit('/').next().unwrap();
            prop_assert!(u64::from_str_radix(slot, 16).unwrap() < SLOTS);
            prop_assert_eq!(place.read(&rubbish, NOW), None);
        }
    }
}
