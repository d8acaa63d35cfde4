//! Which partitions a tick looks at: those in use, a bounded number at a time.
//!
//! A bulkhead has up to two thousand partitions under each key, and few of them are in use. Those that are stand in an index
//! beside them, one bit each, that every VM reads at its tick: it adds the partitions that it uses itself, and removes those
//! that it found idle. A partition that is missing there is no harm: whoever holds slots in it adds it at its next tick.

use std::collections::BinaryHeap;

use super::partitions::Partition;
use super::partitions::index::Index;
use crate::shared::state::{Change, Key, SharedState};

/// How many keys are looked at in one tick. A look is a read, a step and often a write: a few microseconds.
pub const LOOKS_MAX: u32 = 256;
/// One look at each partition under a key, over as many ticks as it takes.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// What the index said at the start.
    index: Index,
    /// Some may stand twice.
    pending: BinaryHeap<u32>,
    used: Vec<u32>,
    idle: Vec<u32>,
    in_flight: u32,
}

impl Round {
    /// A round over those in the index and those that this VM uses.
    pub fn begin(index: Index, own: impl Iterator<Item = Partition>) -> Self {
        let known = index.numbers().iter().copied();
        let pending = known.chain(own.map(Partition::number)).collect();
        Self {
            index,
            pending,
            ..Self::default()
        }
    }

    /// The next partition to look at.
    pub fn next_slot(&mut self) -> Option<Partition> {
        let next = self.pending.pop()?;
        while self.pending.peek() == Some(&next) {
            self.pending.pop();
        }
        Some(Partition::of(next))
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
    pub fn is_through(&self) -> bool {
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
    pub fn tell(&self, state: &impl SharedState, key: &Key<Index>) -> bool {
        let news = self.used.iter().any(|slot| !self.index.has(*slot))
            || self.idle.iter().any(|slot| self.index.has(*slot));
        if news {
            // What cannot be stored now is told after the next round.
            let _ = state.update(key, |stored| {
                stored.or_empty().turn(&self.used, &self.idle);
                Change::Store
            });
        }
        self.is_any_used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::store::tests::Memory;
    use std::collections::BTreeSet;

    const KEY: Key<Index> = Key::test("k/slot=index");

    /// A whole round of one VM; what is in flight in each partition.
    fn round(
        store: &Memory,
        own: &[Partition],
        busy: &BTreeSet<Partition>,
    ) -> (BTreeSet<Partition>, Round) {
        let mut round = Round::begin(Index::load(store, &KEY), own.iter().copied());
        let mut looked = BTreeSet::new();
        while let Some(slot) = round.next_slot() {
            assert!(looked.insert(slot), "{slot:?} twice");
            round.saw(slot, Some(u32::from(busy.contains(&slot))));
        }
        round.tell(store, &KEY);
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
        assert_eq!(Index::load(&store, &KEY), Index::default());
    }

    #[test]
    fn a_slot_that_cannot_be_looked_at_stays() {
        let store = Memory::default();
        let mut round = Round::begin(Index::default(), [Partition::Own(1)].into_iter());
        let slot = round.next_slot().unwrap();
        round.saw(slot, None);
        assert!(round.tell(&store, &KEY));
        assert_eq!(Index::load(&store, &KEY).numbers(), [2]);
    }
}
