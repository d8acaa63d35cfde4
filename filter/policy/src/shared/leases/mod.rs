//! Leases: which VM holds how many of something that is bounded over all VMs. Half-open permits and in-flight slots are leases.
//!
//! * The record that is bounded lists its leases. A VM takes by one step on that record and gives back by another: it holds
//!   what the record says. Each step says how many: a permit at a time, slots also in lots ([`crate::concurrency::credits`]).
//! * A list belongs to one **generation**. That of permits is the breaker's, so that a permit of an earlier half-open state
//!   changes nothing. Slots have a single one, 0.
//! * A VM **lists itself** as a member ([`super::members`]) before it takes its first lease, and shows there, in one place for
//!   all that it holds, that it lives. Every VM watches that list. A VM that was silent for too long is marked as dead there.
//! * **Every step** on a record begins without the leases of VMs that are marked ([`Leases::expire`]). So nobody has to have
//!   looked at a record before what was held there is free.
//! * A VM that was only slow finds itself marked. It takes another number; what it gives back under the old one finds no
//!   lease and changes nothing. What it had in flight comes on top until it ends.
//! * **A lease of a VM that is not listed** is of an earlier module, of a VM whose death was forgotten since (the list of
//!   the dead is bounded), or of one that lost its place in a damaged list. Ticks look for such leases ([`Leases::sweep`])
//!   and take them back once they stood unchanged for as long as a silent VM is given.
//!
//! Beside an **earlier module**: it lists itself for slots only, and moves the `beat` of its permits at each tick. So its
//! permits are not listed, and are taken back once their beat stands still. It expects the same of others: it takes the
//! permits of this module back after three of its ticks, which is early and costs the verdict of a slow probe, no more.

use super::instance::{next, vm_of};
use crate::liveness::Liveness;

/// What one VM holds, as it stands in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The VM's instance number.
    pub instance: u64,
    /// How many, at least 1.
    pub quantity: u32,
    /// Which taking it was, in the order of the list. Earlier modules move it as long as they live.
    pub beat: u32,
}

impl Lease {
    /// What a VM of an earlier module shows of itself by it.
    pub const fn liveness(&self) -> Liveness {
        Liveness {
            instance: self.instance,
            beat: self.beat,
        }
    }
}

/// What a VM believes to hold by one record.
///
/// It counts what it takes after it stands in the record, and what it gives back before: so it never believes to hold more
/// than it does, unless it was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalLease {
    /// Its instance number.
    pub instance: u64,
    /// The generation that it is of.
    pub generation: u64,
    /// How many.
    pub quantity: u32,
}

impl LocalLease {
    /// A VM that holds nothing, under this number.
    pub const fn none(instance: u64) -> Self {
        Self {
            instance,
            generation: 0,
            quantity: 0,
        }
    }

    /// The same VM under its next number: what it held is void, or given up.
    pub const fn anew(&self) -> Self {
        Self::none(next(self.instance))
    }

    /// The record was looked at: whether the VM was given up.
    pub fn seen(&mut self, expired: bool) {
        if expired {
            *self = self.anew();
        }
    }

    /// It took one more, under whichever number.
    pub fn took(&mut self, instance: u64, generation: u64) {
        self.took_all(instance, generation, 1);
    }

    /// It took so many more.
    pub(crate) fn took_all(&mut self, instance: u64, generation: u64, quantity: u32) {
        if (self.instance, self.generation) != (instance, generation) {
            *self = Self {
                instance,
                generation,
                quantity: 0,
            };
        }
        self.quantity = self.quantity.saturating_add(quantity);
    }

    /// It gives one back, unless that was taken under another number or in another generation.
    pub fn returned(&mut self, instance: u64, generation: u64) {
        self.returned_all(instance, generation, 1);
    }

    /// It gives so many back.
    pub(crate) fn returned_all(&mut self, instance: u64, generation: u64, quantity: u32) {
        if (self.instance, self.generation) == (instance, generation) {
            self.quantity = self.quantity.saturating_sub(quantity);
        }
    }
}

/// All leases by one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    generation: u64,
    newest: u32,
    list: Vec<Lease>,
}

impl Leases {
    /// No leases, in this generation.
    pub const fn begun(generation: u64) -> Self {
        Self {
            generation,
            newest: 0,
            list: Vec::new(),
        }
    }

    /// What a record says: its generation, the highest beat that was given, the leases.
    pub(crate) const fn stored(generation: u64, newest: u32, list: Vec<Lease>) -> Self {
        Self {
            generation,
            newest,
            list,
        }
    }

    /// The highest beat that was given.
    pub(crate) const fn newest(&self) -> u32 {
        self.newest
    }

    /// Each lease.
    pub fn list(&self) -> &[Lease] {
        &self.list
    }

    /// What all VMs hold together.
    pub fn in_flight(&self) -> u32 {
        let quantities = self.list.iter().map(|lease| lease.quantity);
        quantities.fold(0, u32::saturating_add)
    }

    /// How many this VM holds.
    pub fn held_by(&self, instance: u64) -> u32 {
        let lease = self.list.iter().find(|lease| lease.instance == instance);
        lease.map_or(0, |lease| lease.quantity)
    }

    /// Whether a VM was given up: it holds less than it believes.
    #[inline]
    pub fn has_lost(&self, local: &LocalLease) -> bool {
        local.generation == self.generation && self.held_by(local.instance) < local.quantity
    }

    /// Gives a VM so many more; `false` if that were more leases than `most`. No two takings have one beat, in this generation
    /// or the one before: an earlier module must not take one for the other.
    pub(crate) fn take(&mut self, instance: u64, quantity: u32, most: usize) -> bool {
        let first = (self.generation as u32) << 16;
        let beat = self.newest.max(first).wrapping_add(1);
        match self.find(instance) {
            Some(lease) => {
                lease.quantity = lease.quantity.saturating_add(quantity);
                lease.beat = beat;
            }
            None => {
                if self.list.len() >= most {
                    return false;
                }
                self.list.push(Lease {
                    instance,
                    quantity,
                    beat,
                });
            }
        }
        self.newest = beat;
        true
    }

    /// Takes so many back; `false` if this VM holds none.
    pub(crate) fn give_back(&mut self, instance: u64, quantity: u32) -> bool {
        let Some(lease) = self.find(instance) else {
            return false;
        };
        lease.quantity = lease.quantity.saturating_sub(quantity);
        self.drop_if(&mut |lease| lease.quantity == 0);
        true
    }

    /// Takes everything back from VMs that are marked as dead; `false` if they hold none.
    pub(crate) fn expire(&mut self, dead: &[u64]) -> bool {
        self.drop_if(&mut |lease| dead.contains(&vm_of(lease.instance)))
    }

    /// What a VM does at its tick: it takes back what is `gone`, and of its own what it does not know of: under numbers that
    /// it gave up, and under the present one if it holds nothing and has nothing to give back. `false` if there is none.
    pub(crate) fn sweep(
        &mut self,
        local: &LocalLease,
        owes: bool,
        gone: &mut dyn FnMut(&Lease) -> bool,
    ) -> bool {
        let knows = owes || local.quantity > 0 && local.generation == self.generation;
        self.drop_if(
            &mut |lease| match vm_of(lease.instance) == vm_of(local.instance) {
                true => lease.instance != local.instance || !knows,
                false => gone(lease),
            },
        )
    }

    /// Takes everything back from all.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    #[inline(never)]
    fn drop_if(&mut self, ends: &mut dyn FnMut(&Lease) -> bool) -> bool {
        let before = self.list.len();
        self.list.retain(|lease| !ends(lease));
        self.list.len() < before
    }

    fn find(&mut self, instance: u64) -> Option<&mut Lease> {
        self.list
            .iter_mut()
            .find(|lease| lease.instance == instance)
    }
}

#[cfg(test)]
mod tests;
