//! Shared data as this crate needs it, and the one way in which it is changed: read, step, compare and swap.

use crate::breaker::Transition;
use crate::shared::record::{Record, RecordShape, Unreadable};
use crate::time::Timestamp;

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

/// A status of the host that is neither "ok" nor "not found" nor "lost".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host answered with status {0}")]
pub struct HostError(pub u32);

/// The shared data of one process.
pub trait SharedStore {
    /// What stands under `key`; an absent key is `None`.
    fn load(&self, key: &str) -> Result<Option<Found>, HostError>;

    /// Puts `bytes` under `key` if its number still is `cas`; says whether it was.
    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError>;
}

/// Whether a step changed what it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It must be stored for the step to count.
    Store,
    /// There is nothing to store.
    Nothing,
}

/// Why a step could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The host refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The record is of a later version.
    #[error("the record is of a later version")]
    Later,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The transition of a record that a later configuration made start anew.
    pub restarted: Option<Transition>,
    /// Whether it stands: nothing had to be stored, or it was. `false` after [`TRIES`] lost races.
    pub stands: bool,
    /// Whether a damaged record was replaced.
    pub healed: bool,
}

/// Takes one step on the record under `key`: read, let the root's claim shape it, step, and store if there is something
/// to store, until nobody came in between. An absent or damaged record is as a new one.
///
/// The step is a reference, and leaves what it found where it was made: so all steps share one loop, with one copy of the
/// record's codec.
pub fn update(
    store: &impl SharedStore,
    key: &str,
    claim: &RecordShape,
    now: Timestamp,
    step: &mut dyn FnMut(&mut Record) -> Change,
) -> Result<Committed, Undecided> {
    let mut tries: u32 = 0;
    loop {
        let (mut record, cas, healed) = read(store, key, claim, now)?;
        let (adopted, restarted) = match record.is_as(claim) {
            true => (false, None),
            false => record.adopt(*claim, now),
        };
        let change = step(&mut record);
        let nothing = change == Change::Nothing && !adopted && !healed;
        let stands = nothing || store.swap(key, &record.encode(), cas)?;
        tries = tries.saturating_add(1);
        if stands || tries >= TRIES {
            return Ok(Committed {
                restarted,
                stands,
                healed,
            });
        }
    }
}

/// Changes plain bytes under `key` by the same rules; without bytes from `step` there is nothing to store. `false` after
/// [`TRIES`] lost races.
pub fn exchange(
    store: &impl SharedStore,
    key: &str,
    step: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<bool, HostError> {
    for _ in 0..TRIES {
        let found = store.load(key)?;
        let (cas, before) = found.map_or((CREATE, Vec::new()), |found| (found.cas, found.bytes));
        let Some(after) = step(&before) else {
            return Ok(true);
        };
        if store.swap(key, &after, cas)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(
    store: &impl SharedStore,
    key: &str,
    claim: &RecordShape,
    now: Timestamp,
) -> Result<(Record, u32, bool), Undecided> {
    let Some(found) = store.load(key)? else {
        return Ok((Record::new(*claim), CREATE, false));
    };
    if found.bytes.is_empty() {
        return Ok((Record::new(*claim), found.cas, false));
    }
    let latest = now.after(claim.ahead);
    match Record::decode(&found.bytes) {
        Ok(record) if !record.is_ahead_of(latest) => Ok((record, found.cas, false)),
        Err(Unreadable::Later(_)) => Err(Undecided::Later),
        Ok(_) | Err(Unreadable::Damaged) => Ok((Record::new(*claim), found.cas, true)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
