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

pub(crate) mod group;

pub use group::Group;

use crate::priority::Priority;
use crate::shared::keys;
use crate::shared::state::Key;
use crate::time::{Span, Timestamp};

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
    pub key: Key<Group>,
}

/// That a request is among those with its id, to be given back at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedHints {
    since: Timestamp,
    trusted: bool,
}

/// Until when something is kept: past its deadline a request is still known as one that has no time left.
fn until(kept: &Hints, now: Timestamp) -> Timestamp {
    let shortest = now.after(KEPT);
    let wanted = kept.deadline.map_or(shortest, |at| at.after(KEPT));
    wanted.max(shortest).min(now.after(KEPT.times(60)))
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
    pub fn read(&self, place: Option<&Group>, now: Timestamp) -> Option<Hints> {
        let group = place.filter(|group| group.id == self.id && group.is_kept(now))?;
        Some(group.kept)
    }

    /// A request with this id comes, with what it brought if its peer is trusted. Says what is to be given back at its end;
    /// nothing, and nothing changes, if it is not kept.
    pub fn enter(
        &self,
        place: &mut Option<Group>,
        brought: Option<Hints>,
        now: Timestamp,
    ) -> Option<JoinedHints> {
        let trusted = brought.is_some();
        let brought = brought.unwrap_or_default();
        let mut group = self.group(brought, now);
        group.spoiled = !trusted;
        match place.filter(|known| known.is_kept(now)) {
            Some(known) if known.id == self.id => {
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
            Some(other) if other.trusted > 0 && !trusted => return None,
            Some(_) | None => {}
        }
        if group.spoiled {
            group.kept = Hints::default();
        }
        group.add(trusted);
        *place = Some(group);
        let since = group.since;
        Some(JoinedHints { since, trusted })
    }

    /// A request with this id ends; `false`, and nothing changes, if it is no longer known.
    pub fn leave(&self, place: &mut Option<Group>, joined: JoinedHints, now: Timestamp) -> bool {
        let known = place.as_mut().filter(|group| group.is_kept(now));
        let Some(group) = known.filter(|group| group.id == self.id && group.since == joined.since)
        else {
            return false;
        };
        let count = group.count(joined.trusted);
        *count = count.saturating_sub(1);
        true
    }

    /// A call with this id failed below, after its retries; `false`, and nothing changes, if there is nobody to tell.
    pub fn fail(&self, place: &mut Option<Group>, now: Timestamp) -> bool {
        let failed = Hints {
            failed_below: true,
            ..Hints::default()
        };
        let group = match place.filter(|known| known.is_kept(now)) {
            Some(known) if known.id == self.id && known.spoiled => return false,
            Some(known) if known.id == self.id => Group {
                kept: Hints {
                    failed_below: true,
                    ..known.kept
                },
                ..known
            },
            Some(other) if other.trusted > 0 => return false,
            Some(_) | None => self.group(failed, now),
        };
        *place = Some(group);
        true
    }

    /// Nobody with this id yet.
    fn group(&self, kept: Hints, now: Timestamp) -> Group {
        Group {
            id: self.id,
            until: until(&kept, now),
            kept,
            since: now,
            trusted: 0,
            strangers: 0,
            spoiled: false,
        }
    }
}

/// The trace in a `traceparent` header: what stands between its first two dashes.
pub fn trace(traceparent: &[u8]) -> &[u8] {
    let mut parts = traceparent.split(|byte| *byte == b'-');
    parts.nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests;
