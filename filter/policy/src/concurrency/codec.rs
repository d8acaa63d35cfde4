//! Slots as bytes: sealed as every record is, as long as there are holders.

use super::{HOLDERS_MAX, InFlightSlots};
use crate::limiter::Limiter;
use crate::shared::envelope::{Reader, Writer, bounded, decoded};
use crate::shared::leases::{Lease, Leases};
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
        out.u32(self.leases.newest());
        out.u16(self.leases.list().len() as u16);
        for lease in self.leases.list() {
            out.u64(lease.instance);
            out.u32(lease.quantity);
            out.u32(lease.beat);
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
    let newest = reader.u32()?;
    let count = bounded(reader, HOLDERS_MAX)?;
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        list.push(Lease {
            instance: reader.u64()?,
            quantity: reader.u32().filter(|quantity| *quantity > 0)?,
            beat: reader.u32()?,
        });
    }
    Some(InFlightSlots {
        tag,
        limiter,
        load,
        last,
        leases: Leases::stored(0, newest, list),
    })
}
