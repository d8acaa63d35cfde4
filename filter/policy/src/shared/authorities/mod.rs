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

use crate::breaker::State;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::record::{Record, RecordShape};
use crate::shared::state::{
    Change, HostError, Key, SharedRecord, SharedState, Unreadable, unless_later,
};
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
pub struct Directory(Vec<Slot>);

impl Directory {
    fn of(&self, id: u64) -> Option<usize> {
        self.0.iter().position(|slot| slot.id == id)
    }

    /// Idle slots as they stand, the one that is idle for the longest first, as many as are looked at.
    fn idle(&self, max: usize, now: Timestamp) -> Vec<(usize, Slot)> {
        let place = |known: &(usize, Slot)| (known.1.used, known.0);
        let mut idle: Vec<(usize, Slot)> = Vec::with_capacity(LOOKS);
        // To sort them all would bring some kilobytes into the module.
        for _ in 0..LOOKS {
            let before = idle.last().map(place);
            let slots = self.0.iter().copied().enumerate().take(max);
            let slots = slots.filter(|known| now.since(known.1.used) >= IDLE);
            let next = slots.filter(|known| Some(place(known)) > before);
            idle.extend(next.min_by_key(place));
        }
        idle
    }

    /// The slot of an authority: the one it has, a new one, or the one that was `freed`, if it stands as it did.
    fn claim(
        &mut self,
        id: u64,
        max: usize,
        now: Timestamp,
        freed: Option<(usize, Slot)>,
    ) -> Option<Found> {
        let mut slot = Slot {
            id,
            used: now,
            before: 0,
        };
        let known = self
            .of(id)
            .and_then(|number| Some((number, self.0.get(number)?)));
        let number = match (known, freed) {
            (Some((number, known)), _) => {
                return Some(Found {
                    slot: number as u32,
                    reused: known.before > 0,
                    new: false,
                });
            }
            (None, _) if self.0.len() < max => {
                self.0.push(slot);
                self.0.len().saturating_sub(1)
            }
            (None, freed) => {
                let (number, was) = freed?;
                let there = self.0.get_mut(number).filter(|there| **there == was)?;
                slot.before = was.before.saturating_add(1);
                *there = slot;
                number
            }
        };
        Some(Found {
            slot: number as u32,
            reused: slot.before > 0,
            new: true,
        })
    }
}

impl SharedRecord for Directory {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for slot in &self.0 {
            out.u64(slot.id);
            out.u64(slot.used.as_nanos());
            out.u32(slot.before);
        }
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            let mut slots = Vec::new();
            while let Some(slot) = Slot::read(reader) {
                slots.push(slot);
            }
            (slots.len() <= SLOTS_MAX).then_some(Self(slots))
        })
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
    state: &impl SharedState,
    key: &Key<Directory>,
    id: u64,
    max: u32,
    now: Timestamp,
    empty: &mut dyn FnMut(u32, Span) -> Result<bool, HostError>,
) -> Result<Option<Found>, HostError> {
    let max = usize::try_from(max).unwrap_or(SLOTS_MAX).min(SLOTS_MAX);
    let (mut freed, mut idle) = (None, Vec::new());
    let mut looks = 0;
    loop {
        let mut found = None;
        let stands = state.update(key, |stored| {
            let all = stored.or_empty();
            found = all.claim(id, max, now, freed);
            if found.is_none() && freed.is_none() {
                idle = all.idle(max, now);
            }
            Change::stored_if(found.is_some_and(|found| found.new))
        });
        if !unless_later(stands, false)? {
            return Ok(None);
        }
        if found.is_some() {
            return Ok(found);
        }
        // Whoever had a slot may come back before it is taken: then the next one is tried.
        freed = loop {
            let Some((number, slot)) = idle.get(looks).copied() else {
                return Ok(None);
            };
            looks = looks.saturating_add(1);
            if empty(number as u32, now.since(slot.used))? {
                break Some((number, slot));
            }
        };
    }
}

/// Whether an authority has a slot, as far as can be told.
pub fn has(state: &impl SharedState, key: &Key<Directory>, id: u64) -> bool {
    let directory = state.view(key).ok().and_then(|stored| stored.record);
    directory.is_some_and(|directory| directory.of(id).is_some())
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
    state: &impl SharedState,
    key: &Key<Directory>,
    known: &[Remembered],
    now: Timestamp,
) -> Result<Vec<usize>, HostError> {
    let mut lost = Vec::new();
    let stands = state.update(key, |stored| {
        lost.clear();
        let all = stored.or_empty();
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
        Change::stored_if(changed)
    });
    unless_later(stands, true)?;
    Ok(lost)
}

/// Empties the record of a slot that was idle for this long: a new one stands there afterwards, in a generation of its own.
/// `false` if the old one still matters, or others came in between too often.
///
/// # Errors
/// The host's status.
pub fn empty(
    state: &impl SharedState,
    key: &Key<Record>,
    claim: RecordShape,
    idle: Span,
    now: Timestamp,
) -> Result<bool, HostError> {
    let mut matters = false;
    let stands = state.update(key, |stored| {
        let mut fresh = Record::new(claim);
        matters = false;
        match &mut stored.record {
            Some(record) => {
                matters = !is_empty(record, now) && idle < FORGOTTEN;
                fresh.breaker.generation = record.breaker.generation.saturating_add(1);
            }
            None if stored.damaged => {}
            None => return Change::Nothing,
        }
        stored.record = Some(fresh);
        Change::stored_if(!matters)
    });
    Ok(unless_later(stands, false)? && !matters)
}

/// Whether a breaker is closed, its window holds no failure and no slow call, and no operator asks for anything.
fn is_empty(record: &mut Record, now: Timestamp) -> bool {
    if record
        .forced
        .as_ref()
        .is_some_and(|forced| forced.is_on(now))
    {
        return false;
    }
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
pub fn inherit(
    state: &impl SharedState,
    key: &Key<Record>,
    early: &Key<Record>,
) -> Result<(), HostError> {
    let early = state.view(early).map(|stored| stored.record);
    let mut known = unless_later(early, None)?;
    if known.is_none() {
        return Ok(());
    }
    let stands = state.update(key, |stored| {
        // Where somebody comes in between, the slot has its own state already.
        stored.record = known.take();
        Change::stored_if(stored.record.is_some())
    });
    unless_later(stands, true)?;
    Ok(())
}

#[cfg(test)]
mod tests;
