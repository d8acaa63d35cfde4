//! Slots as bytes: sealed as every record is, as long as there are holders.

use super::{HOLDERS_MAX, InFlightSlots, Lease};
use crate::limiter::Limiter;
use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::shedding::reported_load::ReportedLoad;

/// The version of the layout.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SP";

impl InFlightSlots {
    /// The bytes for shared data: about 100, and 16 for each holder.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.tag);
        out.u64(self.last.as_nanos());
        out.u32(self.load.utilisation);
        out.u32(self.load.shed);
        out.u64(self.load.at.as_nanos());
        out.u8(u8::from(self.limiter.is_some()));
        if let Some(limiter) = &self.limiter {
            limiter.write(&mut out);
        }
        out.u32(self.beats);
        out.u16(self.holders.len() as u16);
        for holder in &self.holders {
            out.u64(holder.instance);
            out.u32(holder.held);
            out.u32(holder.beat);
        }
        out.sealed(VERSION)
    }

    /// Reads what [`InFlightSlots::encode`] wrote. No bytes at all are slots that nobody holds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        decoded(bytes, MAGIC, VERSION, read)
    }
}

impl SharedRecord for InFlightSlots {
    fn encode(&self) -> Vec<u8> {
        Self::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::decode(bytes)
    }
}

/// Reads bytes of this version to their end. No bytes at all are what there is at the beginning.
pub(super) fn decoded<T: Default>(
    bytes: &[u8],
    magic: [u8; 2],
    version: u16,
    read: fn(&mut Reader<'_>) -> Option<T>,
) -> Result<T, Unreadable> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    Reader::whole(bytes, magic, version, read)
}

/// Reads how many there are; `None` if that is more than there may be.
pub(super) fn bounded(reader: &mut Reader<'_>, max: usize) -> Option<usize> {
    reader.u16().map(usize::from).filter(|count| *count <= max)
}

fn read(reader: &mut Reader<'_>) -> Option<InFlightSlots> {
    let (tag, last) = (reader.u64()?, reader.time()?);
    let load = ReportedLoad {
        utilisation: reader.u32()?,
        shed: reader.u32()?,
        at: reader.time()?,
    };
    let limiter = match reader.flag()? {
        true => Some(Limiter::read(reader)?),
        false => None,
    };
    let beats = reader.u32()?;
    let count = bounded(reader, HOLDERS_MAX)?;
    let mut holders = Vec::with_capacity(count);
    for _ in 0..count {
        holders.push(Lease {
            instance: reader.u64()?,
            held: reader.u32().filter(|held| *held > 0)?,
            beat: reader.u32()?,
        });
    }
    Some(InFlightSlots {
        tag,
        limiter,
        load,
        last,
        beats,
        holders,
    })
}
