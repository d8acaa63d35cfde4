//! A set of slots: which answer stands in which, and which one goes when another comes.
//!
//! The coolest goes: each answer comes with how often it was asked for ([`super::frequency`]), each time it is kept anew counts
//! one more, and that is halved for each minute in which nobody asked. Of equals the last to come goes. So a newcomer always
//! gets a place, and an upstream with few requests has its answers kept at once; but newcomers drive out each other, and
//! what is asked for at least once a minute stays, however many URLs are asked for once.
//!
//! What was given within the last minute goes last, and does not cool meanwhile: its upstream is down and brings nothing
//! new, and those that are well would have driven out all of it before it gets too old.
//!
//! An answer is dated by when it was asked for, so that a slow one never takes the place of one that was asked for later,
//! nor of the mark that is left where an answer was forgotten.
//!
//! The set is a small record of its own, so that to look for an answer or for a place moves some hundred bytes and not all
//! slots. It only says where to look: what a slot holds, the slot itself says, with its full key.

use std::cmp::Reverse;

use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::{Span, Timestamp};

/// How many slots a set has.
pub(super) const WAYS: usize = 16;
/// The most answers of one key, each for other values of what `Vary` names: clients choose those.
const VARIANTS_MAX: usize = 8;
/// An answer is written no oftener than this, over all workers.
pub(super) const REST: Span = Span::secs(1);
/// An answer's heat is halved after each of these in which nobody asked for it.
const HALVED_EVERY: Span = Span::secs(60);
/// Heat is counted in parts of a request.
const PARTS: u16 = 16;
/// What was given later than this ago is still needed.
const NEEDED: Span = Span::secs(60);
/// In the place of a whole key's hash: nothing stands here any more.
const FORGOTTEN: u64 = 0;
const VERSION: u16 = 3;
const MAGIC: [u8; 2] = *b"SS";

/// An answer that is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// A hash of the key without what `Vary` adds.
    pub(super) key: u64,
    /// A hash of the whole key.
    pub(super) whole: u64,
    /// Whether the answer is for all.
    pub(super) for_all: bool,
    /// When it was asked for, or asked for when the answer was that it is forgotten.
    pub(super) at: Timestamp,
}

/// What stands in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    entry: Entry,
    /// When the first answer under this whole key came.
    since: Timestamp,
    /// How often it was asked for when it was kept, in parts.
    heat: u16,
    /// When it was given last; 0 for never.
    given: Timestamp,
}

/// What stands in the slots of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    ways: [Option<Way>; WAYS],
}

impl Entry {
    #[inline(never)]
    fn is(&self, other: &Self) -> bool {
        (self.key, self.whole) == (other.key, other.whole)
    }
}

impl Way {
    fn is_needed(&self, now: Timestamp) -> bool {
        self.given > Timestamp::ZERO && now.since(self.given) < NEEDED
    }

    /// Who goes first goes by this: the least.
    #[inline(never)]
    fn rank(&self, now: Timestamp) -> (bool, u16, Reverse<Timestamp>) {
        let heat = self.heat_at(now);
        (self.is_needed(now), heat, Reverse(self.since))
    }

    /// Its heat in whole halvings: the same for a minute, so that of two that were asked for once within it the first
    /// stays.
    fn heat_at(&self, now: Timestamp) -> u16 {
        let idle = now.since(self.given.max(self.entry.at)).as_nanos();
        let halvings = idle.checked_div(HALVED_EVERY.as_nanos()).unwrap_or(0);
        let shift = u32::try_from(halvings).unwrap_or(u32::MAX);
        self.heat.checked_shr(shift).unwrap_or(0)
    }

    /// Its heat once it is asked for again: what is left of it, between two halvings in proportion, and one.
    fn heat_again(&self, now: Timestamp) -> u16 {
        let minute = HALVED_EVERY.as_nanos();
        let idle = now.since(self.given.max(self.entry.at)).as_nanos();
        let rest = idle.checked_rem(minute).unwrap_or(0);
        let whole = u64::from(self.heat_at(now));
        let lost = (whole / 2).saturating_mul(rest).checked_div(minute);
        let left = whole.saturating_sub(lost.unwrap_or(0));
        u16::try_from(left)
            .unwrap_or(u16::MAX)
            .saturating_add(PARTS)
    }
}

impl Set {
    /// A place for an answer that was asked for so often of late, taken from the coolest where there is none; nothing if one
    /// is there that was asked for later, or less than a second earlier.
    pub(super) fn place(&mut self, entry: Entry, heat: u8, now: Timestamp) -> Option<usize> {
        let same = |way: &Option<Way>| way.is_some_and(|way| way.entry.is(&entry));
        let found = self.ways.iter().position(same);
        let known = found.and_then(|place| *self.ways.get(place)?);
        let mut ways = self.ways.iter().flatten();
        let forgotten = |way: &Way| {
            let mark = Entry {
                whole: FORGOTTEN,
                ..entry
            };
            way.entry.is(&mark) && way.entry.for_all == entry.for_all && entry.at <= way.entry.at
        };
        let rests = known.is_some_and(|way| entry.at.since(way.entry.at) < REST);
        if rests || ways.any(forgotten) {
            return None;
        }
        let place = found.or_else(|| self.coolest(entry.key, now))?;
        let heat = u16::from(heat).saturating_mul(PARTS);
        *self.ways.get_mut(place)? = Some(Way {
            entry,
            since: known.map_or(now, |way| way.since),
            heat: known.map_or(heat, |way| heat.max(way.heat_again(now))),
            given: known.map_or(Timestamp::ZERO, |way| way.given),
        });
        Some(place)
    }

    /// The place that a newcomer under this key gets: among those of its own key, if these are as many as they may be.
    fn coolest(&self, key: u64, now: Timestamp) -> Option<usize> {
        let own = |way: &Way| way.entry.key == key;
        let crowded = self.ways.iter().flatten().filter(|way| own(way)).count() >= VARIANTS_MAX;
        let ways = self.ways.iter().enumerate();
        let open = ways.filter(|(_, way)| !crowded || way.as_ref().is_some_and(own));
        // Nothing at all is less than anything.
        let first = open.min_by_key(|(_, way)| way.as_ref().map(|way| way.rank(now)));
        first.map(|(place, _)| place)
    }

    /// What stands in this place is given, if it is an answer of this key; says whether that is worth writing down.
    pub(super) fn give(&mut self, place: usize, key: u64, now: Timestamp) -> bool {
        let Some(Some(way)) = self.ways.get_mut(place) else {
            return false;
        };
        let due = way.entry.key == key && now.since(way.given) >= REST;
        if due {
            way.given = now;
        }
        due
    }

    /// Where answers under this key stand, the latest first; `per_client`: only those for all.
    pub(super) fn places(&self, key: u64, per_client: bool) -> impl Iterator<Item = usize> {
        let mut before = None;
        std::iter::from_fn(move || {
            let ways = self.ways.iter().enumerate();
            let known = ways.filter_map(|(place, way)| Some((way.as_ref()?.entry, place)));
            let next = known
                .filter(|(entry, _)| entry.key == key && entry.whole != FORGOTTEN)
                .filter(|(entry, _)| entry.for_all || !per_client)
                .map(|(entry, place)| (entry.at, place))
                .filter(|found| before.is_none_or(|before| *found < before))
                .max();
            before = next.or(before);
            next.map(|(_, place)| place)
        })
    }

    /// Forgets what stands under this key and was not asked for later, `per_client` only what is for all; says whether
    /// there was something.
    pub(super) fn forget(&mut self, key: u64, per_client: bool, at: Timestamp) -> bool {
        let mut forgot = false;
        for way in self.ways.iter_mut().flatten() {
            let entry = way.entry;
            let is_its = entry.key == key && (entry.for_all || !per_client);
            if is_its && entry.whole != FORGOTTEN && entry.at <= at {
                *way = Way {
                    entry: Entry {
                        whole: FORGOTTEN,
                        at,
                        ..entry
                    },
                    since: at,
                    heat: 0,
                    given: Timestamp::ZERO,
                };
                forgot = true;
            }
        }
        forgot
    }
}

impl SharedRecord for Set {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for way in &self.ways {
            out.maybe(way.map(|way| way.entry.at));
            let Some(way) = way else {
                continue;
            };
            out.u64(way.entry.key);
            out.u64(way.entry.whole);
            out.u8(u8::from(way.entry.for_all));
            out.u64(way.since.as_nanos());
            out.u16(way.heat);
            out.u64(way.given.as_nanos());
        }
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::of(bytes, MAGIC, VERSION)?;
        read(&mut reader).ok_or(Unreadable::Damaged)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Set> {
    let mut set = Set::default();
    for place in &mut set.ways {
        if let Some(at) = reader.maybe()? {
            *place = Some(read_way(reader, at)?);
        }
    }
    Some(set)
}

#[inline(never)]
fn read_way(reader: &mut Reader<'_>, at: Timestamp) -> Option<Way> {
    let entry = Entry {
        key: reader.u64()?,
        whole: reader.u64()?,
        for_all: reader.flag()?,
        at,
    };
    Some(Way {
        entry,
        since: reader.time()?,
        heat: reader.u16()?,
        given: reader.time()?,
    })
}

#[cfg(test)]
mod tests;
