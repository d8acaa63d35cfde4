//! What the workers of a native process share: the state as values, and what counters stand at.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use seawall_policy::shared::state::{Key, SharedRecord, SharedState, Step, Stored, Undecided};
use seawall_policy::shared::values::ValueState;

/// The state and the counters of one process. Workers on several threads may share it.
#[derive(Debug, Default)]
pub struct TypedState {
    records: ValueState,
    counters: Mutex<BTreeMap<String, u64>>,
}

impl TypedState {
    /// The names of all keys under which something stands.
    pub fn names(&self) -> Vec<String> {
        self.records.names()
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
}

impl SharedState for TypedState {
    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided> {
        self.records.view(key)
    }

    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided> {
        self.records.apply(key, step)
    }
}
