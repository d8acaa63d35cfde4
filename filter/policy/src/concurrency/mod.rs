//! Places: how many requests are in flight at one upstream, counted exactly over all VMs.
//!
//! Every request that goes takes one slot under its VM's instance number, and gives it back at its end: by one compare-and-swap
//! each, or, while little is in flight, of those that its VM holds in advance ([`credits`]). A slot is a lease
//! ([`crate::shared::leases`]): a VM that dies loses all it held. A tick looks at a bounded number of keys ([`rounds`]).
//!
//! **Invariant:** slots held by live VMs never exceed the limit they were taken under, whatever the interleaving, and requests in
//! flight never exceed the slots that their VM holds. What a
//! stalled VM had in flight when it was given up comes on top until it ends; so does what was in flight when the limit
//! fell, or when a damaged record was replaced. Of a limit that follows latency the highest priority has some slots
//! beyond ([`crate::shedding::RESERVED_SLOTS`]).

mod bound;
mod codec;
pub mod credits;
pub mod local;
pub mod partitions;
pub mod rounds;
mod steps;
pub mod unfinished;

pub use bound::Bound;
pub use codec::VERSION;
pub use steps::{
    AcquireRequest, Acquired, Feedback, Returned, Settlement, SlotReport, acquire, maintain, peek,
    record_feedback, release, settle,
};

use crate::limiter::Limiter;
use crate::shared::leases::Leases;
use crate::shedding::reported_load::ReportedLoad;
use crate::time::Timestamp;

/// How many VMs may hold slots at the same time; what another one lets go is not counted.
pub const HOLDERS_MAX: usize = 256;
/// Slots have no generations.
pub(crate) const GENERATION: u64 = 0;

/// A slot that a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId {
    /// The instance number under which it was taken.
    pub instance: u64,
    /// How many were in flight with it.
    pub in_flight: u32,
    /// Whether it was one of the last that the request's priority could get.
    pub pressed: bool,
}

/// The state of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InFlightSlots {
    /// Whose they are, where the key is one of many partitions: a hash that is never 0; 0 says nobody's.
    pub tag: u64,
    /// The adaptive limit, where there is one.
    pub limiter: Option<Limiter>,
    /// What the upstream said of its load.
    pub load: ReportedLoad,
    /// The time of the last step.
    pub last: Timestamp,
    /// Who holds how many.
    pub leases: Leases,
}

impl InFlightSlots {
    /// Slots held by all VMs together.
    pub fn in_flight(&self) -> u32 {
        self.leases.in_flight()
    }
}

#[cfg(test)]
mod tests;
