//! Shared data as Envoy keeps it, with versions; one swap in eight is lost to somebody who came in between.

use std::cell::{Cell, RefCell};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use seawall_policy::shared::record::Record;
use seawall_policy::shared::store::{Found, HostError, SharedStore};

use super::RECORD;

pub(super) struct Memory {
    /// The record, and the notes on responses that stand still.
    entries: [RefCell<Option<Found>>; 2],
    counter: Cell<u32>,
    races: RefCell<ChaCha8Rng>,
}

impl Memory {
    pub(super) fn new(races: ChaCha8Rng) -> Self {
        Self {
            entries: Default::default(),
            counter: Cell::new(0),
            races: RefCell::new(races),
        }
    }

    /// The record as it stands.
    pub(super) fn record(&self) -> Option<Record> {
        let found = self.entry(RECORD.as_str()).borrow();
        Record::decode(&found.as_ref()?.bytes).ok()
    }

    /// Puts a record there, whatever stands there.
    pub(super) fn put(&self, record: &Record) {
        *self.entry(RECORD.as_str()).borrow_mut() = Some(Found {
            bytes: record.encode(),
            cas: self.next(),
        });
    }

    fn entry(&self, key: &str) -> &RefCell<Option<Found>> {
        &self.entries[usize::from(key != RECORD.as_str())]
    }

    fn next(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }
}

impl SharedStore for Memory {
    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        Ok(self.entry(key).borrow().clone())
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        let mut found = self.entry(key).borrow_mut();
        if let Some(found) = &mut *found {
            if self.races.borrow_mut().next_u32() < u32::MAX / 8 {
                found.cas = self.next();
            }
            if found.cas != cas {
                return Ok(false);
            }
        }
        *found = Some(Found {
            bytes: bytes.to_vec(),
            cas: self.next(),
        });
        Ok(true)
    }
}
