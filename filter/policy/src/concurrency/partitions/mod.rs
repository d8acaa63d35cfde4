//! Slots for each value of a header: a fixed number of partitions, so that nothing is ever registered for good.
//!
//! A value has a tag, its hash, and may use any of eight partitions that follow from it; whose slots a partition holds stands in
//! its record. A partition where nothing is in flight is anybody's. Who finds none shares the *rest*, one more partition for all of
//! them. There are twice as many partitions as values are promised one: with as many as that, of 100 values at the same time 14
//! share the rest if each may use four, and with twice as many and eight it is one in 2,000 (Azar, Broder, Karlin, Upfal,
//! "Balanced allocations", 1999). A flood of values that nobody ever used before takes idle partitions and the rest, never one
//! that is in use.
//!
//! **Values may be chosen by an attacker.** The hash has a key that is random in each process ([`crate::shared::process_key`]), so
//! that nobody can choose values that take the partitions of a certain other one. Half of the partitions are *kept*: they
//! stay for [`KEEP`] whose they were though nothing is in flight. A value moves into one of them once a request of its own has ended.
//! Newcomers share the other half, and what nobody ever had. So whoever asks at least once in that time is not locked out by any number of
//! values that hold what they take. In the rest, a value has at most a quarter of the slots, so that one alone never fills it; requests
//! without the header are a value like any other. What remains: who holds requests of hundreds of values at the same time
//! keeps other newcomers out, for as long as those requests last and no longer.
//!
//! **What is not exact:** a value may hold slots in more than one partition for as long as requests last that came before it
//! moved, if one of its candidates became idle between the looks of two VMs, or if it was in the rest before. Each partition
//! by itself is within the bound always, so a value never has more than nine times the slots, and never for longer than
//! its requests take: who comes next is led to the first partition that is its own.

pub mod index;

use super::{AcquireRequest, Acquired, Bound, InFlightSlots, SlotId, SlotReport, peek, steps};
use crate::ratio::derive;
use crate::shared::keys;
use crate::shared::leases::LocalLease;
use crate::shared::process_key::ProcessKey;
use crate::shared::state::{Key, SharedState};
use crate::time::{Span, Timestamp};

/// How many values have a partition unless something else is asked for.
pub const VALUES: u32 = 100;
/// The most that can be asked for: each partition is a key in shared data, and one bit in an index ([`super::rounds`]).
pub const VALUES_MAX: u32 = 1_000;
/// So long a partition of the half that is kept stays whose it was.
pub const KEEP: Span = Span::secs(30);
/// How many partitions a value may use.
const CHOICES: u32 = 8;
/// Into so many parts those who share the rest are divided: a value is in one of them, and two are in the same one by
/// chance only.
const PARTS: u32 = 64;
/// A part has this share of the rest's slots.
const PART_OF_REST: u32 = 4;

/// How many partitions there are for so many values.
pub const fn all(values: u32) -> u32 {
    let values = if values > VALUES_MAX {
        VALUES_MAX
    } else {
        values
    };
    values.saturating_mul(2)
}

/// One of the partitions under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Partition {
    /// One for a single value at a time.
    Own(u32),
    /// The one that all others share.
    Rest,
    /// What a part of those holds there.
    Part(u32),
    /// What unfinished requests hold of the slots that all share.
    Unfinished,
    /// What they hold of an own partition, or of the rest, by its number.
    UnfinishedOf(u32),
}

/// Where the numbers of each kind begin.
const PARTS_AT: u32 = 2 * VALUES_MAX + 1;
const UNFINISHED_AT: u32 = PARTS_AT + PARTS;
/// There are so many numbers.
pub const NUMBERS: u32 = UNFINISHED_AT + 1 + PARTS_AT;

impl Partition {
    /// Its key in shared data.
    pub fn key(self, prefix: &Key<InFlightSlots>) -> Key<InFlightSlots> {
        match self {
            Self::Own(number) => keys::slot(prefix, Some(number)),
            Self::Rest => keys::slot(prefix, None),
            Self::Part(part) => keys::part_of_rest(prefix, part),
            Self::Unfinished => keys::unfinished(prefix),
            Self::UnfinishedOf(number) => keys::unfinished_of(&Self::of(number).key(prefix)),
        }
    }

    /// Its number among all partitions under a key.
    pub const fn number(self) -> u32 {
        match self {
            Self::Rest => 0,
            Self::Own(number) => number.saturating_add(1),
            Self::Part(part) => PARTS_AT.saturating_add(part),
            Self::Unfinished => UNFINISHED_AT,
            Self::UnfinishedOf(number) => (UNFINISHED_AT + 1).saturating_add(number),
        }
    }

    /// The partition with this number.
    pub const fn of(number: u32) -> Self {
        match number {
            0 => Self::Rest,
            UNFINISHED_AT => Self::Unfinished,
            1..PARTS_AT => Self::Own(number.saturating_sub(1)),
            PARTS_AT..UNFINISHED_AT => Self::Part(number.saturating_sub(PARTS_AT)),
            // Of an own partition or the rest, never of one of these.
            _ => Self::UnfinishedOf(number.saturating_sub(UNFINISHED_AT + 1) % PARTS_AT),
        }
    }

    /// Where unfinished requests with a slot in this partition are counted.
    pub const fn unfinished(self) -> Self {
        Self::UnfinishedOf(self.number())
    }

    /// Whether only unfinished requests are counted here.
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Unfinished | Self::UnfinishedOf(_))
    }

    /// Whether each request that is in flight is counted here once, and not only some of them a second time.
    pub const fn counts_all(self) -> bool {
        matches!(self, Self::Own(_) | Self::Rest)
    }

    /// So long it stays whose it was.
    const fn keeps(self) -> Span {
        match self {
            Self::Own(number) if number % 2 == 1 => KEEP,
            _ => Span::ZERO,
        }
    }
}

/// The tag of a header's value, or of requests without the header: never 0, which says "nobody". Where the process has no
/// key, its hash is one that can be computed by others (FNV-1a with the finaliser of MurmurHash3).
pub fn tag(key: Option<&ProcessKey>, value: Option<&[u8]>) -> u64 {
    let bytes = value.unwrap_or_default();
    if let Some(key) = key {
        let purpose = if value.is_some() {
            "slot"
        } else {
            "slot of none"
        };
        return key.hash64(purpose, &[bytes]).max(1);
    }
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)).max(1)
}

/// What a request got in partitions.
#[derive(Clone, Copy, Debug)]
pub struct PartitionSlots {
    /// Each goes back under the key of its partition, also where the request is refused.
    pub places: [Option<(Partition, SlotId)>; 2],
    /// Whether the request has what it needs.
    pub taking: Acquired,
    /// What was seen.
    pub notes: SlotReport,
}

/// Takes a slot for a request with this tag, in its own partition or the rest. `holding` says what this VM holds in a partition;
/// that of `asked`, and its next instance number, do not matter.
pub fn take(
    store: &impl SharedState,
    prefix: &Key<InFlightSlots>,
    values: u32,
    asked: &AcquireRequest<'_>,
    holding: &dyn Fn(Partition) -> LocalLease,
) -> PartitionSlots {
    let count = all(values);
    // Somebody may take a partition between the look and the step, which is seen by the tag; each time another one did.
    for _ in 0..CHOICES {
        let chosen = asked
            .tag
            .and_then(|tag| choose(store, prefix, count, tag, asked.dead, asked.now));
        let Some(slot) = chosen.map(Partition::Own) else {
            break;
        };
        let (taking, notes) = take_in(store, prefix, slot, asked, holding);
        if taking != Acquired::Elsewhere {
            return PartitionSlots {
                places: [taking.place().map(|place| (slot, place)), None],
                taking,
                notes,
            };
        }
    }
    shared_partition(store, prefix, asked, holding)
}

/// A slot in the rest, and in the part of it that the tag falls into.
fn shared_partition(
    store: &impl SharedState,
    prefix: &Key<InFlightSlots>,
    asked: &AcquireRequest<'_>,
    holding: &dyn Fn(Partition) -> LocalLease,
) -> PartitionSlots {
    let mut of_part = None;
    let mut seen = SlotReport::default();
    if let (Some(tag), Some(most)) = (asked.tag, asked.bound.places_max) {
        let part = Partition::Part(draw(tag, CHOICES, PARTS));
        let bound = Bound {
            places_max: Some((most / PART_OF_REST).max(1)),
            limit: None,
        };
        let asked = AcquireRequest { bound, ..*asked };
        let (taking, notes) = take_in(store, prefix, part, &asked, holding);
        of_part = taking.place().map(|place| (part, place));
        seen = notes;
        if matches!(taking, Acquired::Full { .. }) {
            return PartitionSlots {
                places: [None; 2],
                taking,
                notes,
            };
        }
    }
    let (taking, notes) = take_in(store, prefix, Partition::Rest, asked, holding);
    let of_rest = taking.place().map(|place| (Partition::Rest, place));
    PartitionSlots {
        places: [of_rest, of_part],
        taking,
        notes: notes.and(&seen),
    }
}

/// Takes a slot in this partition.
pub fn take_in(
    store: &impl SharedState,
    prefix: &Key<InFlightSlots>,
    slot: Partition,
    asked: &AcquireRequest<'_>,
    holding: &dyn Fn(Partition) -> LocalLease,
) -> (Acquired, SlotReport) {
    let holding = holding(slot);
    let asked = AcquireRequest {
        holding,
        tag: asked.tag.filter(|_| matches!(slot, Partition::Own(_))),
        keep: slot.keeps(),
        ..*asked
    };
    steps::acquire(store, &slot.key(prefix), &asked)
}

/// The partition that is the tag's: a kept one, or one that it moves to now. Else one that is idle, and rather one that is not kept; of
/// several the one that was idle for longest, so that two newcomers do not take the same one from each other.
fn choose(
    store: &impl SharedState,
    prefix: &Key<InFlightSlots>,
    count: u32,
    tag: u64,
    dead: &[u64],
    now: Timestamp,
) -> Option<u32> {
    let (mut kept, mut never_used, mut idle) = (None, None, None);
    let of_half = |half| (0..CHOICES).filter(move |choice| choice % 2 == half);
    for choice in of_half(1).chain(of_half(0)) {
        let number = candidate(tag, choice, count);
        let keeps = Partition::Own(number).keeps();
        let Some(mut places) = peek(store, &Partition::Own(number).key(prefix)) else {
            continue;
        };
        places.leases.expire(dead);
        let is_kept = keeps > Span::ZERO;
        if places.tag == tag {
            let stays = is_kept || places.in_flight() > 0;
            let to = kept.filter(|_| !stays).map(|(_, number)| number);
            return to.or(Some(number));
        }
        if places.is_anybodys(keeps, now) {
            let found = (places.last, number);
            if !is_kept {
                earlier(&mut idle, found);
                continue;
            }
            earlier(&mut kept, found);
            if places.tag == 0 {
                earlier(&mut never_used, found);
            }
        }
    }
    idle.or(never_used).map(|(_, number)| number)
}

/// Keeps the one that was idle for longer.
fn earlier(best: &mut Option<(Timestamp, u32)>, found: (Timestamp, u32)) {
    if best.is_none_or(|(last, _)| found.0 < last) {
        *best = Some(found);
    }
}

impl InFlightSlots {
    /// Whether a partition may be taken by another value: nothing is in flight, and it is not kept for the last one.
    pub(super) fn is_anybodys(&self, keep: Span, now: Timestamp) -> bool {
        let kept = self.tag != 0 && now.since(self.last) < keep;
        self.in_flight() == 0 && !kept
    }
}

/// One of the partitions that a tag may use: each choice is a draw of its own, one half of them from each half of the partitions.
fn candidate(tag: u64, choice: u32, count: u32) -> u32 {
    let number = draw(tag, choice, count / 2);
    number.saturating_mul(2).saturating_add(choice % 2)
}

fn draw(tag: u64, choice: u32, count: u32) -> u32 {
    let bits = derive((tag ^ (tag >> 32)) as u32, choice);
    (u64::from(bits).saturating_mul(u64::from(count.max(1))) >> 32) as u32
}

#[cfg(test)]
mod tests;
