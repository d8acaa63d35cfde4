//! The state that all workers of a process share, as the rules see it: typed records under typed keys.
//!
//! A rule looks at a record ([`SharedState::view`]) or takes a step on it ([`SharedState::update`]). It sees no bytes and knows nothing of
//! races. There are two implementations: [`crate::shared::store`] keeps records as bytes in the shared data of a proxy, and
//! changes them by compare-and-swap; `test-harness/native` keeps them as values, under a lock for the time of one step.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::time::Timestamp;

/// How old at most what [`SharedState::view`] shows may be, in milliseconds: one tick. Both implementations show what stands now.
pub const VIEW_AGE_MAX_MILLIS: u64 = 400;

/// A kind of record, with its form as bytes.
pub trait SharedRecord: Clone + Send + 'static {
    /// The record as bytes: never none at all, which stand for an absent record.
    fn encode(&self) -> Vec<u8>;

    /// Reads what [`SharedRecord::encode`] wrote.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode(bytes: &[u8]) -> Result<Self, Unreadable>;
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a later version: to be left alone.
    #[error("the record is of version {0}, which is a later one")]
    Later(u16),
    /// Not a record, or a damaged one: to be replaced.
    #[error("the record is damaged")]
    Damaged,
}

/// Where a record of one kind stands. [`crate::shared::keys`] makes every key.
pub struct Key<R> {
    name: Cow<'static, str>,
    kind: PhantomData<fn() -> R>,
}

impl<R> Key<R> {
    /// A key with this name.
    pub(super) const fn named(name: Cow<'static, str>) -> Self {
        Self {
            name,
            kind: PhantomData,
        }
    }

    /// A key for a test.
    #[cfg(test)]
    pub(crate) const fn test(name: &'static str) -> Self {
        Self::named(Cow::Borrowed(name))
    }

    /// A key for a test, with a name that is made.
    #[cfg(test)]
    pub(crate) fn test_of(name: &str) -> Self {
        Self::named(Cow::Owned(name.to_owned()))
    }

    /// The name of the key in shared data.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl<R> Clone for Key<R> {
    fn clone(&self) -> Self {
        Self::named(self.name.clone())
    }
}

impl<R> fmt::Debug for Key<R> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(out)
    }
}

impl<R> PartialEq for Key<R> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<R> Eq for Key<R> {}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    /// The record; none where there is none, or where what stands there is damaged.
    pub record: Option<R>,
    /// Whether something damaged stands there.
    pub damaged: bool,
}

impl<R> Stored<R> {
    /// Whether nothing stands there, damaged or not.
    pub const fn is_absent(&self) -> bool {
        self.record.is_none() && !self.damaged
    }
}

impl<R: Default> Stored<R> {
    /// The record, or an empty one in the place of none and of a damaged one.
    pub fn or_empty(&mut self) -> &mut R {
        self.record.get_or_insert_default()
    }
}

/// Whether a step changed what it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It must be stored for the step to count.
    Store,
    /// There is nothing to store.
    Nothing,
}

impl Change {
    /// What changed is stored.
    pub const fn stored_if(changed: bool) -> Self {
        match changed {
            true => Self::Store,
            false => Self::Nothing,
        }
    }
}

/// A status of the host that is neither "ok" nor "not found" nor "lost".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host answered with status {0}")]
pub struct HostError(pub u32);

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

/// The same answer, with this one in the place of a record of a later version.
pub(crate) fn unless_later<T>(answer: Result<T, Undecided>, later: T) -> Result<T, HostError> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(Undecided::Later) => Ok(later),
        Err(Undecided::Host(error)) => Err(error),
    }
}

/// A step on what stands under a key: any closure is one. Other than with `dyn FnMut`, its code is in the module once.
pub trait Step<R> {
    /// Runs it once.
    fn run(&mut self, stored: &mut Stored<R>) -> Change;
}

impl<R, F: FnMut(&mut Stored<R>) -> Change> Step<R> for F {
    fn run(&mut self, stored: &mut Stored<R>) -> Change {
        self(stored)
    }
}

/// The state that all workers of a process share.
pub trait SharedState {
    /// The clock, read anew in a step of an event that began at `begun`. What others wrote may be later than that: a worker may stand still
    /// between its clock and the record. `begun` where there is no other clock. It may be asked within a step.
    fn clock(&self, begun: Timestamp) -> Timestamp {
        begun
    }

    /// What stands under `key`. It may be old, by [`VIEW_AGE_MAX_MILLIS`] at most: what is decided by it alone must bear that.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided>;

    /// As [`SharedState::update`], with one copy of its code for all steps on records of one kind.
    ///
    /// # Errors
    /// As there.
    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided>;

    /// Takes a step on what stands under `key` now. If the step says [`Change::Store`], what it leaves stands there afterwards,
    /// an absent record where it leaves none. Says whether the step stands: `false` if too many others came in between.
    ///
    /// The step may be run several times, each time on what stands there then, and only the last run counts. So it has no
    /// other effect than what it leaves, and what it tells its caller is set anew in each run. It asks nothing of the state.
    ///
    /// # Errors
    /// Why the step could not be taken. It was not run where the record is of a later version, which is left alone.
    fn update<R: SharedRecord>(
        &self,
        key: &Key<R>,
        mut step: impl FnMut(&mut Stored<R>) -> Change,
    ) -> Result<bool, Undecided> {
        self.apply(key, &mut step)
    }
}
