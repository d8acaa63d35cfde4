//! Which partitions a tick looks at: those in use, a bounded number at a time.
//!
//! A bulkhead has up to two thousand partitions under each key, and few of them are in use. Those that are stand in an index
//! beside them, one bit each, that every VM reads at its tick: it adds the partitions that it uses itself, and removes those
//! that it found idle. A partition that is missing there is no harm: whoever holds slots in it adds it at its next tick.

use super::partitions::{NUMBERS, Partition};
use crate::shared::envelope::{Reader, Writer};
use crate::shared::keys;
use crate::shared::store::{SharedStore, exchange};

/// How many keys are looked at in one tick. A look is a read, a step and often a write: a few microseconds.
pub const LOOKS_MAX: u32 = 256;
/// The version of the index' layout.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SI";

/// Slots, by their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(Vec<u32>);

impl Index {
    /// The partitions of this key that are in use; none where that cannot be read.
    pub fn load(store: &impl SharedStore, prefix: &str) -> Self {
        let found = store.load(&key(prefix)).ok().flatten();
        found.map_or_else(Self::default, |found| {
            Self::decode(&found.bytes).unwrap_or_default()
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut reader) = Reader::open(bytes, MAGIC)?;
        if version != VERSION {
            return None;
        }
        let bits = reader.bytes()?;
        let numbers = (0_u32..).zip(bits).flat_map(|(at, byte)| {
            let set = (0..8_u32).filter(move |bit| byte & (1_u8 << bit) != 0);
            set.map(move |bit| at.saturating_mul(8).saturating_add(bit))
        });
        Some(Self(numbers.filter(|number| *number < NUMBERS).collect()))
    }

    fn encode(&self) -> Vec<u8> {
        let last = self.0.iter().max().copied().unwrap_or(0);
        let mut bits = vec![0_u8; (last / 8).saturating_add(1) as usize];
        for number in &self.0 {
            if let Some(byte) = bits.get_mut((number / 8) as usize) {
                *byte |= 1_u8 << (number % 8);
            }
        }
        let mut out = Writer::new(MAGIC, VERSION);
        out.bytes(&bits);
        out.sealed(VERSION)
    }

    fn has(&self, number: u32) -> bool {
        self.0.binary_search(&number).is_ok()
    }
}

fn key(prefix: &str) -> String {
    keys::named_slot(prefix, "index")
}

/// One look at each partition under a key, over as many ticks as it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// What the index said at the start.
    index: Index,
    pending: Vec<u32>,
    used: Vec<u32>,
    idle: Vec<u32>,
    in_flight: u32,
}

impl Round {
    /// A round over those in the index and those that this VM uses.
    pub fn begin(index: Index, own: impl Iterator<Item = Partition>) -> Self {
        let mut pending: Vec<u32> = index
            .0
            .iter()
            .copied()
            .chain(own.map(Partition::number))
            .collect();
        pending.sort_unstable();
        pending.dedup();
        Self {
            index,
            pending,
            ..Self::default()
        }
    }

    /// The next partition to look at.
    pub fn next_slot(&mut self) -> Option<Partition> {
        self.pending.pop().map(Partition::of)
    }

    /// How many are in flight in a partition; `None` where that could not be found out.
    pub fn saw(&mut self, slot: Partition, in_flight: Option<u32>) {
        if slot.counts_all() {
            self.in_flight = self.in_flight.saturating_add(in_flight.unwrap_or(0));
        }
        match in_flight {
            Some(0) => self.idle.push(slot.number()),
            _ => self.used.push(slot.number()),
        }
    }

    /// Whether there is none left to look at.
    pub const fn is_through(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many are in flight in all partitions, once there is none left to look at.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether anything is in flight in any partition, or may be.
    pub const fn is_any_used(&self) -> bool {
        !self.used.is_empty()
    }

    /// Tells the others which partitions are in use; says whether any is.
    pub fn tell(&self, store: &impl SharedStore, prefix: &str) -> bool {
        let news = self.used.iter().any(|slot| !self.index.has(*slot))
            || self.idle.iter().any(|slot| self.index.has(*slot));
        if news {
            // What cannot be stored now is told after the next round.
            let _ = exchange(store, &key(prefix), &mut |bytes| {
                let known = Index::decode(bytes).unwrap_or_default();
                let idle = |slot: &u32| self.idle.contains(slot);
                let mut now: Vec<u32> = known.0.into_iter().filter(|slot| !idle(slot)).collect();
                now.extend(&self.used);
                now.sort_unstable();
                now.dedup();
                Some(Index(now).encode())
            });
        }
        self.is_any_used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::store::tests::Memory;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A whole round of one VM; what is in flight in each partition.
    fn round(
        store: &Memory,
        own: &[Partition],
        busy: &BTreeSet<Partition>,
    ) -> (BTreeSet<Partition>, Round) {
        let mut round = Round::begin(Index::load(store, "k"), own.iter().copied());
        let mut looked = BTreeSet::new();
        while let Some(slot) = round.next_slot() {
            assert!(looked.insert(slot), "{slot:?} twice");
            round.saw(slot, Some(u32::from(busy.contains(&slot))));
        }
        round.tell(store, "k");
        (looked, round)
    }

    #[test]
    fn each_vm_learns_of_the_slots_of_the_others_and_idle_ones_are_forgotten() {
        let store = Memory::default();
        let (one, two) = (Partition::Own(3), Partition::Own(1_999));
        let busy = BTreeSet::from([one, two, Partition::Rest]);
        assert_eq!(round(&store, &[one], &busy).0, BTreeSet::from([one]));
        let (looked, seen) = round(&store, &[two, Partition::Rest, one], &busy);
        assert_eq!((looked, seen.in_flight()), (busy.clone(), 3));
        let third = round(&store, &[], &busy);
        assert_eq!((third.0, third.1.in_flight()), (busy.clone(), 3));
        let left = BTreeSet::from([two]);
        assert_eq!(round(&store, &[], &left).0, busy);
        assert_eq!(round(&store, &[], &left).0, left);
        round(&store, &[], &BTreeSet::new());
        assert_eq!(Index::load(&store, "k"), Index::default());
    }

    #[test]
    fn a_slot_that_cannot_be_looked_at_stays() {
        let store = Memory::default();
        let mut round = Round::begin(Index::default(), [Partition::Own(1)].into_iter());
        let slot = round.next_slot().unwrap();
        round.saw(slot, None);
        assert!(round.tell(&store, "k"));
        assert_eq!(Index::load(&store, "k"), Index(vec![2]));
    }

    #[test]
    fn damage_names_no_slots() {
        let store = Memory::default();
        store.swap("k/slot=index", b"rubbish", 0).unwrap();
        assert_eq!(Index::load(&store, "k"), Index::default());
        let all_set = {
            let mut out = Writer::new(MAGIC, VERSION);
            out.bytes(&[255; 1_024]);
            out.sealed(VERSION)
        };
        store.swap("k/slot=index", &all_set, 0).unwrap();
        assert_eq!(
            Index::load(&store, "k").0.len() as u32,
            NUMBERS,
            "no more than there are"
        );
    }

    proptest! {
        #[test]
        fn an_index_reads_back_as_it_was_written(numbers in prop::collection::btree_set(0..NUMBERS, 0..300)) {
            let index = Index(numbers.into_iter().collect());
            prop_assert_eq!(Index::decode(&index.encode()), Some(index));
        }
    }
}
