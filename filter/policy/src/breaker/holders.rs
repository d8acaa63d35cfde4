//! Who holds how many half-open permits: what makes them exact over all workers, and lets a dead worker's come back.
//!
//! A holder is a VM by its instance number, drawn at random. While it holds permits it beats at every tick. Whoever sees
//! a holder without a beat for three of its own ticks may expire it; a VM that was only slow finds itself gone, takes a
//! new number, and its old settlements find no holder and change nothing.

use crate::liveness::Liveness;

/// How many VMs may hold permits of one generation at the same time; a further one is refused.
pub const HOLDERS_MAX: usize = 16;

/// One VM and its permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermitLease {
    /// The VM's instance number.
    pub instance: u64,
    /// How many permits it holds; 0 is an empty place.
    pub permits: u32,
    /// Moves while the VM lives.
    pub beat: u32,
}

impl PermitLease {
    /// What it shows of itself.
    pub const fn liveness(&self) -> Liveness {
        Liveness {
            instance: self.instance,
            beat: self.beat,
        }
    }

    /// An empty place belongs to nobody; its beat stays.
    fn leave(&mut self) {
        if self.permits == 0 {
            self.instance = 0;
        }
    }
}

/// All holders of one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermitLeases {
    pub(crate) places: [PermitLease; HOLDERS_MAX],
}

impl PermitLeases {
    /// Permits held by all VMs together.
    pub fn in_flight(&self) -> u32 {
        self.iter()
            .fold(0, |sum, holder| sum.saturating_add(holder.permits))
    }

    /// The holders there are.
    pub fn iter(&self) -> impl Iterator<Item = &PermitLease> {
        self.places.iter().filter(|holder| holder.permits > 0)
    }

    /// How many permits this VM holds.
    pub fn held_by(&self, instance: u64) -> u32 {
        self.iter()
            .find(|holder| holder.instance == instance)
            .map_or(0, |holder| holder.permits)
    }

    /// Gives this VM one more, which is a sign of life too; `false` if no place is free. The beat is one that nobody had
    /// in this generation nor in the one before, whatever place it is: a VM that gives a permit back and takes another
    /// between two looks of a watcher must not look as if it had done nothing.
    pub(crate) fn acquire(&mut self, instance: u64, generation: u64) -> bool {
        let newest = self.places.iter().map(|holder| holder.beat).max();
        let first = (generation as u32) << 16;
        let beat = newest.unwrap_or(0).max(first).wrapping_add(1);
        let known = self.held_by(instance) > 0;
        let place = self.places.iter_mut().find(|holder| match known {
            true => holder.permits > 0 && holder.instance == instance,
            false => holder.permits == 0,
        });
        let Some(holder) = place else {
            return false;
        };
        *holder = PermitLease {
            instance,
            permits: holder.permits.saturating_add(1),
            beat,
        };
        true
    }

    /// Takes one back; `false` if this VM holds none.
    pub(crate) fn release(&mut self, instance: u64) -> bool {
        match self.find(instance) {
            Some(holder) => {
                holder.permits = holder.permits.saturating_sub(1);
                holder.leave();
                true
            }
            None => false,
        }
    }

    /// A sign of life; `false` if this VM holds none.
    pub(crate) fn beat(&mut self, instance: u64) -> bool {
        match self.find(instance) {
            Some(holder) => {
                holder.beat = holder.beat.wrapping_add(1);
                true
            }
            None => false,
        }
    }

    /// Takes everything back from a VM that showed no life since `beat`; `false` if it did, or holds none.
    pub(crate) fn expire(&mut self, instance: u64, beat: u32) -> bool {
        match self.find(instance) {
            Some(holder) if holder.beat == beat => {
                holder.permits = 0;
                holder.leave();
                true
            }
            _ => false,
        }
    }

    /// Takes everything back from all. The beats stay, so that no beat is given twice.
    pub(crate) fn clear(&mut self) {
        for holder in &mut self.places {
            holder.permits = 0;
            holder.leave();
        }
    }

    fn find(&mut self, instance: u64) -> Option<&mut PermitLease> {
        self.places
            .iter_mut()
            .find(|holder| holder.permits > 0 && holder.instance == instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_by_holder() {
        let mut holders = PermitLeases::default();
        assert!(holders.acquire(7, 0) && holders.acquire(7, 0) && holders.acquire(9, 0));
        assert_eq!((holders.held_by(7), holders.in_flight()), (2, 3));
        assert!(holders.release(7) && holders.release(7));
        assert!(!holders.release(7), "it holds none any more");
        assert_eq!(holders.in_flight(), 1);
    }

    #[test]
    fn a_holder_that_beats_is_not_expired_and_one_that_does_not_loses_all() {
        let mut holders = PermitLeases::default();
        holders.acquire(7, 0);
        holders.acquire(7, 0);
        assert!(holders.beat(7));
        assert!(!holders.expire(7, 2));
        assert!(holders.expire(7, 3));
        assert_eq!(holders.in_flight(), 0);
        assert!(
            !holders.beat(7) && !holders.release(7),
            "old settlements are void"
        );
    }

    #[test]
    fn a_permit_taken_is_a_sign_of_life() {
        let mut holders = PermitLeases::default();
        holders.acquire(7, 0);
        holders.release(7);
        holders.acquire(7, 0);
        assert!(!holders.expire(7, 1), "it is not the permit that was seen");
        assert!(holders.expire(7, 2));
        let mut later = PermitLeases::default();
        later.acquire(7, 2);
        assert!(!later.expire(7, 1) && !later.expire(7, 2));
    }

    #[test]
    fn there_is_place_for_so_many_holders_and_no_more() {
        let mut holders = PermitLeases::default();
        for instance in 1..=HOLDERS_MAX as u64 {
            assert!(holders.acquire(instance, 0));
        }
        assert!(!holders.acquire(99, 0));
        assert!(holders.acquire(3, 0));
        holders.release(5);
        assert!(holders.acquire(99, 0));
    }
}
