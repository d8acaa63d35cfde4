//! What stands in a slot: the requests with one id.

use super::Hints;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::Timestamp;

const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SA";

/// All requests with one id of which one was there when the next came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub(super) id: u64,
    pub(super) until: Timestamp,
    pub(super) kept: Hints,
    /// When the first came; 0 where an earlier module wrote it, which knows nothing of what follows.
    pub(super) since: Timestamp,
    /// How many of them are there, and have a trusted peer.
    pub(super) trusted: u32,
    /// How many of them are there, and have none.
    pub(super) strangers: u32,
    /// One of them has none, or had none.
    pub(super) spoiled: bool,
}

impl Group {
    /// An earlier module reads what stands before `since`, and writes nothing behind it.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const NONE: u8 = u8::MAX;
        let (id, until) = (reader.u64()?, reader.time()?);
        let kept = Hints {
            deadline: reader.maybe()?,
            priority: Some(reader.u8()?).filter(|priority| *priority != NONE),
            retry: reader.flag()?,
            failed_below: reader.flag()?,
        };
        let mut group = Self {
            id,
            until,
            kept,
            since: Timestamp::ZERO,
            trusted: 0,
            strangers: 0,
            spoiled: false,
        };
        if !reader.is_empty() {
            group.since = reader.time()?;
            group.trusted = reader.u32()?;
            group.strangers = reader.u32()?;
            group.spoiled = reader.flag()?;
        }
        Some(group)
    }

    /// Whether it still counts.
    pub(super) fn is_kept(&self, now: Timestamp) -> bool {
        now < self.until
    }

    pub(super) const fn is_there(&self) -> bool {
        self.trusted > 0 || self.strangers > 0
    }

    pub(super) fn add(&mut self, trusted: bool) {
        let count = self.count(trusted);
        *count = count.saturating_add(1);
    }

    pub(super) const fn count(&mut self, trusted: bool) -> &mut u32 {
        if trusted {
            &mut self.trusted
        } else {
            &mut self.strangers
        }
    }
}

impl SharedRecord for Group {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.id);
        out.u64(self.until.as_nanos());
        out.maybe(self.kept.deadline);
        out.u8(self.kept.priority.unwrap_or(u8::MAX));
        out.u8(u8::from(self.kept.retry));
        out.u8(u8::from(self.kept.failed_below));
        out.u64(self.since.as_nanos());
        out.u32(self.trusted);
        out.u32(self.strangers);
        out.u8(u8::from(self.spoiled));
        out.sealed(VERSION)
    }

    /// A later module may write more behind what this one knows.
    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::of(bytes, MAGIC, VERSION)?;
        Self::read(&mut reader).ok_or(Unreadable::Damaged)
    }
}
