//! What is kept of a request while it passes through an application that knows nothing of it.
//!
//! Between a sidecar's inbound and outbound side stands an app that makes requests of its own and copies no more than
//! `x-request-id` or `traceparent`. The inbound side keeps what came with the request under that id; the outbound side of
//! the same Envoy picks it up. Back the other way goes whether a failure was seen below, since who retries it again
//! multiplies what was retried there.
//!
//! Several requests with one id may be in the application at the same time: two calls of one trace, for example. A call
//! that leaves it may then belong to any of them, so that it gets what is right for all: the latest deadline, the lowest
//! priority, the mark of a retry only if all are retries. If the peer of one of them is not trusted, the id gives nothing
//! to any of them. A request that comes when all earlier ones with its id have ended begins anew.
//!
//! There is a fixed number of slots, found by the id's hash. Whoever comes later takes a slot; a request that lost its
//! slot is as one without anything kept. A request whose peer is not trusted takes no slot from one that is trusted and
//! still there.

use crate::priority::Priority;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::keys;
use crate::time::{Span, Timestamp};

const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SA";
/// How many requests are kept at most.
const SLOTS: u64 = 4_096;
/// For how long a request without a deadline is kept.
const KEPT: Span = Span::secs(60);

/// What is kept of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// When its time is over.
    pub deadline: Option<Timestamp>,
    /// Its priority, 0 is the highest.
    pub priority: Option<u8>,
    /// It is a retry of somebody's before us.
    pub retry: bool,
    /// Something below failed, and what retries were due were made there.
    pub failed_below: bool,
}

impl Hints {
    /// What holds for a call that may belong to either of two requests.
    pub fn of_either(self, other: Self) -> Self {
        // Who says nothing of its priority is critical.
        let rank = |kept: Self| kept.priority.unwrap_or(Priority::Critical.rank());
        let unsaid = self.priority.is_none() || other.priority.is_none();
        let lowest = rank(self).max(rank(other));
        Self {
            deadline: self.deadline.zip(other.deadline).map(|(a, b)| a.max(b)),
            priority: Some(lowest).filter(|lowest| !unsaid || *lowest > Priority::Critical.rank()),
            retry: self.retry && other.retry,
            failed_below: self.failed_below || other.failed_below,
        }
    }
}

/// An id's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintSlot {
    id: u64,
    /// The key in shared data.
    pub key: String,
}

/// That a request is among those with its id, to be given back at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedHints {
    since: Timestamp,
    trusted: bool,
}

/// All requests with one id of which one was there when the next came.
#[derive(Clone, Copy, Debug)]
struct Group {
    id: u64,
    until: Timestamp,
    kept: Hints,
    /// When the first came; 0 where an earlier module wrote it, which knows nothing of what follows.
    since: Timestamp,
    /// How many of them are there, and have a trusted peer.
    trusted: u32,
    /// How many of them are there, and have none.
    strangers: u32,
    /// One of them has none, or had none.
    spoiled: bool,
}

impl Group {
    /// An earlier module reads what stands before `since`, and writes nothing behind it.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const NONE: u8 = u8::MAX;
        let (id, until) = (reader.u64()?, reader.time()?);
        let kept = Hints {
            deadline: reader.maybe()?,
            priority: Some(reader.u8()?).filter(|priority| *priority != NONE),
            retry: reader.flag()?,
            failed_below: reader.flag()?,
        };
        let mut group = Self {
            id,
            until,
            kept,
            since: Timestamp::ZERO,
            trusted: 0,
            strangers: 0,
            spoiled: false,
        };
        if !reader.is_empty() {
            group.since = reader.time()?;
            group.trusted = reader.u32()?;
            group.strangers = reader.u32()?;
            group.spoiled = reader.flag()?;
        }
        Some(group)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.id);
        out.u64(self.until.as_nanos());
        out.maybe(self.kept.deadline);
        out.u8(self.kept.priority.unwrap_or(u8::MAX));
        out.u8(u8::from(self.kept.retry));
        out.u8(u8::from(self.kept.failed_below));
        out.u64(self.since.as_nanos());
        out.u32(self.trusted);
        out.u32(self.strangers);
        out.u8(u8::from(self.spoiled));
        out.sealed(VERSION)
    }

    const fn is_there(&self) -> bool {
        self.trusted > 0 || self.strangers > 0
    }

    fn add(&mut self, trusted: bool) {
        let count = self.count(trusted);
        *count = count.saturating_add(1);
    }

    const fn count(&mut self, trusted: bool) -> &mut u32 {
        if trusted {
            &mut self.trusted
        } else {
            &mut self.strangers
        }
    }
}

/// Until when something is kept: past its deadline a request is still known as one that has no time left.
fn until(kept: &Hints, now: Timestamp) -> Timestamp {
    let shortest = now.after(KEPT);
    let wanted = kept.deadline.map_or(shortest, |at| at.after(KEPT));
    wanted.max(shortest).min(now.after(KEPT.times(60)))
}

/// What stands in a slot.
enum Slot {
    /// Nothing that still counts.
    Free,
    /// Something of a later version, which is left alone.
    Later,
    /// Requests with one id, this one or another.
    Taken(Group),
}

impl Slot {
    fn read(bytes: &[u8], now: Timestamp) -> Self {
        let Some((version, mut reader)) = Reader::open(bytes, MAGIC) else {
            return Self::Free;
        };
        if version > VERSION {
            return Self::Later;
        }
        match Group::read(&mut reader).filter(|group| version == VERSION && now < group.until) {
            Some(group) => Self::Taken(group),
            None => Self::Free,
        }
    }
}

impl HintSlot {
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
            key: keys::propagation(hash % SLOTS),
        })
    }

    /// What is kept there for this id.
    pub fn read(&self, bytes: &[u8], now: Timestamp) -> Option<Hints> {
        match Slot::read(bytes, now) {
            Slot::Taken(group) if group.id == self.id => Some(group.kept),
            Slot::Taken(_) | Slot::Free | Slot::Later => None,
        }
    }

    /// A request with this id comes, with what it brought if its peer is trusted. The bytes to keep in the place of these,
    /// and what is to be given back at its end; nothing if it is not kept.
    pub fn enter(
        &self,
        before: &[u8],
        brought: Option<Hints>,
        now: Timestamp,
    ) -> Option<(Vec<u8>, JoinedHints)> {
        let trusted = brought.is_some();
        let brought = brought.unwrap_or_default();
        let mut group = Group {
            id: self.id,
            until: until(&brought, now),
            kept: brought,
            since: now,
            trusted: 0,
            strangers: 0,
            spoiled: !trusted,
        };
        match Slot::read(before, now) {
            Slot::Later => return None,
            Slot::Taken(known) if known.id == self.id => {
                if known.is_there() {
                    group.until = group.until.max(known.until);
                    group.spoiled |= known.spoiled;
                    group.kept = known.kept.of_either(brought);
                    group.since = known.since;
                    (group.trusted, group.strangers) = (known.trusted, known.strangers);
                } else {
                    // Whoever gives an earlier one back late must not be taken for one of these.
                    group.since = now.max(known.since.after(Span::nanos(1)));
                }
            }
            Slot::Taken(other) if other.trusted > 0 && !trusted => return None,
            Slot::Taken(_) | Slot::Free => {}
        }
        if group.spoiled {
            group.kept = Hints::default();
        }
        group.add(trusted);
        let since = group.since;
        Some((group.bytes(), JoinedHints { since, trusted }))
    }

    /// A request with this id ends. The bytes to keep; nothing if it is no longer known.
    pub fn leave(&self, before: &[u8], joined: JoinedHints, now: Timestamp) -> Option<Vec<u8>> {
        let Slot::Taken(mut group) = Slot::read(before, now) else {
            return None;
        };
        if group.id != self.id || group.since != joined.since {
            return None;
        }
        let count = group.count(joined.trusted);
        *count = count.saturating_sub(1);
        Some(group.bytes())
    }

    /// A call with this id failed below, after its retries. The bytes to keep; nothing if there is nobody to tell.
    pub fn fail(&self, before: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let failed = Hints {
            failed_below: true,
            ..Hints::default()
        };
        let mut group = Group {
            id: self.id,
            until: until(&failed, now),
            kept: failed,
            since: now,
            trusted: 0,
            strangers: 0,
            spoiled: false,
        };
        match Slot::read(before, now) {
            Slot::Later => return None,
            Slot::Taken(known) if known.id == self.id => {
                if known.spoiled {
                    return None;
                }
                group = known;
                group.kept.failed_below = true;
            }
            Slot::Taken(other) if other.trusted > 0 => return None,
            Slot::Taken(_) | Slot::Free => {}
        }
        Some(group.bytes())
    }
}

/// The trace in a `traceparent` header: what stands between its first two dashes.
pub fn trace(traceparent: &[u8]) -> &[u8] {
    let mut parts = traceparent.split(|byte| *byte == b'-');
    parts.nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests;
