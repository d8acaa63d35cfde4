//! Slots by themselves, and against those who choose values to take those of others.

use super::*;
use crate::concurrency::credits::Ahead;
use crate::concurrency::{Returned, release};
use crate::priority::Priority;
use crate::shared::store::tests::Memory;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

static K: Key<InFlightSlots> = Key::test("k");
const NOW: Timestamp = Timestamp::nanos(5);

/// A request with this tag for one of so many slots.
fn asks_for(tag: u64, places_max: u32, now: Timestamp) -> AcquireRequest<'static> {
    AcquireRequest {
        holding: LocalLease::default(),
        priority: Priority::Critical,
        bound: Bound {
            places_max: Some(places_max),
            limit: None,
        },
        tag: Some(tag),
        load: None,
        keep: Span::ZERO,
        dead: &[],
        ahead: Ahead::default(),
        now,
    }
}

/// One VM of a process with this key.
struct Vm {
    store: Memory,
    key: ProcessKey,
    now: Cell<Timestamp>,
    held: RefCell<BTreeMap<Partition, u32>>,
}

impl Default for Vm {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Vm {
    fn of(process: u32) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&process.to_le_bytes());
        Self {
            store: Memory::default(),
            key: ProcessKey::from_bytes(bytes),
            now: Cell::new(NOW),
            held: RefCell::default(),
        }
    }

    fn tag(&self, value: &str) -> u64 {
        tag(Some(&self.key), Some(value.as_bytes()))
    }

    fn take(&self, value: &str, places_max: u32) -> (Partition, Acquired) {
        let (slot, taking, _) = self.acquire(value, places_max);
        (slot, taking)
    }

    fn acquire(
        &self,
        value: &str,
        places_max: u32,
    ) -> (Partition, Acquired, Vec<(Partition, SlotId)>) {
        let asked = asks_for(self.tag(value), places_max, self.now.get());
        let holding = |slot| LocalLease {
            instance: 7,
            quantity: self.held.borrow().get(&slot).copied().unwrap_or(0),
            ..LocalLease::default()
        };
        let PartitionSlots {
            places,
            taking,
            notes,
        } = take(&self.store, &K, VALUES, &asked, &holding);
        assert!(notes.stands() && !notes.expired);
        let places: Vec<_> = places.into_iter().flatten().collect();
        for (slot, _) in &places {
            *self.held.borrow_mut().entry(*slot).or_default() += 1;
        }
        let first = places.first().map_or(Partition::Rest, |(slot, _)| *slot);
        if taking.place().is_none() {
            places
                .iter()
                .for_each(|(slot, place)| self.give_back(*slot, *place));
        }
        (first, taking, places)
    }

    fn give_back(&self, slot: Partition, place: SlotId) {
        *self.held.borrow_mut().get_mut(&slot).unwrap() -= 1;
        let returned = Returned {
            place,
            sample: None,
        };
        assert!(release(&self.store, &slot.key(&K), &returned, self.now.get()).stands());
    }

    /// One request that ends at once; whether it was let in.
    fn pass(&self, value: &str, places_max: u32) -> bool {
        let (_, taking, places) = self.acquire(value, places_max);
        let passed = taking.place().is_some();
        if passed {
            places
                .iter()
                .for_each(|(slot, place)| self.give_back(*slot, *place));
        }
        passed
    }

    /// As many as there are.
    fn flood(&self, value: &str, places_max: u32) -> Vec<(Partition, SlotId)> {
        let mut taken = Vec::new();
        while let (slot, Acquired::Taken(place)) = self.take(value, places_max) {
            taken.push((slot, place));
        }
        taken
    }

    fn wait(&self, span: Span) {
        self.now.set(self.now.get().after(span));
    }
}

#[test]
fn nobody_can_aim_at_another_without_the_key() {
    // Values that take all partitions which a victim may use in a process with one key take them in none with another.
    let known = Vm::of(0);
    let targets: Vec<_> = (0..CHOICES)
        .map(|choice| candidate(known.tag("victim"), choice, all(VALUES)))
        .collect();
    let mut held = BTreeMap::new();
    for number in 0..5_000 {
        let value = format!("attacker {number}");
        match known.acquire(&value, 20) {
            (Partition::Own(own), Acquired::Taken(place), _) => {
                drop(held.insert(own, (value, place)))
            }
            (_, Acquired::Taken(_), places) => places
                .into_iter()
                .for_each(|(slot, place)| known.give_back(slot, place)),
            _ => {}
        }
    }
    assert_eq!(held.len(), all(VALUES) as usize);
    let (aimed, others): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|(own, _)| targets.contains(own));
    for (own, (_, place)) in others {
        known.give_back(Partition::Own(own), place);
    }
    assert_eq!(
        known.take("victim", 20).0,
        Partition::Rest,
        "aimed, with the key"
    );
    let mut shut_out = 0;
    for process in 1..=200 {
        let vm = Vm::of(process);
        for (_, (value, _)) in &aimed {
            vm.take(value, 20);
        }
        shut_out += u32::from(vm.take("victim", 20).0 == Partition::Rest);
    }
    assert_eq!(shut_out, 0, "of 200 processes");
}

#[test]
fn who_asks_now_and_then_keeps_its_partition_against_a_flood_of_newcomers() {
    let (mut kept, mut all_tenants) = (0, 0);
    for process in 0..20 {
        let vm = Vm::of(process);
        let busy = vm.take("busy", 20).0;
        let tenants: Vec<_> = (0..20).map(|number| format!("tenant {number}")).collect();
        for _ in 0..2 {
            tenants
                .iter()
                .for_each(|tenant| assert!(vm.pass(tenant, 20)));
        }
        for number in 0..5_000 {
            vm.take(&format!("flood {number}"), 20);
            if number % 100 == 0 {
                vm.wait(Span::secs(10));
                for tenant in &tenants {
                    kept += u32::from(vm.pass(tenant, 20));
                    all_tenants += 1;
                }
            }
        }
        assert_eq!(vm.take("busy", 20).0, busy);
    }
    // One of 1,000 finds no kept partition of its own, with so few tenants.
    assert!(kept * 200 >= all_tenants * 199, "{kept} of {all_tenants}");
}

#[test]
fn a_value_moves_to_a_kept_partition_once_a_request_of_its_own_has_ended() {
    let is_kept = |slot| matches!(slot, Partition::Own(number) if number % 2 == 1);
    let vm = Vm::default();
    let (first, _, places) = vm.acquire("a", 5);
    assert!(!is_kept(first));
    assert_eq!(vm.take("a", 5).0, first, "one is still in flight");
    for (slot, place) in places {
        vm.give_back(slot, place);
    }
    assert_eq!(vm.take("a", 5).0, first, "as is the second one");

    assert!(vm.pass("b", 5));
    let moved = vm.take("b", 5).0;
    assert!(is_kept(moved));
    assert_eq!(vm.take("b", 5).0, moved);
}

#[test]
fn a_kept_partition_is_nobody_elses_for_its_time_and_then_that_of_who_has_been_there() {
    let vm = Vm::default();
    let both = [0, 1].map(|number| Partition::Own(number).key(&K));
    let choose = |value: &str| choose(&vm.store, &K, 2, vm.tag(value), &[], vm.now.get());
    let pass = |number: usize, value: &str| {
        let asked = AcquireRequest {
            keep: Partition::Own(number as u32).keeps(),
            ..asks_for(vm.tag(value), 9, vm.now.get())
        };
        let (taken, _) = steps::acquire(&vm.store, &both[number], &asked);
        let place = taken.place().expect("a slot");
        let returned = Returned {
            place,
            sample: None,
        };
        assert!(release(&vm.store, &both[number], &returned, vm.now.get()).stands());
    };
    assert_eq!(choose("a"), Some(0), "a newcomer");
    pass(0, "a");
    assert_eq!(choose("a"), Some(1), "it moves");
    pass(1, "a");
    assert_eq!(choose("a"), Some(1));
    pass(0, "b");
    assert_eq!(choose("b"), Some(0), "the other one is kept");
    vm.wait(KEEP);
    assert_eq!(choose("c"), Some(0), "a newcomer takes none that is kept");
    assert_eq!(choose("b"), Some(1), "who has been there does");
}

#[test]
fn a_value_that_fills_its_part_of_the_rest_leaves_it_to_others() {
    let mut shut_out = 0;
    for process in 0..50 {
        let vm = Vm::of(process);
        // Every partition is held.
        let mut owned = 0;
        for number in 0.. {
            let value = format!("holder {number}");
            let (slot, taking, places) = vm.acquire(&value, 8);
            match slot {
                Partition::Own(_) => owned += 1,
                _ if taking.place().is_some() => {
                    places
                        .iter()
                        .for_each(|(slot, place)| vm.give_back(*slot, *place));
                }
                _ => {}
            }
            if owned == all(VALUES) {
                break;
            }
        }
        assert_eq!(vm.flood("bad", 8).len(), 2);
        shut_out += (0..20)
            .filter(|number| !vm.pass(&format!("new {number}"), 8))
            .count();
    }
    // By chance one of 64 is in the same part.
    assert!(shut_out < 40, "{shut_out} of 1,000");
}

#[test]
fn requests_without_the_header_are_a_value_like_any_other() {
    let key = ProcessKey::from_bytes([3; 16]);
    let none = tag(Some(&key), None);
    assert!(none != tag(Some(&key), Some(b"")) && none > 0);
    assert_eq!(tag(None, None), tag(None, Some(b"")));
    assert_ne!(tag(Some(&key), Some(b"a")), tag(None, Some(b"a")));
}

#[test]
fn each_slot_has_a_number_and_a_key_of_its_own() {
    let mut keys = std::collections::BTreeSet::new();
    for number in 0..NUMBERS {
        let slot = Partition::of(number);
        assert_eq!(slot.number(), number, "{slot:?}");
        assert!(keys.insert(slot.key(&K).as_str().to_owned()), "{slot:?}");
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
        assert!(own != Partition::Rest && taken.iter().all(|(slot, _)| *slot == own));
    }
    assert!(matches!(
        vm.take("bad", 5).1,
        Acquired::Full {
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
        let Acquired::Taken(place) = taking else {
            panic!("{value}: {taking:?}");
        };
        assert_ne!(slot, Partition::Rest);
        vm.give_back(slot, place);
    }
    let keys: Vec<_> = vm.held.borrow().keys().copied().collect();
    assert!(keys.len() <= all(VALUES) as usize && vm.held.borrow().values().all(|held| *held == 0));
}

#[test]
fn the_slot_of_a_value_whose_vm_died_is_anybodys() {
    let vm = Vm::default();
    let (one, two) = (vm.tag("one"), vm.tag("two"));
    for (asks, dead, expected) in [(one, &[][..], true), (two, &[], false), (two, &[0], true)] {
        let found = choose(&vm.store, &K, 2, asks, dead, NOW.after(KEEP));
        assert_eq!(found.is_some(), expected, "{dead:?}");
        if let (Some(slot), []) = (found, dead) {
            let asked = asks_for(asks, 9, NOW);
            // Both partitions that there are.
            for slot in [slot, 1 - slot] {
                let key = Partition::Own(slot).key(&K);
                assert!(matches!(
                    steps::acquire(&vm.store, &key, &asked).0,
                    Acquired::Taken(_)
                ));
            }
        }
    }
}

#[test]
fn who_finds_no_slot_shares_the_rest_and_those_in_use_stay_whose_they_are() {
    let vm = Vm::default();
    let mut own = BTreeMap::new();
    for value in 0..1_000 {
        let (slot, taking) = vm.take(&value.to_string(), 10_000);
        assert!(matches!(taking, Acquired::Taken(_)));
        if let Partition::Own(number) = slot {
            let before = own.insert(number, value);
            assert_eq!(before, None, "a slot was taken from somebody");
        }
    }
    assert_eq!(own.len(), all(VALUES) as usize, "all are used");
    for (number, value) in own {
        assert_eq!(
            vm.take(&value.to_string(), 10_000).0,
            Partition::Own(number)
        );
    }
    assert_eq!(vm.take("new", 10_000).0, Partition::Rest);
}

#[test]
fn as_many_values_as_are_promised_a_slot_have_one() {
    let mut in_the_rest = 0;
    for round in 0..100 {
        let vm = Vm::default();
        for value in 0..VALUES {
            let (slot, _) = vm.take(&format!("tenant {round}/{value}"), 10);
            in_the_rest += u32::from(slot == Partition::Rest);
        }
    }
    // One in 2,000 of 10,000.
    assert!(in_the_rest <= 15, "{in_the_rest}");
}

/// How many of so many values share the rest, where others have had the kept partitions and go on asking.
fn in_the_rest_of_a_worn_process(newcomers: u32) -> u32 {
    let mut in_the_rest = 0;
    for process in 0..100 {
        let vm = Vm::of(process);
        let regulars: Vec<_> = (0..VALUES)
            .map(|value| format!("regular {value}"))
            .collect();
        for _ in 0..3 {
            regulars
                .iter()
                .for_each(|value| assert!(vm.pass(value, 10)));
            vm.wait(Span::secs(1));
        }
        for value in 0..newcomers {
            let (slot, _) = vm.take(&format!("new {value}"), 10);
            in_the_rest += u32::from(slot == Partition::Rest);
        }
    }
    in_the_rest
}

#[test]
fn newcomers_beside_as_many_values_as_are_promised_a_slot_have_one_up_to_half_of_that() {
    let half = in_the_rest_of_a_worn_process(VALUES / 2);
    let all = in_the_rest_of_a_worn_process(VALUES);
    println!("of 5,000: {half}, of 10,000: {all}");
    assert!(half <= 100, "{half} of 5,000");
    assert!(all <= 1_500, "{all} of 10,000");
}

#[test]
fn candidates_are_slots_and_spread_over_all() {
    let mut seen = [0_u32; 100];
    for value in 0..10_000_u32 {
        for choice in 0..CHOICES {
            seen[candidate(tag(None, Some(&value.to_le_bytes())), choice, 100) as usize] += 1;
        }
    }
    assert!(
        seen.iter().all(|count| (650..950).contains(count)),
        "{seen:?}"
    );
    assert_eq!(candidate(u64::MAX, 0, 0), 0);
    assert_eq!(all(u32::MAX), 2 * VALUES_MAX);
}
