//! Credits: slots that a VM holds in advance, so that a request takes one and gives it back without a write.
//!
//! * A record says how many slots each VM holds, used or not ([`super::InFlightSlots`]). So what is in flight at living VMs never exceeds
//!   what the record says, and that never exceeds the limit under which it was dealt.
//! * **They are dealt in lots** of a share of the limit, only while all that is out stays below half of each bound and below the
//!   least share that a priority has. Beyond that slots are taken one by one, against all that is out.
//! * **Idle ones go back**: what was not needed since the last tick, at the tick; all of them once more is out than is dealt in lots, at the
//!   next tick or as soon as the upstream's epoch moved. Whoever is refused a slot moves it. So a refusal for want of slots
//!   that others hold idle lasts for a tick at most.
//! * A VM uses its credits only while its ticks are on time and the epoch stands: one that was given up for dead finds that
//!   out by the record before it lets anything go.
//!
//! What requests teach about the limit is collected beside them, and enters with the next write, at the tick at the latest.

use crate::limiter::Sample;
use crate::time::Timestamp;

/// So many samples are collected at the most.
pub const SAMPLES_MAX: usize = 64;

/// What a VM brings that takes or gives back slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many of the slots that it holds are idle.
    pub idle: u32,
    /// How many VMs hold slots in advance; 0 where this one does not.
    pub vms: u32,
}

/// What the record said when it was last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The upstream's epoch before that.
    pub epoch: u64,
    /// How many slots others held.
    pub others: u32,
    /// How many idle ones this VM may keep.
    pub keeps: u32,
}

/// The idle slots of one VM under one key, and what it learned meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Credits {
    idle: u32,
    /// The fewest since the last tick.
    least: u32,
    seen: Option<Seen>,
    samples: Vec<(Sample, Timestamp)>,
}

impl Credits {
    /// How many are idle.
    pub const fn idle(&self) -> u32 {
        self.idle
    }

    /// Takes an idle one, of so many slots that this VM holds, while the epoch is the one before the record was last read. How
    /// many are in flight then, as far as is known.
    #[inline(never)]
    pub fn take(&mut self, epoch: Option<u64>, quantity: u32) -> Option<u32> {
        let seen = self.seen.filter(|seen| epoch == Some(seen.epoch))?;
        self.idle = self.idle.checked_sub(1)?;
        self.least = self.least.min(self.idle);
        let own = quantity.saturating_sub(self.idle);
        Some(seen.others.saturating_add(own))
    }

    /// Keeps one that a request gives back, with what the request says; `false` where the record has to be told.
    #[inline(never)]
    pub fn keep(&mut self, epoch: Option<u64>, sample: Option<Sample>, now: Timestamp) -> bool {
        let stands = |seen: &Seen| epoch == Some(seen.epoch) && self.idle < seen.keeps;
        let keeps = self.seen.is_some_and(|seen| stands(&seen)) && self.samples.len() < SAMPLES_MAX;
        if keeps {
            self.idle = self.idle.saturating_add(1);
            self.samples.extend(sample.map(|sample| (sample, now)));
        }
        keeps
    }

    /// The record was read: this VM has so many idle slots. Without an epoch it is read again for each request.
    pub fn read(&mut self, seen: Option<Seen>, idle: u32) {
        self.seen = seen;
        self.idle = idle;
        self.least = self.least.min(idle);
    }

    /// How many were not needed since the last time; counts anew.
    pub fn unneeded(&mut self) -> u32 {
        std::mem::replace(&mut self.least, self.idle).min(self.idle)
    }

    /// What was learned, which is handed out once.
    pub fn samples(&mut self) -> Vec<(Sample, Timestamp)> {
        std::mem::take(&mut self.samples)
    }

    /// The record is asked before the next idle slot is used or kept.
    pub fn forget_seen(&mut self) {
        self.seen = None;
    }

    /// What could not be told is told later.
    pub fn put_back(&mut self, samples: Vec<(Sample, Timestamp)>) {
        self.samples = samples;
        self.samples.truncate(SAMPLES_MAX);
    }

    /// Whether the tick has something to tell.
    pub fn is_due(&self) -> bool {
        self.idle > 0 || !self.samples.is_empty()
    }
}
