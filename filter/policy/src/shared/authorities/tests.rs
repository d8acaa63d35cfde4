//! A fixed number of slots, whoever asks for how many authorities; who has one keeps it as long as it is asked for.

use super::*;
use crate::breaker::window::Geometry;
use crate::breaker::{Force, Forced};
use crate::shared::keys::{self, Part};
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;

const START: Timestamp = Timestamp::nanos(5_000_000_000);
const CLAIM: RecordShape = RecordShape {
    ahead: Span::MAX,
    alone: true,
    longest: Span::MAX,
    configured_at: Timestamp::ZERO,
    counting: true,
    geometry: Geometry::time(Span::secs(10)),
    slice: None,
};

const DIRECTORY: Key<Directory> = Key::test("directory");
const EARLY: Key<Record> = Key::test("early");

fn key(slot: u32) -> Key<Record> {
    keys::record("p", "c", Part::Slot(slot))
}

/// The slot of an authority, as a worker asks for it.
fn ask(store: &Memory, id: u64, max: u32, now: Timestamp) -> Option<Found> {
    let mut cleared = |slot, idle| empty(store, &key(slot), CLAIM, idle, now);
    claim(store, &DIRECTORY, id, max, now, &mut cleared).unwrap()
}

fn use_it(store: &Memory, found: Found, id: u64, now: Timestamp) -> bool {
    let known = Remembered {
        slot: found.slot,
        id,
        used: true,
    };
    renew(store, &DIRECTORY, &[known], now).unwrap().is_empty()
}

/// A record in this slot.
fn record(store: &Memory, slot: u32, change: impl FnOnce(&mut Record)) {
    let mut record = Record::new(CLAIM);
    change(&mut record);
    store.put(key(slot).as_str(), &record.encode());
}

fn after(seconds: u64) -> Timestamp {
    START.after(Span::secs(seconds))
}

#[test]
fn each_has_a_slot_of_its_own_and_those_beyond_have_none() {
    let store = Memory::default();
    for id in 1..=3 {
        let found = ask(&store, id, 3, START).unwrap();
        assert_eq!(
            (found.slot, found.reused, found.new),
            (id as u32 - 1, false, true)
        );
        assert!(!ask(&store, id, 3, START).unwrap().new);
    }
    assert_eq!(ask(&store, 4, 3, START), None);
    assert_eq!(ask(&store, 4, 3, after(9)), None, "none is idle yet");
}

#[test]
fn what_is_idle_closed_and_empty_is_given_up_and_what_is_used_never() {
    let store = Memory::default();
    let real = ask(&store, 1, 3, START).unwrap();
    let mut junk = 1_000;
    let mut given = 0;
    for second in 0..600 {
        assert!(use_it(&store, real, 1, after(second)), "second {second}");
        for _ in 0..20 {
            junk += 1;
            if let Some(found) = ask(&store, junk, 3, after(second)) {
                assert_ne!(found.slot, real.slot);
                given += 1;
            }
        }
    }
    assert!(given >= 100, "{given}: junk gives way to others");
    let keys: Vec<_> = store.sizes().collect();
    assert!(keys.len() <= 4, "a fixed number of keys: {keys:?}");
    // A second real one gets a slot as soon as one is idle.
    let other = (600..620).find_map(|second| ask(&store, 2, 3, after(second)));
    assert!(other.is_some_and(|found| found.reused));
}

#[test]
fn a_slot_whose_state_matters_is_kept_for_longer() {
    let open = |record: &mut Record| {
        record.breaker.state = State::Open {
            until: after(1_000_000),
        };
    };
    let counting = |record: &mut Record| {
        if let State::Closed(closed) = &mut record.breaker.state {
            closed.consecutive = 3;
        }
    };
    let forced = |record: &mut Record| {
        let asked = Forced::new(Force::Closed, Span::secs(3_600), "ops", START);
        record.forced = Some(Box::new(asked));
    };
    let changes: [&dyn Fn(&mut Record); 3] = [&open, &counting, &forced];
    for change in changes {
        let store = Memory::default();
        let found = ask(&store, 1, 1, START).unwrap();
        record(&store, found.slot, |record| {
            record.breaker.generation = 7;
            change(record);
        });
        assert_eq!(ask(&store, 2, 1, after(59)), None);
        let other = ask(&store, 2, 1, after(60)).unwrap();
        assert!(other.reused && other.new);
        let known = store.view(&key(other.slot)).unwrap().record.unwrap();
        assert_eq!(known.breaker.generation, 8, "what is settled late is void");
        assert!(matches!(known.breaker.state, State::Closed(_)));
        assert!(
            !use_it(&store, found, 1, after(61)),
            "who had it learns of it"
        );
    }
}

#[test]
fn a_later_version_is_left_alone_and_damage_is_an_empty_directory() {
    let store = Memory::default();
    ask(&store, 1, 2, START).unwrap();
    store.put("directory", b"rubbish");
    assert_eq!(ask(&store, 2, 2, START).map(|found| found.slot), Some(0));
    assert_eq!(ask(&store, 1, 2, START).map(|found| found.slot), Some(1));
    let later = Writer::new(MAGIC, VERSION + 1).sealed(VERSION + 1);
    store.put("directory", &later);
    assert_eq!(ask(&store, 3, 2, START), None);
    assert_eq!(store.load("directory").unwrap().unwrap().bytes, later);
    store.refuse(true);
    let refused = claim(&store, &DIRECTORY, 1, 2, START, &mut |_, _| Ok(true));
    assert_eq!(refused, Err(HostError(10)));
}

#[test]
fn an_opening_that_an_earlier_module_knew_is_not_lost() {
    let store = Memory::default();
    let mut open = Record::new(CLAIM);
    open.breaker.state = State::Open { until: after(30) };
    store.put("early", &open.encode());
    inherit(&store, &key(0), &EARLY).unwrap();
    assert_eq!(store.view(&key(0)).unwrap().record, Some(open));
    inherit(&store, &key(1), &Key::test("nothing")).unwrap();
    assert!(store.view(&key(1)).unwrap().is_absent());
}

#[test]
fn whoever_comes_back_while_its_slot_is_emptied_keeps_it_and_the_next_idle_one_is_taken() {
    let store = Memory::default();
    let first = ask(&store, 1, 2, START).unwrap();
    let second = ask(&store, 2, 2, after(1)).unwrap();
    let mut emptied = Vec::new();
    let mut cleared = |slot, _| {
        emptied.push(slot);
        // The first is asked for again just now.
        if slot == first.slot {
            assert!(use_it(&store, first, 1, after(30)));
        }
        Ok(true)
    };
    let found = claim(&store, &DIRECTORY, 3, 2, after(30), &mut cleared).unwrap();
    assert_eq!(found.map(|found| found.slot), Some(second.slot));
    assert_eq!(emptied, [first.slot, second.slot]);
    assert!(use_it(&store, first, 1, after(31)));
    assert!(
        !use_it(&store, second, 2, after(31)),
        "who had it learns of it"
    );
}
