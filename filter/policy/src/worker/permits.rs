//! What a VM knows of who asks for a half-open permit.

use crate::environment::facts::{Facts, StreamFact};

/// The client's connection as a short hash, never 0; 0 if the host does not say.
pub(super) fn peer(facts: &impl Facts<StreamFact>) -> u32 {
    let Some(id) = facts.number(StreamFact::ConnectionId) else {
        return 0;
    };
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32).max(1)
}
