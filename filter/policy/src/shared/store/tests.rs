//! The protocol against a store that behaves as Envoy's: any interleaving of writers, lost races, hostile statuses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;
use crate::breaker::window::Geometry;
use crate::outcome::stall::Stalls;
use crate::shared::record::{Record, RecordShape};
use crate::shared::upstream::{Committed, update};
use crate::time::{Span, Timestamp};

const KEY: Key<Record> = Key::test("key");

/// Shared data as Envoy keeps it: one counter for all keys, which is never 0; a swap against 0 always wins, one on an
/// absent key succeeds whatever the number.
#[derive(Default)]
pub(crate) struct Memory {
    entries: RefCell<BTreeMap<String, Found>>,
    counter: Cell<u32>,
    /// Somebody else writes before so many swaps.
    intrusions: Cell<u32>,
    refuses: Cell<bool>,
    read_only: Cell<bool>,
}

impl Memory {
    /// The host refuses from now on, or no longer.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.set(refuses);
    }

    /// The host lets nothing be written from now on, or no longer.
    pub(crate) fn read_only(&self, read_only: bool) {
        self.read_only.set(read_only);
    }

    /// All keys and how many bytes stand under each.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (String, usize)> {
        let entries = self.entries.borrow();
        let sizes = entries
            .iter()
            .map(|(key, found)| (key.clone(), found.bytes.len()));
        sizes.collect::<Vec<_>>().into_iter()
    }

    /// Puts something under a key, whatever stands there.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.swap(key, bytes, 0).expect("the host takes it");
    }

    /// Somebody else comes in between, so many times.
    pub(crate) fn intrude(&self, times: u32) {
        self.intrusions.set(times);
    }
}

impl SharedStore for Memory {
    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        if self.refuses.get() {
            return Err(HostError(10));
        }
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        if self.read_only.get() {
            return Err(HostError(10));
        }
        let mut entries = self.entries.borrow_mut();
        if self.intrusions.get() > 0 {
            self.intrusions.set(self.intrusions.get() - 1);
            if let Some(found) = entries.get_mut(key) {
                self.counter.set(self.counter.get() + 1);
                found.cas = self.counter.get();
            }
        }
        if entries
            .get(key)
            .is_some_and(|found| cas != 0 && found.cas != cas)
        {
            return Ok(false);
        }
        self.counter.set(self.counter.get() + 1);
        let found = Found {
            bytes: bytes.to_vec(),
            cas: self.counter.get(),
        };
        entries.insert(key.to_owned(), found);
        Ok(true)
    }
}

const CLAIM: RecordShape = RecordShape {
    configured_at: Timestamp::ZERO,
    ahead: Span::MAX,
    alone: true,
    longest: Span::MAX,
    counting: true,
    geometry: Geometry::time(Span::secs(10)),
    slice: Some(Span::secs(1)),
};

fn bump(store: &Memory) -> Result<Committed, Undecided> {
    update(store, &KEY, &CLAIM, Timestamp::ZERO, &mut |record| {
        record.breaker.trips += 1;
        Change::Store
    })
}

fn trips(store: &Memory) -> u32 {
    let mut trips = 0;
    update(store, &KEY, &CLAIM, Timestamp::ZERO, &mut |record| {
        trips = record.breaker.trips;
        Change::Nothing
    })
    .unwrap();
    trips
}

#[test]
fn a_lost_race_is_run_again_on_what_the_other_wrote() {
    let store = Memory::default();
    assert!(bump(&store).unwrap().stands);
    store.intrusions.set(5);
    assert!(bump(&store).unwrap().stands);
    assert_eq!(trips(&store), 2);
}

#[test]
fn after_so_many_lost_races_the_step_is_given_up_and_says_so() {
    let store = Memory::default();
    bump(&store).unwrap();
    store.intrusions.set(TRIES);
    assert!(!bump(&store).unwrap().stands);
    assert_eq!(
        store.intrusions.get(),
        0,
        "it tried as often as it may, not more"
    );
    assert_eq!(trips(&store), 1);
}

#[test]
fn damage_is_replaced_a_later_version_is_left_alone_and_a_host_that_refuses_is_told() {
    let store = Memory::default();
    store.swap("key", b"rubbish", 0).unwrap();
    assert!(bump(&store).unwrap().healed);
    assert_eq!(trips(&store), 1);

    store.refuses.set(true);
    assert_eq!(bump(&store), Err(Undecided::Host(HostError(10))));
}

#[test]
fn an_emptied_key_is_absent() {
    let store = Memory::default();
    store.swap("key", b"", 0).unwrap();
    assert_eq!(trips(&store), 0);
    assert!(bump(&store).unwrap().stands);
}

#[test]
fn a_record_of_a_later_version_is_left_alone_and_no_step_is_run_on_it() {
    let store = Memory::default();
    let later = crate::shared::envelope::Writer::new(*b"SW", 4).sealed(4);
    store.put("key", &later);
    let never = |_: &mut Stored<Record>| -> Change { panic!("nobody knows what stands there") };
    assert_eq!(store.update(&KEY, never), Err(Undecided::Later));
    assert_eq!(store.view(&KEY), Err(Undecided::Later));
    assert_eq!(store.load("key").unwrap().unwrap().bytes, later);
}

#[test]
fn records_of_every_kind_change_by_the_same_rules() {
    const STALLS: Key<Stalls> = Key::test("k");
    let store = Memory::default();
    let ended = |store: &Memory, nanos| {
        let mut runs = 0;
        let stands = store.update(&STALLS, |stored| {
            runs += 1;
            Change::stored_if(stored.or_empty().ended(Timestamp::nanos(nanos)))
        });
        (stands, runs)
    };
    assert!(store.view(&STALLS).unwrap().is_absent());
    assert_eq!(ended(&store, 0), (Ok(true), 1));
    assert_eq!(store.load("k"), Ok(None), "nothing had to be stored");
    assert_eq!(ended(&store, 1), (Ok(true), 1));
    store.intrude(3);
    assert_eq!(
        ended(&store, 2),
        (Ok(true), 4),
        "a lost swap is tried again"
    );
    let mut expected = Stalls::default();
    expected.ended(Timestamp::nanos(2));
    assert_eq!(store.view(&STALLS).unwrap().record, Some(expected));
    store.intrude(TRIES);
    assert_eq!(ended(&store, 3), (Ok(false), TRIES));
    store.put("k", b"rubbish");
    assert!(store.view(&STALLS).unwrap().damaged);
    let emptied = store.update(&STALLS, |stored| {
        stored.record = None;
        Change::Store
    });
    assert_eq!(emptied, Ok(true));
    assert!(store.view(&STALLS).unwrap().is_absent());
}
