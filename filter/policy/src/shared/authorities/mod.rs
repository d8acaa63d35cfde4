//! Which authority has which slot, of a cluster that has a state for each authority.
//!
//! Clients say which authorities there are, and shared data forgets no key. So a cluster has a fixed number of slots, whose
//! keys have numbers, and a directory that says whose they are. While all slots are taken, an authority that comes new gets
//! the one that was asked for last the longest ago, if that is idle: nothing was asked for it for [`IDLE`], and its breaker
//! is closed and has counted nothing that still matters. So what a client makes up takes no slot for long. A slot whose
//! breaker is not closed is given up too, but only after [`FORGOTTEN`].
//!
//! A VM remembers which slot an authority has, and looks into the directory again at each tick. A slot that changed hands
//! begins with a generation of its own, so that what is settled late for the earlier authority is void.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::breaker::State;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::record::{Record, RecordShape, Unreadable};
use crate::shared::store::{CREATE, HostError, SharedStore, TRIES, exchange};
use crate::time::{Span, Timestamp};

/// Nothing was asked for an authority for so long: its slot may be another's.
pub const IDLE: Span = Span::secs(10);
/// After so long without a request even a slot whose breaker is not closed is given up.
pub const FORGOTTEN: Span = Span::secs(60);
/// A use is written down if the last that was is so long ago: well within [`IDLE`].
const WRITTEN: Span = Span::secs(2);
/// So many slots are looked at before an authority has none.
const LOOKS: usize = 4;
/// The most slots of a cluster.
pub const SLOTS_MAX: usize = 1_000;
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"AD";

/// Whose a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// A keyed hash of the authority.
    id: u64,
    /// When it was last asked for, as far as that was written down.
    used: Timestamp,
    /// How many had it before.
    before: u32,
}

/// The slot of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub slot: u32,
    /// Whether another authority had it before.
    pub reused: bool,
    /// Whether it is the authority's since now.
    pub new: bool,
}

/// All slots of a cluster that are somebody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Directory(Vec<Slot>);

impl Directory {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for slot in &self.0 {
            out.u64(slot.id);
            out.u64(slot.used.as_nanos());
            out.u32(slot.before);
        }
        out.sealed(VERSION)
    }

    /// What these bytes say; damage is as an empty one, and nothing is said of what a later version wrote.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let Some((version, mut reader)) = Reader::open(bytes, MAGIC) else {
            return Some(Self::default());
        };
        if version > VERSION {
            return None;
        }
        let mut slots = Vec::new();
        while let Some(slot) = Slot::read(&mut reader) {
            slots.push(slot);
        }
        let whole = version == VERSION && reader.is_empty() && slots.len() <= SLOTS_MAX;
        Some(Self(if whole { slots } else { Vec::new() }))
    }

    fn of(&self, id: u64) -> Option<usize> {
        self.0.iter().position(|slot| slot.id == id)
    }

    /// Idle slots, the longest idle first, as many as are looked at.
    fn idle(&self, now: Timestamp) -> Vec<usize> {
        let slots = self.0.iter().enumerate();
        // A heap is a fraction of a sort's code.
        let mut idle: BinaryHeap<Reverse<(Timestamp, usize)>> = slots
            .filter(|(_, slot)| now.since(slot.used) >= IDLE)
            .map(|(number, slot)| Reverse((slot.used, number)))
            .collect();
        let longest = std::iter::from_fn(|| idle.pop()).take(LOOKS);
        longest.map(|Reverse((_, number))| number).collect()
    }
}

impl Slot {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: reader.u64()?,
            used: reader.time()?,
            before: reader.u32()?,
        })
    }
}

/// The slot of an authority, which gets one of `max` if it has none and there is one; nothing otherwise. `empty` empties a
/// slot that was idle for this long, and says whether it could.
///
/// # Errors
/// The host's status.
pub fn claim(
    store: &impl SharedStore,
    key: &str,
    id: u64,
    max: u32,
    now: Timestamp,
    empty: &mut dyn FnMut(u32, Span) -> Result<bool, HostError>,
) -> Result<Option<Found>, HostError> {
    let max = usize::try_from(max).unwrap_or(SLOTS_MAX).min(SLOTS_MAX);
    for _ in 0..TRIES {
        let found = store.load(key)?;
        let (bytes, cas) = found.map_or((Vec::new(), CREATE), |found| (found.bytes, found.cas));
        let Some(mut all) = Directory::decode(&bytes) else {
            return Ok(None);
        };
        let mut before = 0;
        let number = match all.of(id) {
            Some(number) => {
                return Ok(all.0.get(number).map(|slot| Found {
                    slot: number as u32,
                    reused: slot.before > 0,
                    new: false,
                }));
            }
            None if all.0.len() < max => {
                all.0.push(Slot {
                    id,
                    used: now,
                    before,
                });
                all.0.len().saturating_sub(1)
            }
            None => {
                let mut free = None;
                for number in all.idle(now) {
                    let since = all
                        .0
                        .get(number)
                        .map_or(Span::ZERO, |slot| now.since(slot.used));
                    if number < max && empty(number as u32, since)? {
                        free = Some(number);
                        break;
                    }
                }
                let Some(slot) = free.and_then(|number| all.0.get_mut(number)) else {
                    return Ok(None);
                };
                before = slot.before.saturating_add(1);
                *slot = Slot {
                    id,
                    used: now,
                    before,
                };
                free.unwrap_or_default()
            }
        };
        if store.swap(key, &all.encode(), cas)? {
            return Ok(Some(Found {
                slot: number as u32,
                reused: before > 0,
                new: true,
            }));
        }
    }
    Ok(None)
}

/// What a VM remembers of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its number.
    pub slot: u32,
    /// Whose it was.
    pub id: u64,
    /// Whether it was asked for since this was last written down.
    pub used: bool,
}

/// Writes down what was asked for, where that is due, and says whose slots are no longer theirs, by their places in `known`.
///
/// # Errors
/// The host's status.
pub fn renew(
    store: &impl SharedStore,
    key: &str,
    known: &[Remembered],
    now: Timestamp,
) -> Result<Vec<usize>, HostError> {
    let mut lost = Vec::new();
    exchange(store, key, &mut |bytes| {
        lost.clear();
        let mut all = Directory::decode(bytes)?;
        let mut changed = false;
        for (place, remembered) in known.iter().enumerate() {
            let slot = all.0.get_mut(remembered.slot as usize);
            match slot.filter(|slot| slot.id == remembered.id) {
                Some(slot) if remembered.used && now.since(slot.used) >= WRITTEN => {
                    slot.used = now;
                    changed = true;
                }
                Some(_) => {}
                None => lost.push(place),
            }
        }
        changed.then(|| all.encode())
    })?;
    Ok(lost)
}

/// Empties the record of a slot that was idle for this long: a new one stands there afterwards, in a generation of its own.
/// `false` if the old one still matters, or somebody else was faster.
///
/// # Errors
/// The host's status.
pub fn empty(
    store: &impl SharedStore,
    key: &str,
    claim: RecordShape,
    idle: Span,
    now: Timestamp,
) -> Result<bool, HostError> {
    let Some(found) = store.load(key)?.filter(|found| !found.bytes.is_empty()) else {
        return Ok(true);
    };
    let mut fresh = Record::new(claim);
    match Record::decode(&found.bytes) {
        Ok(mut record) => {
            if !is_empty(&mut record, now) && idle < FORGOTTEN {
                return Ok(false);
            }
            fresh.breaker.generation = record.breaker.generation.saturating_add(1);
        }
        Err(Unreadable::Damaged) => {}
        Err(Unreadable::Later(_)) => return Ok(false),
    }
    store.swap(key, &fresh.encode(), found.cas)
}

/// Whether a breaker is closed, and its window holds no failure and no slow call.
fn is_empty(record: &mut Record, now: Timestamp) -> bool {
    match &mut record.breaker.state {
        State::Closed(closed) => {
            let counts = closed.window.counts(now);
            counts.failures == 0 && counts.slow == 0 && closed.consecutive == 0
        }
        State::Open { .. } | State::HalfOpen(_) => false,
    }
}

/// Begins a slot with what an earlier module knew of its authority, if it knew anything.
///
/// # Errors
/// The host's status.
pub fn inherit(store: &impl SharedStore, key: &str, early: &str) -> Result<(), HostError> {
    let Some(known) = store
        .load(early)?
        .filter(|found| Record::decode(&found.bytes).is_ok())
    else {
        return Ok(());
    };
    let cas = store.load(key)?.map_or(CREATE, |found| found.cas);
    store.swap(key, &known.bytes, cas)?;
    Ok(())
}

#[cfg(test)]
mod tests;
