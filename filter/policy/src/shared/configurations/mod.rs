//! Which configurations use a policy's records side by side, so that none of them resets what another one counts.
//!
//! A record has one shape: the window's geometry, the budget's slices, whether its breaker counts. Roots with other
//! configurations may use a policy of the same name: other listeners, other plugins under the same `vm_id`, the old root
//! while a new one takes over. As long as two shapes are in use, the record keeps the one it has, and each root goes by its
//! own thresholds. When the others are no longer renewed, the latest root gives the record its own shape, once
//! ([`crate::shared::record::Record::adopt`]).
//!
//! So each root says at its ticks that its shape is in use, under one key per policy. Modules from before this table say
//! nothing, and are as if they were not there: that is how it was with them.

use crate::shared::envelope::{Reader, Writer};
use crate::shared::record::Shape;
use crate::shared::state::{
    Change, HostError, Key, SharedRecord, SharedState, Unreadable, unless_later,
};
use crate::time::{Span, Timestamp};

/// The most shapes of a policy. A further one is not entered while all these are in use: then it gives nothing its shape, and
/// nothing waits for it.
pub const SHAPES_MAX: usize = 4;
/// A shape that was not renewed for so long is not in use.
pub const IN_USE: Span = Span::secs(2);
/// A use is written down if the last that was is so long ago: once for all workers at each tick.
const WRITTEN: Span = Span::millis(300);
/// The open times of a shape are known for so much longer, so that the one that follows it can shorten them.
const REMEMBERED: Span = Span::secs(4);
const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SH";

/// What is known of other shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    /// Whether any is in use.
    pub in_use: bool,
    /// The longest of their times ahead, a little longer than they are in use.
    pub ahead: Span,
}

impl Others {
    /// What cannot be read is in use.
    pub const UNKNOWN: Self = Self {
        in_use: true,
        ahead: Span::ZERO,
    };
}

/// How a root stands beside others that use the records of its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When it took its configuration.
    pub configured_at: Timestamp,
    /// Whether no other shape is in use, as far as its ticks have seen.
    pub alone: bool,
    /// How far ahead of now times may lie in records that others use too.
    pub ahead: Span,
}

impl Standing {
    /// A root of which nothing is known but when it was configured.
    pub const fn since(configured_at: Timestamp) -> Self {
        Self {
            configured_at,
            alone: false,
            ahead: Span::ZERO,
        }
    }

    /// What a tick saw. A process that stood still gives nobody up: a tick that is late finds nobody gone. Says whether it is
    /// alone since now.
    pub fn observe(&mut self, others: Others, on_time: bool) -> bool {
        let before = self.alone;
        self.ahead = others.ahead;
        self.alone = !others.in_use && (before || on_time);
        self.alone && !before
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    shape: Shape,
    used: Timestamp,
}

/// The shapes of a policy's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShapesInUse(Vec<Entry>);

impl Entry {
    /// Whether it was used within this time. A time ahead of now is damage, and nobody's.
    fn is_within(&self, span: Span, now: Timestamp) -> bool {
        now.since(self.used) < span && self.used.since(now) < span
    }
}

/// Says what is known of other shapes than this one, and that this one is in use if it `uses` records at all.
///
/// # Errors
/// The host's status.
pub fn renew(
    state: &impl SharedState,
    key: &Key<ShapesInUse>,
    (shape, uses): (Shape, bool),
    now: Timestamp,
) -> Result<Others, HostError> {
    let mut others = Others::UNKNOWN;
    let stands = state.update(key, |stored| {
        let known = &mut stored.or_empty().0;
        others = Others {
            in_use: false,
            ahead: Span::ZERO,
        };
        for entry in known.iter().filter(|entry| entry.shape != shape) {
            others.in_use |= entry.is_within(IN_USE, now);
            if entry.is_within(REMEMBERED, now) {
                others.ahead = others.ahead.max(entry.shape.ahead);
            }
        }
        Change::stored_if(uses && enter(known, shape, now))
    });
    unless_later(stands, true)?;
    Ok(others)
}

/// Enters a use; says whether that changed anything.
fn enter(known: &mut Vec<Entry>, shape: Shape, now: Timestamp) -> bool {
    let used = Entry { shape, used: now };
    if let Some(entry) = known.iter_mut().find(|entry| entry.shape == shape) {
        let due = !entry.is_within(WRITTEN, now);
        if due {
            *entry = used;
        }
        return due;
    }
    if known.len() < SHAPES_MAX {
        known.push(used);
        return true;
    }
    let gone = known
        .iter_mut()
        .filter(|entry| !entry.is_within(IN_USE, now));
    match gone.min_by_key(|entry| entry.used) {
        Some(entry) => {
            *entry = used;
            true
        }
        None => false,
    }
}

impl SharedRecord for ShapesInUse {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        for entry in &self.0 {
            out.u64(entry.shape.id);
            out.u64(entry.shape.ahead.as_nanos());
            out.u64(entry.used.as_nanos());
        }
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            let mut known = Vec::new();
            while let Some(entry) = Entry::read(reader) {
                known.push(entry);
            }
            (known.len() <= SHAPES_MAX).then_some(Self(known))
        })
    }
}

impl Entry {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            shape: Shape {
                id: reader.u64()?,
                ahead: Span::nanos(reader.u64()?),
            },
            used: reader.time()?,
        })
    }
}

#[cfg(test)]
mod tests;
