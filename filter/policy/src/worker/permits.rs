//! What a VM knows of its own half-open permits, and of who asks for one.

use crate::admission::Settlement;
use crate::breaker::{LocalPermits, Permit};

use crate::environment::facts::{Facts, StreamFact};

/// The client's connection as a short hash, never 0; 0 if the host does not say.
pub(super) fn peer(facts: &impl Facts<StreamFact>) -> u32 {
    let Some(id) = facts.number(StreamFact::ConnectionId) else {
        return 0;
    };
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32).max(1)
}

/// What a VM holds under a new number: nothing.
pub(super) fn fresh(instance: u64) -> LocalPermits {
    LocalPermits {
        instance,
        ..LocalPermits::default()
    }
}

/// One more permit of this VM.
pub(super) fn take(holding: &mut LocalPermits, permit: Permit) {
    if permit.probe.is_none() {
        return;
    }
    if holding.generation != permit.generation {
        holding.generation = permit.generation;
        holding.permits = 0;
    }
    holding.permits = holding.permits.saturating_add(1);
}

/// One permit of this VM less. It may still stand in shared data for a while, never the other way round.
pub(super) fn give_back(holding: &mut LocalPermits, permit: Permit, settlement: Settlement) {
    let mine = permit.probe == Some(holding.instance) && permit.generation == holding.generation;
    if settlement.gives_back() && mine {
        holding.permits = holding.permits.saturating_sub(1);
    }
}
