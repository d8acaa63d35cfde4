//! The state of a process as values: records under their keys, without bytes, under a lock for the time of one step.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_policy::shared::state::{
    Change, Key, SharedRecord, SharedState, Step, Stored, Undecided,
};

/// Records by the names of their keys.
type Records = BTreeMap<String, Box<dyn Any + Send>>;

/// The state and the counters of one process. Workers on several threads may share it.
#[derive(Default)]
pub struct TypedState {
    records: Mutex<Records>,
    counters: Mutex<BTreeMap<String, u64>>,
}

impl TypedState {
    /// The names of all keys under which something stands.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Adds to a counter.
    pub(crate) fn add(&self, counter: &str, count: u64) {
        let counters = self.counters.lock();
        let mut counters = counters.unwrap_or_else(PoisonError::into_inner);
        *counters.entry(counter.to_owned()).or_default() += count;
    }

    /// What a counter stands at.
    pub(crate) fn counted(&self, counter: &str) -> u64 {
        let counters = self.counters.lock();
        let counters = counters.unwrap_or_else(PoisonError::into_inner);
        counters.get(counter).copied().unwrap_or(0)
    }

    /// A step works on a copy: one that panics leaves everything as it was.
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TypedState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.names()).finish()
    }
}

impl SharedState for TypedState {
    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided> {
        Ok(stored(&self.lock(), key))
    }

    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided> {
        let mut records = self.lock();
        let mut stored = stored(&records, key);
        if step.run(&mut stored) == Change::Store {
            match stored.record {
                Some(record) => records.insert(key.as_str().to_owned(), Box::new(record)),
                None => records.remove(key.as_str()),
            };
        }
        Ok(true)
    }
}

/// A copy of what stands under a key.
///
/// # Panics
/// If two kinds of records have one key.
fn stored<R: SharedRecord>(records: &Records, key: &Key<R>) -> Stored<R> {
    let record = records.get(key.as_str()).map(|record| {
        let record = record.downcast_ref::<R>();
        record.expect("a key has one kind of record").clone()
    });
    Stored {
        record,
        damaged: false,
    }
}

#[cfg(test)]
mod tests {
    use seawall_policy::shared::keys;
    use seawall_policy::shared::process_key::ProcessKey;

    use super::*;

    #[test]
    fn a_step_stands_if_it_says_so_and_may_leave_nothing() {
        let state = TypedState::default();
        let key = ProcessKey::from_bytes([7; 16]);
        let leave = |record: Option<ProcessKey>, change| {
            let stands = state.update(&keys::PROCESS, |stored| {
                stored.record = record;
                change
            });
            assert_eq!(stands, Ok(true));
            state.view(&keys::PROCESS).unwrap().record
        };
        assert_eq!(leave(Some(key), Change::Nothing), None);
        assert_eq!(leave(Some(key), Change::Store), Some(key));
        assert_eq!(leave(None, Change::Nothing), Some(key));
        assert_eq!(leave(None, Change::Store), None);
        assert!(state.names().is_empty());
    }
}
