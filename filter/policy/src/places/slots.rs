//! Places for each value of a header: a fixed number of slots, so that nothing is ever registered for good.
//!
//! A value has a tag, its hash, and may use any of eight slots that follow from it; whose places a slot holds stands in
//! its record. A slot where nothing is in flight is anybody's. Who finds none shares the *rest*, one more slot for all of
//! them. There are twice as many slots as values are promised one: with as many as that, of 100 values at the same time 14
//! share the rest if each may use four, and with twice as many and eight it is one in 2,000 (Azar, Broder, Karlin, Upfal,
//! "Balanced allocations", 1999). A flood of values that nobody ever used before takes idle slots and the rest, never one
//! that is in use.
//!
//! **What is not exact:** a value may hold places in more than one slot for as long as requests last that came before it
//! moved, if one of its candidates became idle between the looks of two VMs, or if it was in the rest before. Each slot
//! by itself is within the bound always, so a value never has more than nine times the places, and never for longer than
//! its requests take: who comes next is led to the first slot that is its own.

use super::{Asked, Holding, Notes, Taking, glance, steps};
use crate::keys;
use crate::share::mixed;
use crate::store::SharedStore;

/// How many values have a slot unless something else is asked for.
pub const VALUES: u32 = 100;
/// The most that can be asked for: each slot is a key in shared data, and is looked at in every tick while any is in use.
pub const VALUES_MAX: u32 = 1_000;
/// How many slots a value may use.
const CHOICES: u32 = 8;

/// How many slots there are for so many values.
pub const fn all(values: u32) -> u32 {
    let values = if values > VALUES_MAX {
        VALUES_MAX
    } else {
        values
    };
    values.saturating_mul(2)
}

/// One of the slots under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// One for a single value at a time.
    Own(u32),
    /// The one that all others share.
    Rest,
}

impl Slot {
    /// Its key in shared data.
    pub fn key(self, prefix: &str) -> String {
        match self {
            Self::Own(number) => keys::slot(prefix, Some(number)),
            Self::Rest => keys::slot(prefix, None),
        }
    }
}

/// The tag of a header's value: FNV-1a with the finaliser of MurmurHash3, so that every bit of the value changes which
/// slots it may use. Never 0, which says "nobody".
pub fn tag(value: &[u8]) -> u64 {
    let hash = value.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)).max(1)
}

/// Takes a place for a request with this tag, in its own slot or the rest. `holding` says what this VM holds in a slot;
/// that of `asked` does not matter. The place goes back under the key of the slot that is returned.
pub fn take(
    store: &impl SharedStore,
    prefix: &str,
    values: u32,
    asked: &Asked,
    holding: &dyn Fn(Slot) -> Holding,
) -> (Slot, Taking, Notes) {
    let count = all(values);
    // Somebody may take a slot between the look and the step, which is seen by the tag; each time another one did.
    for _ in 0..CHOICES {
        let slot = asked
            .tag
            .and_then(|tag| choose(store, prefix, count, tag))
            .map_or(Slot::Rest, Slot::Own);
        let (taking, notes) = take_in(store, prefix, slot, asked, holding);
        if taking != Taking::Elsewhere {
            return (slot, taking, notes);
        }
    }
    let (taking, notes) = take_in(store, prefix, Slot::Rest, asked, holding);
    (Slot::Rest, taking, notes)
}

fn take_in(
    store: &impl SharedStore,
    prefix: &str,
    slot: Slot,
    asked: &Asked,
    holding: &dyn Fn(Slot) -> Holding,
) -> (Taking, Notes) {
    let asked = Asked {
        holding: holding(slot),
        tag: asked.tag.filter(|_| slot != Slot::Rest),
        ..*asked
    };
    steps::take(store, &slot.key(prefix), &asked)
}

/// The slot that is the tag's, else the first one that is idle.
fn choose(store: &impl SharedStore, prefix: &str, count: u32, tag: u64) -> Option<u32> {
    let mut idle = None;
    for choice in 0..CHOICES {
        let slot = candidate(tag, choice, count);
        let Some(places) = glance(store, &Slot::Own(slot).key(prefix)) else {
            continue;
        };
        if places.tag == tag {
            return Some(slot);
        }
        if places.in_flight() == 0 {
            idle = idle.or(Some(slot));
        }
    }
    idle
}

/// One of the slots that a tag may use: each choice is a draw of its own.
fn candidate(tag: u64, choice: u32, count: u32) -> u32 {
    let bits = mixed((tag ^ (tag >> 32)) as u32, choice);
    (u64::from(bits).saturating_mul(u64::from(count.max(1))) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{Bound, Place, Returned, give_back};
    use crate::priority::Priority;
    use crate::store::tests::Memory;
    use crate::time::Timestamp;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp::nanos(5);

    /// One VM.
    #[derive(Default)]
    struct Vm {
        store: Memory,
        held: RefCell<BTreeMap<Slot, u32>>,
    }

    impl Vm {
        fn take(&self, value: &str, places_max: u32) -> (Slot, Taking) {
            let bound = Bound {
                places_max: Some(places_max),
                limit: None,
            };
            let asked = Asked {
                holding: Holding::default(),
                spare: 99,
                priority: Priority::Critical,
                bound,
                tag: Some(tag(value.as_bytes())),
                load: None,
                now: NOW,
            };
            let holding = |slot| Holding {
                instance: 7,
                held: self.held.borrow().get(&slot).copied().unwrap_or(0),
            };
            let (slot, taking, notes) = take(&self.store, "k", VALUES, &asked, &holding);
            assert!(notes.stands() && !notes.expired);
            if let Taking::Taken(_) = taking {
                *self.held.borrow_mut().entry(slot).or_default() += 1;
            }
            (slot, taking)
        }

        fn give_back(&self, slot: Slot, place: Place) {
            *self.held.borrow_mut().get_mut(&slot).unwrap() -= 1;
            let returned = Returned {
                place,
                sample: None,
            };
            assert!(give_back(&self.store, &slot.key("k"), &returned, NOW).stands());
        }

        /// As many as there are.
        fn flood(&self, value: &str, places_max: u32) -> Vec<(Slot, Place)> {
            let mut taken = Vec::new();
            while let (slot, Taking::Taken(place)) = self.take(value, places_max) {
                taken.push((slot, place));
            }
            taken
        }
    }

    #[test]
    fn one_that_floods_takes_none_of_anothers_places() {
        let vm = Vm::default();
        assert_eq!(vm.flood("bad", 5).len(), 5);
        for value in ["a", "b", "c"] {
            let taken = vm.flood(value, 5);
            assert_eq!(taken.len(), 5, "{value}");
            let own = taken[0].0;
            assert!(own != Slot::Rest && taken.iter().all(|(slot, _)| *slot == own));
        }
        assert!(matches!(
            vm.take("bad", 5).1,
            Taking::Full {
                in_flight: 5,
                limit: 5,
                bulkhead: true
            }
        ));
    }

    #[test]
    fn slots_are_anybodys_once_they_are_idle_and_nothing_is_kept() {
        let vm = Vm::default();
        for value in 0..10_000 {
            let (slot, taking) = vm.take(&value.to_string(), 1);
            let Taking::Taken(place) = taking else {
                panic!("{value}: {taking:?}");
            };
            assert_ne!(slot, Slot::Rest);
            vm.give_back(slot, place);
        }
        let keys: Vec<_> = vm.held.borrow().keys().copied().collect();
        assert!(
            keys.len() <= all(VALUES) as usize && vm.held.borrow().values().all(|held| *held == 0)
        );
    }

    #[test]
    fn who_finds_no_slot_shares_the_rest_and_those_in_use_stay_whose_they_are() {
        let vm = Vm::default();
        let mut own = BTreeMap::new();
        for value in 0..1_000 {
            let (slot, taking) = vm.take(&value.to_string(), 10_000);
            assert!(matches!(taking, Taking::Taken(_)));
            if let Slot::Own(number) = slot {
                let before = own.insert(number, value);
                assert_eq!(before, None, "a slot was taken from somebody");
            }
        }
        assert_eq!(own.len(), all(VALUES) as usize, "all are used");
        for (number, value) in own {
            assert_eq!(vm.take(&value.to_string(), 10_000).0, Slot::Own(number));
        }
        assert_eq!(vm.take("new", 10_000).0, Slot::Rest);
    }

    #[test]
    fn as_many_values_as_are_promised_a_slot_have_one() {
        let mut in_the_rest = 0;
        for round in 0..100 {
            let vm = Vm::default();
            for value in 0..VALUES {
                let (slot, _) = vm.take(&format!("tenant {round}/{value}"), 10);
                in_the_rest += u32::from(slot == Slot::Rest);
            }
        }
        // One in 2,000 of 10,000.
        assert!(in_the_rest <= 15, "{in_the_rest}");
    }

    #[test]
    fn candidates_are_slots_and_spread_over_all() {
        let mut seen = [0_u32; 100];
        for value in 0..10_000_u32 {
            for choice in 0..CHOICES {
                seen[candidate(tag(&value.to_le_bytes()), choice, 100) as usize] += 1;
            }
        }
        assert!(
            seen.iter().all(|count| (650..950).contains(count)),
            "{seen:?}"
        );
        assert_eq!(candidate(u64::MAX, 0, 0), 0);
        assert_eq!(all(u32::MAX), 2 * VALUES_MAX);
    }
}
