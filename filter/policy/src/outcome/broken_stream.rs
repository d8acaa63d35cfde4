//! Whether a stream that broke before its response began is the upstream's fault, or that of the client which sent it.
//!
//! One stream cannot tell: an upstream resets a request that it does not take, such as one with more headers than its limit, as a
//! sick one resets all. Nor can one client, which may send as many of them as it likes. Other clients can tell:
//!
//! 1. Streams of two peers broke lately: it is the upstream.
//! 2. Streams of one peer alone did, and another peer was answered well lately: it says nothing about the upstream.
//! 3. Streams of one peer alone did, and nobody else was answered for as long as it takes to learn of it: it is the upstream, and
//!    that peer is the only one who asks.
//! 4. Before that is known, the first few count as failures, and further ones say nothing. In half-open none counts:
//!    others were refused until now, so they have their turn first. What an earlier watch in the same state of the breaker
//!    showed is known.
//!
//! The notes are shared by all workers of a process. A broken stream starts the watch; while it lasts, each worker tells of good
//! responses. Outside a watch nobody is asked who it is.

use super::peer::Peer;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::{Span, Timestamp};

/// A watch ends so long after the last broken stream.
const WATCH: Span = Span::secs(15);
/// It is renewed once less than this is left of it.
const RENEW: Span = Span::secs(13);
/// How long it takes to learn whether others are answered: all workers have had a tick, and each of a second's clients was there.
const LEARNED: Span = Span::millis(1_600);
/// So many broken streams of a watch count before that is known.
const FEW: u8 = 3;
/// A broken stream of another peer says for so long that the upstream breaks streams.
const BROKE_LATELY: Span = Span::secs(10);
/// A good response to another peer says for so long that it does not: one each ten seconds, and some time to tell.
const ANSWERED_LATELY: Span = Span::secs(12);
/// That a peer is the only one is remembered for so long after the watch that showed it.
const ALONE_LASTS: Span = Span::secs(60);
/// Times are noted anew once they are older than this: a flood of broken streams must not be a flood of writes.
const EXACT: Span = Span::secs(1);
/// A worker tells of good responses so often.
pub const TELL: Span = Span::secs(2);
/// How many peers are remembered: two with addresses of their own, and all that a header named.
const PEERS: usize = 3;
/// It stands in shared data as so many numbers.
const WORDS: usize = 4 + 2 * (2 * PEERS + 1);
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"BS";

/// Something that happened to a peer, and when last; never at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    peer: Peer,
    at: Timestamp,
}

/// The last few peers to whom something happened.
type Lately = [Seen; PEERS];

/// Notes it, in the place of the peer or of the one that was seen longest ago.
fn note(lately: &mut Lately, peer: Peer, at: Timestamp) {
    let known = |seen: &&mut Seen| seen.peer == peer && seen.at > Timestamp::ZERO;
    if let Some(seen) = lately.iter_mut().find(known) {
        if at.since(seen.at) >= EXACT {
            seen.at = at;
        }
    } else if let Some(oldest) = lately.iter_mut().min_by_key(|seen| seen.at) {
        *oldest = Seen { peer, at };
    }
}

/// A broken stream.
#[derive(Clone, Copy, Debug)]
pub struct BrokenStream {
    /// Who sent it.
    pub peer: Peer,
    /// The breaker's generation in which it was admitted.
    pub generation: u64,
    /// Whether the breaker is half-open.
    pub half_open: bool,
}

/// What is known about broken streams of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokenStreams {
    since: Timestamp,
    until: Timestamp,
    /// The breaker's generation that the watch is about.
    generation: u64,
    /// How many counted before anything was known.
    counted: u8,
    broken: Lately,
    answered: Lately,
    /// The peer that was found to be the only one, as of the end of the watch that showed it.
    alone: Seen,
}

impl BrokenStreams {
    /// Whether workers tell of good responses.
    pub fn is_watched(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// When the watch ends.
    pub const fn watched_until(&self) -> Timestamp {
        self.until
    }

    /// A stream broke before its response began. Whether that is the upstream's fault.
    pub fn is_upstreams(&mut self, stream: BrokenStream, now: Timestamp) -> bool {
        let BrokenStream { peer, .. } = stream;
        if stream.generation < self.generation && self.is_watched(now) {
            // The breaker does not count it.
            return true;
        }
        self.begin(stream, now);
        note(&mut self.broken, peer, now);
        let own = self.suspects(now).filter(|peer| peer.is_own());
        if own.count() > 1 {
            self.alone = Seen::default();
            return true;
        }
        if self.others_answered(now, |at| now.since(at) < ANSWERED_LATELY) {
            self.alone = Seen::default();
            return false;
        }
        if now.since(self.since) >= LEARNED || self.is_alone(peer, now) {
            return true;
        }
        let counts = self.counted < FEW;
        self.counted = self.counted.saturating_add(u8::from(counts));
        counts
    }

    /// Whether it is worth telling that this peer was answered well.
    pub fn wants(&self, peer: Peer, now: Timestamp) -> bool {
        self.is_watched(now) && !self.is_suspect(peer, now)
    }

    /// A peer was answered well. `false` if that tells nothing new.
    pub fn answered(&mut self, peer: Peer, now: Timestamp) -> bool {
        let before = self.answered;
        if self.wants(peer, now) {
            note(&mut self.answered, peer, now);
        }
        self.answered != before
    }

    /// Starts the watch, or renews it.
    fn begin(&mut self, stream: BrokenStream, now: Timestamp) {
        if self.until.since(now) > WATCH {
            // The clock was set back.
            *self = Self::default();
        }
        // Who is refused is not answered either: what was seen in another state of the breaker shows nobody alone.
        let other = stream.generation != self.generation;
        if other || !self.is_watched(now) {
            let alone = match (other, self.only_one()) {
                (true, _) => Seen::default(),
                (false, learned) => learned.unwrap_or(self.alone),
            };
            *self = Self {
                since: now,
                generation: stream.generation,
                counted: if stream.half_open { FEW } else { 0 },
                answered: self.answered,
                alone,
                ..Self::default()
            };
        }
        if self.until.since(now) < RENEW {
            self.until = now.after(WATCH);
        }
    }

    /// The only peer that the watch showed, once it is over.
    fn only_one(&self) -> Option<Seen> {
        let mut all = self.broken.iter().filter(|seen| seen.at > Timestamp::ZERO);
        let first = all.next()?;
        let alone = all.next().is_none() && self.answered.iter().all(|seen| seen.at < self.since);
        alone.then_some(Seen {
            at: self.until,
            ..*first
        })
    }

    fn is_alone(&self, peer: Peer, now: Timestamp) -> bool {
        let Seen { peer: alone, at } = self.alone;
        peer == alone
            && at > Timestamp::ZERO
            && now.since(at) < ALONE_LASTS
            && !self.others_answered(now, |answered| answered >= at)
    }

    /// The peers whose streams broke lately.
    fn suspects(&self, now: Timestamp) -> impl Iterator<Item = Peer> {
        let lately = self
            .broken
            .iter()
            .filter(move |seen| seen.at > Timestamp::ZERO && now.since(seen.at) < BROKE_LATELY);
        lately.map(|seen| seen.peer)
    }

    /// Whether somebody was answered well at such a time whose streams did not break.
    fn others_answered(&self, now: Timestamp, then: impl Fn(Timestamp) -> bool) -> bool {
        let mut answered = self.answered.iter();
        answered.any(|seen| {
            seen.at > Timestamp::ZERO && then(seen.at) && !self.is_suspect(seen.peer, now)
        })
    }

    fn is_suspect(&self, peer: Peer, now: Timestamp) -> bool {
        self.suspects(now).any(|suspect| suspect == peer)
    }
}

impl SharedRecord for BrokenStreams {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        let lately = self
            .broken
            .iter()
            .chain(&self.answered)
            .chain([&self.alone]);
        let lately = lately.flat_map(|seen| [seen.peer.number(), seen.at.as_nanos()]);
        let times = [self.since.as_nanos(), self.until.as_nanos()];
        let whole = times
            .into_iter()
            .chain([self.generation, self.counted.into()]);
        whole.chain(lately).for_each(|word| out.u64(word));
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            let mut words = [0; WORDS];
            for word in &mut words {
                *word = reader.u64()?;
            }
            let [since, until, generation, counted, lately @ ..] = words;
            let mut streams = Self {
                since: Timestamp::nanos(since),
                until: Timestamp::nanos(until),
                generation,
                counted: u8::try_from(counted).ok()?,
                ..Self::default()
            };
            let all = streams.broken.iter_mut().chain(&mut streams.answered);
            let all = all.chain([&mut streams.alone]);
            for (seen, [peer, at]) in all.zip(lately.as_chunks().0) {
                *seen = Seen {
                    peer: Peer::of(*peer),
                    at: Timestamp::nanos(*at),
                };
            }
            Some(streams)
        })
    }
}

#[cfg(test)]
mod tests;
