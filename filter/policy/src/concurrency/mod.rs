//! Places: how many requests are in flight at one upstream, counted exactly over all VMs.
//!
//! Every request that goes takes one slot under its VM's instance number, and gives it back at its end, each by one
//! compare-and-swap. Credits that VMs hold in advance would save writes and strand slots where they are not used; one
//! swap costs a microsecond, so there are none. The record lists who holds how many: a VM that dies is seen by its silence
//! ([`members`]) and loses all it held. One that was only slow finds that it was given up, takes another instance number,
//! and what it gives back under the old one finds no holder and changes nothing. A tick looks at a bounded number of keys
//! ([`rounds`]).
//!
//! **Invariant:** slots held by live VMs never exceed the limit they were taken under, whatever the interleaving. What a
//! stalled VM had in flight when it was given up comes on top until it ends; so does what was in flight when the limit
//! fell, or when a damaged record was replaced. Of a limit that follows latency the highest priority has some slots
//! beyond ([`crate::shedding::RESERVED_SLOTS`]).

mod codec;
pub mod members;
pub mod partitions;
pub mod rounds;
mod steps;
pub mod unfinished;

pub use codec::VERSION;
pub use steps::{
    AcquireRequest, Acquired, Bound, Feedback, Returned, SlotReport, acquire, maintain, peek,
    record_feedback, release,
};

use crate::limiter::Limiter;
use crate::liveness::Liveness;
use crate::shedding::reported_load::ReportedLoad;
use crate::time::Timestamp;
use members::{Members, vm_of};

/// How many VMs may hold slots at the same time; what another one lets go is not counted.
pub const HOLDERS_MAX: usize = 256;

/// One VM and its slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The VM's instance number.
    pub instance: u64,
    /// How many slots it holds, at least 1.
    pub held: u32,
    /// Moves while the VM lives.
    pub beat: u32,
}

/// What a VM believes to hold under one key.
///
/// It counts a slot before it gives it back in shared data, and after it took it there: so it never believes to hold
/// more than it does, unless it was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalLease {
    /// Its instance number.
    pub instance: u64,
    /// How many slots.
    pub held: u32,
}

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
    beats: u32,
    holders: Vec<Lease>,
}

impl InFlightSlots {
    /// Slots held by all VMs together.
    pub fn in_flight(&self) -> u32 {
        self.holders
            .iter()
            .fold(0, |sum, holder| sum.saturating_add(holder.held))
    }

    /// Who holds any.
    pub fn holders(&self) -> &[Lease] {
        &self.holders
    }

    /// How many this VM holds.
    pub fn held_by(&self, instance: u64) -> u32 {
        let holder = self.holders.iter().find(|one| one.instance == instance);
        holder.map_or(0, |holder| holder.held)
    }

    /// Whether a VM was given up: it holds less than it believes.
    pub fn has_lost(&self, holding: LocalLease) -> bool {
        self.held_by(holding.instance) < holding.held
    }

    /// Gives this VM one more, which is a sign of life too; `false` if there are too many holders.
    fn acquire(&mut self, instance: u64) -> bool {
        let beat = self.next_beat();
        if let Some(holder) = self.find(instance) {
            holder.held = holder.held.saturating_add(1);
            holder.beat = beat;
            return true;
        }
        if self.holders.len() >= HOLDERS_MAX {
            return false;
        }
        self.holders.push(Lease {
            instance,
            held: 1,
            beat,
        });
        true
    }

    /// Takes one back; `false` if this VM holds none.
    fn release(&mut self, instance: u64) -> bool {
        let Some(holder) = self.find(instance) else {
            return false;
        };
        holder.held = holder.held.saturating_sub(1);
        self.holders.retain(|holder| holder.held > 0);
        true
    }

    /// A sign of life; `false` if this VM holds none.
    fn heartbeat(&mut self, instance: u64) -> bool {
        let beat = self.next_beat();
        let holder = self.find(instance);
        holder.map(|holder| holder.beat = beat).is_some()
    }

    /// Takes everything back from a VM that showed no life since; `false` if it did, or holds none.
    fn expire(&mut self, sign: Liveness) -> bool {
        let before = self.holders.len();
        self.holders.retain(|holder| holder.liveness() != sign);
        self.holders.len() < before
    }

    /// Takes everything back from VMs that are known to be dead; `false` if they hold none.
    pub fn expire_dead(&mut self, dead: &[u64]) -> bool {
        let before = self.holders.len();
        if !dead.is_empty() {
            self.holders
                .retain(|holder| !dead.contains(&vm_of(holder.instance)));
        }
        self.holders.len() < before
    }

    /// Takes back what this VM held under other numbers than this one: it does not know of it any more.
    fn disown(&mut self, instance: u64, members: &Members) -> bool {
        let before = self.holders.len();
        if members.is_alive(instance) {
            let vm = vm_of(instance);
            self.holders
                .retain(|holder| holder.instance == instance || vm_of(holder.instance) != vm);
        }
        self.holders.len() < before
    }

    /// A beat that nobody had before: a VM that gives all back and takes another between two looks of a watcher must not
    /// look as if it had done nothing.
    fn next_beat(&mut self) -> u32 {
        self.beats = self.beats.wrapping_add(1);
        self.beats
    }

    fn find(&mut self, instance: u64) -> Option<&mut Lease> {
        self.holders
            .iter_mut()
            .find(|holder| holder.instance == instance)
    }
}

impl Lease {
    /// What it shows of itself.
    pub const fn liveness(&self) -> Liveness {
        Liveness {
            instance: self.instance,
            beat: self.beat,
        }
    }
}

#[cfg(test)]
mod tests;
