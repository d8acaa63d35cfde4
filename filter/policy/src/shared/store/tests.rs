//! The protocol against a store that behaves as Envoy's: any interleaving of writers, lost races, hostile statuses.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;
use crate::breaker::window::Geometry;
use crate::time::Span;

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
    update(store, "key", &CLAIM, Timestamp::ZERO, &mut |record| {
        record.breaker.trips += 1;
        Change::Store
    })
}

fn trips(store: &Memory) -> u32 {
    let mut trips = 0;
    update(store, "key", &CLAIM, Timestamp::ZERO, &mut |record| {
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
fn plain_bytes_are_exchanged_by_the_same_rules() {
    let store = Memory::default();
    let append = |bytes: &[u8]| Some([bytes, b"x"].concat());
    assert_eq!(exchange(&store, "k", &mut |bytes| append(bytes)), Ok(true));
    store.intrude(3);
    let mut tries = 0;
    let mut step = |bytes: &[u8]| {
        tries += 1;
        append(bytes)
    };
    assert_eq!(exchange(&store, "k", &mut step), Ok(true));
    assert_eq!(tries, 4, "a lost swap is tried again");
    assert_eq!(store.load("k").unwrap().unwrap().bytes, b"xx");
    store.intrude(TRIES);
    assert_eq!(exchange(&store, "k", &mut |bytes| append(bytes)), Ok(false));
}
