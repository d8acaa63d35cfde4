//! Who gets the next permit of a half-open breaker.
//!
//! Permits are few, and a request that never gets a verdict wastes one. So complete requests go first: one whose body is
//! still to come gets a permit only where no complete one asked for `open.for`. And a peer whose last permit ended without
//! a verdict stands back while others wait: else a few clients that abort what they ask would hold all permits for ever.
//!
//! **Complete requests go first only as long as they bring verdicts.** From a permit that was wasted until the next verdict
//! one request in five seconds that is not complete gets a permit too: clients that abort complete requests must not keep
//! every POST and every gRPC call away. Not more of them: each may hold its permit for a second until it lapses.
//!
//! **Nobody waits for ever.** A mark holds only while another peer, which could have had a permit, was refused for want of
//! one within `open.for`, and for four times that at the most. A peer that is alone may use all permits. A request that
//! was refused for its own sake, as one that stands back or is not complete, keeps nobody else away.
//!
//! Times are in tenths of a second, so that they fit into the record beside the holders; 0 stands for none. What only
//! renews a time is noted ten times per `open.for` at the most: a flood of refusals must not be a flood of writes.

use crate::time::{Span, Timestamp};

/// How many peers are marked at the same time; the oldest mark goes.
pub const MARKS_MAX: usize = 10;
/// How many refused peers are remembered: with two, there is one that is not the peer that asks.
const REFUSED: usize = 2;
/// A peer is told from others by so many bits.
const PEER_BITS: u32 = 28;
/// A peer that is not known.
const UNKNOWN: u32 = (1 << PEER_BITS) - 1;
/// Where no complete request asked since half-open began, others wait no longer than this.
const FIRST_WAIT: Span = Span::secs(1);
/// While permits are wasted, one request in this time that is not complete has its turn. The next permit is kept for it for as
/// long after it asked, since a client may come back only then.
const TURN: Span = Span::secs(5);
/// A mark lasts for so many times `open.for` at the most.
const MARK_LASTS: u64 = 4;

/// Who asks for a permit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// A hash of the connection, or of its own address; 0 if it is not known.
    pub peer: u32,
    /// Whether the request's headers ended it, so that nothing of it is still to come, and its silence says something: event
    /// streams and long polls may be silent for as long as they like.
    pub complete: bool,
}

/// A peer, and when something happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// 28 bits of the peer; 0 in a free place.
    pub(crate) peer: u32,
    pub(crate) at: u32,
}

/// What is remembered of those that asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// When half-open began.
    pub(crate) begun: u32,
    /// When a complete request last asked that may have a permit.
    pub(crate) complete: u32,
    /// The last two peers that were refused for want of a permit.
    pub(crate) refused: [Seen; REFUSED],
    /// The peers whose last permit ended without a verdict; newest first.
    pub(crate) marked: [Seen; MARKS_MAX],
    /// Whether a permit was wasted since the last verdict.
    pub(crate) wasted: bool,
    /// When a request that was not complete last got a permit.
    pub(crate) incomplete_granted: u32,
    /// When a request that was not complete was last refused for that.
    pub(crate) incomplete: u32,
}

/// A point in time in tenths of a second, never 0.
pub(super) fn tenths(at: Timestamp) -> u32 {
    const TENTH: u64 = 100_000_000;
    let tenths = at.as_nanos() / TENTH;
    u32::try_from(tenths).unwrap_or(u32::MAX).max(1)
}

/// How long ago something was; for ever if it never was.
pub(super) fn since(now: u32, at: u32) -> Span {
    match at {
        0 => Span::MAX,
        at => Span::millis(100).times(u64::from(now.saturating_sub(at))),
    }
}

/// Notes a time that stands already only if it is older than `step`.
pub(super) fn renew(place: &mut u32, now: u32, step: Span) {
    if since(now, *place) >= step {
        *place = now;
    }
}

fn short(peer: u32) -> u32 {
    match (peer ^ (peer >> PEER_BITS)) & UNKNOWN {
        _ if peer == 0 => UNKNOWN,
        0 | UNKNOWN => 1,
        short => short,
    }
}

/// How exact a time is that is only renewed.
fn step(open_for: Span) -> Span {
    open_for.share(1, 10).max(Span::millis(100))
}

impl Candidates {
    pub(super) fn begun(at: Timestamp) -> Self {
        Self {
            begun: tenths(at),
            ..Self::default()
        }
    }

    /// Whether this request may have a permit if there is one. That it asked is noted where it may.
    pub(super) fn may_have(&mut self, asker: Asker, open_for: Span, now: u32) -> bool {
        if self.stands_back(short(asker.peer), open_for, now) {
            return false;
        }
        let turn_of_incomplete = self.wasted && since(now, self.incomplete_granted) >= TURN;
        if asker.complete {
            if turn_of_incomplete && since(now, self.incomplete) < TURN {
                return false;
            }
            if self.begun == 0 {
                self.begun = now;
            }
            renew(&mut self.complete, now, step(open_for));
            return true;
        }
        let none_complete = match self.complete {
            0 => since(now, self.begun) >= open_for.min(FIRST_WAIT),
            last => since(now, last) >= open_for,
        };
        let may = turn_of_incomplete || none_complete;
        if !may || turn_of_incomplete {
            renew(&mut self.incomplete, now, step(open_for).min(FIRST_WAIT));
        }
        may
    }

    /// A request that may have a permit was refused, since there was none.
    pub(super) fn refused(&mut self, peer: u32, open_for: Span, now: u32) {
        let peer = short(peer);
        let known = self.refused.iter().position(|seen| seen.peer == peer);
        let oldest = self.refused.iter().enumerate();
        let oldest = oldest.min_by_key(|(_, seen)| seen.at).map(|(at, _)| at);
        let place = known.or(oldest).and_then(|at| self.refused.get_mut(at));
        if let Some(place) = place.filter(|place| since(now, place.at) >= step(open_for)) {
            *place = Seen { peer, at: now };
        }
    }

    /// This peer got a permit: it waits no longer, and what its last one came to is the past.
    pub(super) fn granted(&mut self, asker: Asker, now: u32) {
        if !asker.complete {
            self.incomplete_granted = now;
        }
        let peer = short(asker.peer);
        take_out(&mut self.refused, peer);
        take_out(&mut self.marked, peer);
    }

    /// A permit of this peer ended without a verdict.
    pub(super) fn wasted(&mut self, peer: u32, now: u32) {
        let peer = short(peer);
        if peer == UNKNOWN {
            return;
        }
        self.wasted = true;
        take_out(&mut self.marked, peer);
        self.marked.rotate_right(1);
        if let Some(first) = self.marked.first_mut() {
            *first = Seen { peer, at: now };
        }
    }

    /// A verdict came from a request of this peer.
    pub(super) fn decided(&mut self, peer: u32) {
        self.wasted = false;
        take_out(&mut self.marked, short(peer));
    }

    /// How many places in the record it takes to know whose turn it is.
    pub(super) fn turns(&self) -> usize {
        usize::from(self.incomplete_granted != 0).saturating_add(usize::from(self.incomplete != 0))
    }

    /// Forgets whose turn it is.
    pub(super) fn take_no_turns(&mut self) {
        (self.incomplete_granted, self.incomplete) = (0, 0);
    }

    /// Forgets the oldest marks, and then who was refused, until these fit into so many places.
    pub(super) fn trim(&mut self, places: usize) {
        let all = self.refused.iter_mut().chain(&mut self.marked);
        let given = all.filter(|seen| seen.peer != 0);
        for seen in given.skip(places) {
            *seen = Seen::default();
        }
    }

    fn stands_back(&self, peer: u32, open_for: Span, now: u32) -> bool {
        let lasts = open_for.times(MARK_LASTS);
        let marked = |seen: &Seen| seen.peer == peer && since(now, seen.at) < lasts;
        let waits =
            |seen: &Seen| seen.peer != 0 && seen.peer != peer && since(now, seen.at) < open_for;
        self.marked.iter().any(marked) && self.refused.iter().any(waits)
    }
}

/// Takes a peer out; those behind it move up.
fn take_out(seen: &mut [Seen], peer: u32) {
    let Some(at) = seen.iter().position(|seen| seen.peer == peer) else {
        return;
    };
    if let Some(rest) = seen.get_mut(at..) {
        rest.rotate_left(1);
    }
    if let Some(last) = seen.last_mut() {
        *last = Seen::default();
    }
}
