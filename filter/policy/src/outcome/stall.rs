//! Whether responses that came to a halt after their headers are the upstream's fault or their readers'.
//!
//! A single stream cannot tell: behind a client that does not read, Envoy stops reading from the upstream, and the response
//! stands still as it does behind an upstream that hangs. Other requests can tell. A halt is the upstream's only if responses to
//! at least two connections stand still, and no response of this upstream has ended since the first of them came to its
//! halt. Where that is not known for long enough, the halt says nothing.
//!
//! The notes are shared by all workers of a process. A worker that sees a response stand still starts the watch; while it
//! lasts, each worker says at its tick when a response ended last. Nothing is written while all responses flow.

use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::{Span, Timestamp};

/// A watch that nobody renews ends after this time.
const WATCH: Span = Span::secs(15);
/// It is renewed once less than this is left of it.
const RENEW: Span = Span::secs(10);
/// Other workers learn of a watch at their next tick, and tell what they saw at the one after.
const LEARNED: Span = Span::secs(1);
/// For so long at least it must be known that no response ended.
const KNOWN: Span = Span::secs(2);
/// What is called standing still: no chunk for this long.
pub const STILL: Span = Span::secs(1);
/// How many connections are remembered whose responses stood still until they were cut.
const CONNECTIONS: usize = 2;
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"ST";

/// A response that was cut while it stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct StalledResponse {
    connection: u64,
    since: Timestamp,
}

/// What is known about responses of one upstream that came to a halt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    watched_since: Timestamp,
    watched_until: Timestamp,
    ended: Timestamp,
    halts: [Option<StalledResponse>; CONNECTIONS],
}

impl Stalls {
    /// Whether workers tell when responses end.
    pub fn is_watched(&self, now: Timestamp) -> bool {
        now < self.watched_until
    }

    /// A response stands still: starts or renews the watch. `false` if it needs no renewal yet.
    pub fn watch(&mut self, now: Timestamp) -> bool {
        if self.watched_until.since(now) > RENEW {
            return false;
        }
        if !self.is_watched(now) {
            *self = Self {
                watched_since: now,
                ..Self::default()
            };
        }
        self.watched_until = now.after(WATCH);
        true
    }

    /// A response ended well at `at`. `false` if that was known.
    pub fn ended(&mut self, at: Timestamp) -> bool {
        let later = at > self.ended;
        self.ended = self.ended.max(at);
        later
    }

    /// A response on this connection was cut; it had stood still since `since`. Whether that is the upstream's fault.
    pub fn is_upstreams(&mut self, connection: u64, since: Timestamp, now: Timestamp) -> bool {
        let ended = self.ended;
        for halt in &mut self.halts {
            halt.take_if(|halt| {
                halt.since <= ended || halt.since.after(WATCH) < self.watched_since
            });
        }
        if !self.is_watched(now) || since <= ended {
            return false;
        }
        let halt = StalledResponse { connection, since };
        let mut halts = self.halts.iter_mut();
        let place =
            match halts.find(|known| known.is_some_and(|known| known.connection == connection)) {
                Some(same) => Some(same),
                None => self.halts.iter_mut().find(|place| place.is_none()),
            };
        if let Some(place) = place {
            let first = place.map_or(since, |known| known.since.min(since));
            *place = Some(StalledResponse {
                since: first,
                ..halt
            });
        }
        let first = self
            .halts
            .iter()
            .flatten()
            .fold(since, |first, known| first.min(known.since));
        let others = self
            .halts
            .iter()
            .flatten()
            .any(|known| known.connection != connection);
        let known_from = first.max(self.watched_since.after(LEARNED));
        others && now.since(known_from) >= KNOWN
    }
}

impl SharedRecord for Stalls {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for at in [self.watched_since, self.watched_until, self.ended] {
            out.u64(at.as_nanos());
        }
        for halt in &self.halts {
            out.u64(halt.map_or(0, |halt| halt.connection));
            out.maybe(halt.map(|halt| halt.since));
        }
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            let mut stalls = Self {
                watched_since: reader.time()?,
                watched_until: reader.time()?,
                ended: reader.time()?,
                ..Self::default()
            };
            for place in &mut stalls.halts {
                let connection = reader.u64()?;
                *place = reader
                    .maybe()?
                    .map(|since| StalledResponse { connection, since });
            }
            Some(stalls)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::nanos(millis * 1_000_000)
    }

    fn watched(from: u64) -> Stalls {
        let mut stalls = Stalls::default();
        assert!(stalls.watch(at(from)));
        stalls
    }

    #[test]
    fn two_connections_and_no_response_that_ended_are_the_upstreams_fault() {
        let mut stalls = watched(1_000);
        assert!(
            !stalls.is_upstreams(1, at(500), at(6_000)),
            "one connection"
        );
        assert!(
            !stalls.is_upstreams(1, at(900), at(6_000)),
            "the same again"
        );
        assert!(stalls.is_upstreams(2, at(600), at(6_100)));
        assert!(stalls.is_upstreams(1, at(2_000), at(6_200)));
    }

    #[test]
    fn a_response_that_ended_since_says_that_the_readers_stand_still() {
        for ended in [600, 3_000, 6_000] {
            let mut stalls = watched(1_000);
            assert!(!stalls.is_upstreams(1, at(500), at(5_000)));
            assert!(stalls.ended(at(ended)));
            assert!(!stalls.is_upstreams(2, at(550), at(6_100)), "{ended}");
        }
        let mut stalls = watched(1_000);
        stalls.ended(at(400));
        assert!(!stalls.is_upstreams(1, at(500), at(5_000)));
        assert!(
            stalls.is_upstreams(2, at(550), at(6_100)),
            "it ended before"
        );
    }

    #[test]
    fn what_is_not_known_for_long_enough_says_nothing() {
        let mut stalls = Stalls::default();
        for connection in 1..10 {
            assert!(
                !stalls.is_upstreams(connection, at(100), at(9_000)),
                "no watch"
            );
        }
        let mut stalls = watched(1_000);
        assert!(!stalls.is_upstreams(1, at(500), at(2_000)));
        assert!(!stalls.is_upstreams(2, at(500), at(3_999)));
        assert!(stalls.is_upstreams(2, at(500), at(4_000)));
        assert!(
            !stalls.is_upstreams(3, at(500), at(16_000)),
            "the watch is over"
        );
    }

    #[test]
    fn a_watch_is_renewed_once_in_a_while_and_starts_anew_after_it_ended() {
        let mut stalls = watched(1_000);
        assert!(!stalls.watch(at(2_000)));
        assert!(stalls.watch(at(6_000)));
        assert!(stalls.is_watched(at(20_999)) && !stalls.is_watched(at(21_000)));
        stalls.is_upstreams(1, at(500), at(7_000));
        assert!(stalls.watch(at(30_000)));
        assert!(
            !stalls.is_upstreams(2, at(500), at(40_000)),
            "the other is forgotten"
        );
    }

    #[test]
    fn it_is_read_as_it_was_written_and_damage_is_as_nothing() {
        let mut stalls = watched(1_000);
        stalls.ended(at(77));
        stalls.is_upstreams(9, at(500), at(2_000));
        let bytes = stalls.encode();
        assert_eq!(Stalls::decode(&bytes), Ok(stalls));
        for length in 0..bytes.len() {
            assert_eq!(Stalls::decode(&bytes[..length]), Err(Unreadable::Damaged));
        }
    }
}
