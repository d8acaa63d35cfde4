//! What a VM knows of who asks for a half-open permit.

use crate::environment::facts::{Facts, StreamFact};

/// The client's connection as a short hash, never 0; 0 if the host does not say. It is asked unless the connection is known.
pub(super) fn peer(known: Option<u64>, facts: &impl Facts<StreamFact>) -> u32 {
    let known = known.filter(|id| *id != 0);
    let Some(id) = known.or_else(|| facts.number(StreamFact::ConnectionId)) else {
        return 0;
    };
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32).max(1)
}
