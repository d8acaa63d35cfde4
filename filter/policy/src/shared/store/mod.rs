//! The state as bytes, in the shared data of a proxy: load, step, compare and swap.
//!
//! Whatever keeps bytes by key with a number for each ([`SharedStore`]) is a [`SharedState`]. An absent and an emptied key are the
//! same, since a key cannot be deleted. What a later version wrote is left alone.

use crate::shared::state::{
    Change, Key, SharedRecord, SharedState, Step, Stored, Undecided, Unreadable,
};
use crate::time::Timestamp;

pub use crate::shared::state::HostError;

/// How often a lost compare-and-swap is tried again before the step is given up for now. Nothing spins.
pub const TRIES: u32 = 64;

/// The number that makes a set create an absent key and lose against a live one (seen on Envoy 1.40). The counter of
/// Envoy's store starts at 1 and would have to make four billion steps to get there.
pub const CREATE: u32 = u32::MAX;

/// What was found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes; none for an absent key, since a key cannot be deleted.
    pub bytes: Vec<u8>,
    /// The number to swap against; never kept beyond one callback.
    pub cas: u32,
}

/// The shared data of one process.
pub trait SharedStore {
    /// As [`SharedState::clock`].
    fn clock(&self, begun: Timestamp) -> Timestamp {
        begun
    }

    /// What stands under `key`; an absent key is `None`.
    fn load(&self, key: &str) -> Result<Option<Found>, HostError>;

    /// Puts `bytes` under `key` if its number still is `cas`; says whether it was.
    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError>;
}

impl<S: SharedStore> SharedState for S {
    fn clock(&self, begun: Timestamp) -> Timestamp {
        SharedStore::clock(self, begun)
    }

    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided> {
        let found = self.load(key.as_str())?;
        read(&found.map_or_else(Vec::new, |found| found.bytes))
    }

    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided> {
        exchange(self, key.as_str(), &mut Typed(step))
    }
}

/// A step on bytes. Without bytes from it there is nothing to store.
trait ByteStep {
    fn run(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Undecided>;
}

/// A step on records, taken on bytes.
struct Typed<'a, R>(&'a mut dyn Step<R>);

impl<R: SharedRecord> ByteStep for Typed<'_, R> {
    fn run(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Undecided> {
        let mut stored = read(bytes)?;
        Ok(match self.0.run(&mut stored) {
            Change::Store => Some(
                stored
                    .record
                    .map_or_else(Vec::new, |record| record.encode()),
            ),
            Change::Nothing => None,
        })
    }
}

/// Changes bytes under `key` until nobody came in between; `false` after [`TRIES`] lost races. All kinds of records share
/// this loop.
fn exchange(
    store: &impl SharedStore,
    key: &str,
    step: &mut dyn ByteStep,
) -> Result<bool, Undecided> {
    for _ in 0..TRIES {
        let found = store.load(key)?;
        let (cas, before) = found.map_or((CREATE, Vec::new()), |found| (found.cas, found.bytes));
        let Some(after) = step.run(&before)? else {
            return Ok(true);
        };
        if store.swap(key, &after, cas)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Apart, so that looking at a record and changing it share one copy of its codec.
#[inline(never)]
fn read<R: SharedRecord>(bytes: &[u8]) -> Result<Stored<R>, Undecided> {
    let mut stored = Stored {
        record: None,
        damaged: false,
    };
    if !bytes.is_empty() {
        match R::decode(bytes) {
            Ok(record) => stored.record = Some(record),
            Err(Unreadable::Later(_)) => return Err(Undecided::Later),
            Err(Unreadable::Damaged) => stored.damaged = true,
        }
    }
    Ok(stored)
}

#[cfg(test)]
pub(crate) mod tests;
