//! A set of four slots: which answer stands in which, and which one goes when another comes.
//!
//! A hash of the key names the set, and within it the coolest goes, of equals the oldest: each answer comes with how often
//! it was asked for, and that is halved every four seconds ([`super::heat`]). A newcomer always gets a place, so that an
//! upstream with few requests has its answers kept at once; but among newcomers they drive out each other.
//!
//! What was given within the last minute goes last, and does not cool meanwhile: its upstream is down and brings nothing
//! new, and those that are well would have driven out all of it before it gets too old.
//!
//! An answer is dated by when it was asked for, so that a slow one never takes the place of one that was asked for later,
//! nor of the mark that is left where an answer was forgotten.
//!
//! The set is a small record of its own, so that to look for an answer or for a place moves some hundred bytes and not
//! four slots. It only says where to look: what a slot holds, the slot itself says, with its full key.

use crate::record::sealed::{Reader, Writer};
use crate::time::{Span, Timestamp};

/// How many sets there are.
pub const SETS: usize = 64;
const NUMBERS: u64 = SETS as u64;
/// How many slots a set has.
pub(super) const WAYS: usize = 4;
/// An answer is written no oftener than this, over all workers.
pub(super) const REST: Span = Span::secs(1);
/// An answer's heat is halved after each of these.
const HALVED_EVERY: Span = Span::secs(4);
/// What was given later than this ago is still needed.
const NEEDED: Span = Span::secs(60);
/// In the place of a whole key's hash: nothing stands here any more.
const FORGOTTEN: u64 = 0;
const VERSION: u16 = 2;
const MAGIC: [u8; 2] = *b"SS";

/// What stands in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// A hash of the key without what `Vary` adds.
    pub(super) key: u64,
    /// A hash of the whole key.
    pub(super) whole: u64,
    /// When it was asked for, or asked for when the answer was that it is forgotten.
    at: Timestamp,
    /// How often it was asked for when it was kept.
    heat: u8,
    /// When it was given last; 0 for never.
    given: Timestamp,
}

/// What stands in the slots of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    ways: [Option<Way>; WAYS],
}

/// The number of the set in which a key's answers stand.
pub(super) fn number(key: u64) -> usize {
    usize::try_from(key % NUMBERS).unwrap_or(0)
}

impl Way {
    fn is_needed(&self, now: Timestamp) -> bool {
        self.given > Timestamp::ZERO && now.since(self.given) < NEEDED
    }

    fn heat_at(&self, now: Timestamp) -> u8 {
        let age = now.since(self.given.max(self.at)).as_nanos();
        let halvings = age.checked_div(HALVED_EVERY.as_nanos()).unwrap_or(0);
        let shift = u32::try_from(halvings).unwrap_or(u32::MAX);
        self.heat.checked_shr(shift).unwrap_or(0)
    }
}

impl Set {
    /// A place for an answer that was asked for at `at`, and so often of late, taken from the coolest where there is none;
    /// nothing if one is there that was asked for later, or less than a second earlier.
    pub(super) fn place(
        &mut self,
        (key, whole): (u64, u64),
        at: Timestamp,
        heat: u8,
        now: Timestamp,
    ) -> Option<usize> {
        let same = |way: &Option<Way>| way.is_some_and(|way| (way.key, way.whole) == (key, whole));
        let found = self.ways.iter().position(same);
        let known = found.and_then(|place| *self.ways.get(place)?);
        let mut ways = self.ways.iter().flatten();
        let forgotten = |way: &Way| (way.key, way.whole) == (key, FORGOTTEN) && at <= way.at;
        if known.is_some_and(|way| at.since(way.at) < REST) || ways.any(forgotten) {
            return None;
        }
        let coolest = || {
            let ways = self.ways.iter().enumerate();
            // Nothing at all is less than anything.
            let rank = |way: Way| (way.is_needed(now), way.heat_at(now), way.at);
            let first = ways.min_by_key(|(_, way)| way.map(rank));
            first.map(|(place, _)| place)
        };
        let place = found.or_else(coolest)?;
        *self.ways.get_mut(place)? = Some(Way {
            key,
            whole,
            at,
            heat,
            given: known.map_or(Timestamp::ZERO, |way| way.given),
        });
        Some(place)
    }

    /// What stands in this place is given; says whether that is worth writing down.
    pub(super) fn give(&mut self, place: usize, now: Timestamp) -> bool {
        let Some(Some(way)) = self.ways.get_mut(place) else {
            return false;
        };
        let due = now.since(way.given) >= REST;
        if due {
            way.given = now;
        }
        due
    }

    /// Where answers under this key stand, the latest first.
    pub(super) fn places(&self, key: u64) -> impl Iterator<Item = usize> {
        let mut before = None;
        std::iter::from_fn(move || {
            let ways = self.ways.iter().enumerate();
            let known = ways.filter_map(|(place, way)| Some((way.as_ref()?, place)));
            let next = known
                .filter(|(way, _)| way.key == key && way.whole != FORGOTTEN)
                .map(|(way, place)| (way.at, place))
                .filter(|found| before.is_none_or(|before| *found < before))
                .max();
            before = next.or(before);
            next.map(|(_, place)| place)
        })
    }

    /// Forgets what stands under this key and was not asked for later; says whether there was something.
    pub(super) fn forget(&mut self, key: u64, at: Timestamp) -> bool {
        let mut forgot = false;
        for way in self.ways.iter_mut().flatten() {
            if way.key == key && way.whole != FORGOTTEN && way.at <= at {
                *way = Way {
                    key,
                    whole: FORGOTTEN,
                    at,
                    heat: 0,
                    given: Timestamp::ZERO,
                };
                forgot = true;
            }
        }
        forgot
    }

    /// The bytes for shared data.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for way in &self.ways {
            out.maybe(way.map(|way| way.at));
            let (key, whole) = way.map_or((0, 0), |way| (way.key, way.whole));
            out.u64(key);
            out.u64(whole);
            out.u8(way.map_or(0, |way| way.heat));
            out.u64(way.map_or(0, |way| way.given.as_nanos()));
        }
        out.sealed(VERSION)
    }

    /// Reads what [`Set::encode`] wrote; nothing if a later version did. What is damaged is as empty.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        match Reader::open(bytes, MAGIC) {
            Some((version, _)) if version > VERSION => None,
            Some((VERSION, mut reader)) => Some(read(&mut reader).unwrap_or_default()),
            Some(_) | None => Some(Self::default()),
        }
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Set> {
    let mut set = Set::default();
    for place in &mut set.ways {
        let at = reader.maybe()?;
        let (key, whole, heat) = (reader.u64()?, reader.u64()?, reader.u8()?);
        let given = reader.time()?;
        *place = at.map(|at| Way {
            key,
            whole,
            at,
            heat,
            given,
        });
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::nanos(1).after(Span::millis(ms))
    }

    fn put(set: &mut Set, key: u64, whole: u64, heat: u8, now: Timestamp) -> Option<usize> {
        set.place((key, whole), now, heat, now)
    }

    #[test]
    fn the_coolest_goes_and_of_equals_the_oldest_and_a_known_one_keeps_its_place() {
        let mut set = Set::default();
        for (order, key) in [1_u64, 2, 3, 4].into_iter().enumerate() {
            assert_eq!(put(&mut set, key, key, 1, at(order as u64)), Some(order));
        }
        assert_eq!(put(&mut set, 1, 1, 1, at(2_000)), Some(0));
        assert_eq!(
            put(&mut set, 5, 5, 9, at(2_001)),
            Some(1),
            "2 was the oldest"
        );
        assert_eq!(set.places(2).count(), 0);
        assert_eq!(set.places(5).collect::<Vec<_>>(), [1]);
        for key in 6..20 {
            put(&mut set, key, key, 8, at(2_000 + key));
        }
        assert_eq!(set.places(5).count(), 1, "the hottest stays");
    }

    #[test]
    fn an_answer_is_written_once_a_second() {
        let mut set = Set::default();
        let writes = (0..10_000).filter(|ms| put(&mut set, 1, 1, 1, at(*ms)).is_some());
        assert_eq!(writes.count(), 10);
    }

    #[test]
    fn a_crawler_does_not_wash_out_a_hot_answer_until_it_has_cooled() {
        let mut set = Set::default();
        for second in 0..30 {
            assert!(put(&mut set, 1, 1, 50, at(second * 1_000)).is_some());
            for page in 0..1_000 {
                let url = 1_000 + second * 1_000 + page;
                put(&mut set, url, url, 3, at(second * 1_000 + page)).unwrap();
                assert_eq!(set.places(1).count(), 1, "second {second}");
            }
        }
        // Nobody asks for it any more.
        for url in 0..5 {
            put(&mut set, 90_000 + url, 90_000 + url, 3, at(50_000 + url));
        }
        assert_eq!(set.places(1).count(), 0);
    }

    #[test]
    fn what_is_given_is_written_down_once_a_second_and_is_the_last_to_go() {
        let mut set = Set::default();
        for key in 1..=4 {
            put(&mut set, key, key, 9, at(key));
        }
        put(&mut set, 1, 1, 1, at(1_500));
        let writes = (1_500..11_500).filter(|ms| set.give(0, at(*ms)));
        assert_eq!(writes.count(), 10);
        for ms in 11_500..70_000 {
            put(&mut set, ms, ms, 200, at(ms));
            assert_eq!(set.places(1).count(), 1, "{ms}");
        }
        put(&mut set, 1, 1, 1, at(70_000));
        put(&mut set, 5, 5, 1, at(70_001));
        assert_eq!(set.places(1).count(), 1, "kept anew it is needed still");
        for ms in 70_500..71_500 {
            put(&mut set, ms, ms, 2, at(ms));
        }
        assert_eq!(set.places(1).count(), 0, "nobody asked for a minute");
    }

    #[test]
    fn variants_of_a_key_stand_side_by_side_the_latest_first_and_go_together() {
        let mut set = Set::default();
        put(&mut set, 1, 10, 1, at(0));
        put(&mut set, 2, 20, 1, at(1));
        put(&mut set, 1, 11, 1, at(2));
        assert_eq!(set.places(1).collect::<Vec<_>>(), [2, 0]);
        assert!(set.forget(1, at(3)));
        assert!(!set.forget(1, at(3)));
        assert_eq!(set.places(1).count(), 0);
        assert_eq!(set.places(2).count(), 1);
    }

    #[test]
    fn a_set_reads_back_and_what_is_damaged_is_empty() {
        let mut set = Set::default();
        put(&mut set, 1, 10, 1, at(0));
        put(&mut set, 2, 20, 1, at(1_500));
        put(&mut set, 1, 10, 1, at(1_500));
        assert!(set.give(0, at(1_600)));
        set.forget(2, at(1_700));
        let bytes = set.encode();
        assert_eq!(Set::decode(&bytes), Some(set));
        for length in 0..bytes.len() {
            assert_eq!(Set::decode(&bytes[..length]), Some(Set::default()));
        }
        let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
        assert_eq!(Set::decode(&later), None);
    }
}
