//! The state of a process as values: typed records under their keys, without bytes, each under a lock for the time of one step.
//!
//! For bodies that live in the process of the proxy, and for tests. Workers on several threads share it. A step works on a copy, so that one that panics
//! leaves its record as it was. A record that is gone leaves no key behind.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::state::{Change, Key, SharedRecord, SharedState, Step, Stored, Undecided};

/// A record, or none where one is about to be written, or was removed.
type Slot = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

/// The state of one process.
#[derive(Default)]
pub struct ValueState(RwLock<HashMap<String, Slot>>);

impl ValueState {
    /// The names of all keys under which something stands.
    pub fn names(&self) -> Vec<String> {
        let records = self.read();
        let standing = records.iter().filter(|(_, slot)| lock(slot).is_some());
        standing.map(|(name, _)| name.clone()).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Slot>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Slot>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        self.read().get(name).map(Arc::clone)
    }

    fn slot_or_new(&self, name: &str) -> Slot {
        self.slot(name).unwrap_or_else(|| {
            let mut records = self.write();
            Arc::clone(records.entry(name.to_owned()).or_default())
        })
    }

    /// Gives the key up, unless somebody holds its slot to write there, or wrote since.
    fn sweep(&self, name: &str) {
        let mut records = self.write();
        let unused = records
            .get(name)
            .is_some_and(|slot| Arc::strong_count(slot) == 1 && lock(slot).is_none());
        if unused {
            records.remove(name);
        }
    }
}

impl fmt::Debug for ValueState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.names()).finish()
    }
}

impl SharedState for ValueState {
    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided> {
        let slot = self.slot(key.as_str());
        Ok(stored(slot.as_ref().map(lock).as_deref()))
    }

    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided> {
        let slot = self.slot_or_new(key.as_str());
        let mut standing = lock(&slot);
        let mut shown = stored(Some(&*standing));
        if step.run(&mut shown) == Change::Store {
            *standing = shown.record.map(|record| Box::new(record) as _);
        }
        let is_gone = standing.is_none();
        drop(standing);
        drop(slot);
        if is_gone {
            self.sweep(key.as_str());
        }
        Ok(true)
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy of what stands in a slot. Something of another kind would be damage: [`super::keys`] makes every key with the type of its record.
fn stored<R: SharedRecord>(standing: Option<&Option<Box<dyn Any + Send>>>) -> Stored<R> {
    let standing = standing.and_then(Option::as_ref);
    let record = standing.and_then(|record| record.downcast_ref::<R>());
    Stored {
        damaged: record.is_none() && standing.is_some(),
        record: record.cloned(),
    }
}

#[cfg(test)]
mod tests;
