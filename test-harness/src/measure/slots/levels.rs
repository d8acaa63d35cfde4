//! What is kept of a slot, and what becomes of two that become one.

use hdrhistogram::Histogram;

use crate::measure::counts::Counts;

/// A number that goes up and down, and the most that it was in each slot.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) now: u64,
    pub(super) most: Vec<Most>,
}

/// The larger one counts where two are joined.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Most(pub(super) u64);

/// What held last counts where two are joined.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latest(pub(super) Option<u64>);

impl Join for Latest {
    fn join(&mut self, other: Self) {
        self.0 = other.0.or(self.0);
    }
}

/// What held in each of so many slots; nothing where nothing ever did.
pub(super) fn limits(mut limits: Vec<Latest>, count: usize) -> Vec<Option<u64>> {
    let Some(last) = limits.last().copied() else {
        return Vec::new();
    };
    limits.resize(count, last);
    limits.into_iter().map(|latest| latest.0).collect()
}

impl Level {
    pub(super) fn set(&mut self, slot: usize, level: u64) {
        while self.most.len() <= slot {
            self.most.push(Most(self.now));
        }
        self.most[slot].join(Most(level));
        self.now = level;
    }

    pub(super) fn padded(mut self, count: usize) -> Vec<u64> {
        self.most.resize(count, Most(self.now));
        self.most.into_iter().map(|most| most.0).collect()
    }
}

/// What two slots have that become one.
pub(super) trait Join {
    fn join(&mut self, other: Self);
}

impl Join for u64 {
    fn join(&mut self, other: Self) {
        *self += other;
    }
}

impl Join for Most {
    fn join(&mut self, other: Self) {
        self.0 = self.0.max(other.0);
    }
}

impl Join for Counts {
    fn join(&mut self, other: Self) {
        *self += other;
    }
}

impl Join for Option<Histogram<u32>> {
    fn join(&mut self, other: Self) {
        match (self.as_mut(), other) {
            (_, None) => {}
            (None, other) => *self = other,
            // Neither holds more than the bound of both, so the larger one fits.
            (Some(one), Some(other)) => one.add(other).unwrap_or_default(),
        }
    }
}

pub(super) fn join<T: Join>(slots: &mut Vec<T>, times: usize) {
    let mut joined: Vec<T> = Vec::with_capacity(slots.len().div_ceil(times));
    for (number, slot) in std::mem::take(slots).into_iter().enumerate() {
        match joined.last_mut().filter(|_| number % times > 0) {
            Some(last) => last.join(slot),
            None => joined.push(slot),
        }
    }
    *slots = joined;
}
