//! Who took the last turn to probe an upstream, and when the next one is due.

use crate::shared::envelope::{Reader, Writer};
use crate::shared::state::{SharedRecord, Unreadable};
use crate::time::Timestamp;

const VERSION: u16 = 1;
const MAGIC: [u8; 2] = *b"SC";

/// A turn taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTurn {
    /// Of the open state; another one begins anew.
    pub(super) generation: u64,
    /// When the next is due.
    pub(super) due: Timestamp,
    /// Who took it.
    pub(super) instance: u64,
}

impl SharedRecord for ProbeTurn {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u64(self.generation);
        out.u64(self.due.as_nanos());
        out.u64(self.instance);
        out.sealed(VERSION)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Reader::whole(bytes, MAGIC, VERSION, |reader| {
            Some(Self {
                generation: reader.u64()?,
                due: reader.time()?,
                instance: reader.u64()?,
            })
        })
    }
}
