//! What happens in an experiment, and when: faults and surges, on a clock that steps move.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// More requests than else, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surge {
    /// From when, in nanoseconds since the trace began.
    pub at: u64,
    /// For how long, in nanoseconds.
    pub length: u64,
    /// How many times as many.
    pub times: f64,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Now, in nanoseconds since the trace began.
    pub clock: u64,
    /// Faults.
    pub faults: Vec<Fault>,
    /// Surges.
    pub surges: Vec<Surge>,
}

impl Surge {
    /// When it ends.
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.length)
    }
}

impl Timeline {
    /// Nothing has happened for so many nanoseconds.
    pub fn new(clock: u64) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    /// A fault begins, after as long as it says.
    pub fn fault(&mut self, mut fault: Fault) {
        fault.at = fault.at.saturating_add(self.clock);
        self.faults.push(fault);
    }

    /// A surge begins.
    pub fn surge(&mut self, surge: Surge) {
        self.surges.push(Surge {
            at: self.clock,
            ..surge
        });
    }

    /// Time passes.
    pub fn wait(&mut self, nanos: u64) {
        self.clock = self.clock.saturating_add(nanos);
    }

    /// Whatever holds ends now, and what was to come does not.
    pub fn heal(&mut self) {
        let now = self.clock;
        self.faults.retain(|fault| fault.at < now);
        self.surges.retain(|surge| surge.at < now);
        for fault in &mut self.faults {
            fault.length = fault.length.min(now - fault.at);
        }
        for surge in &mut self.surges {
            surge.length = surge.length.min(now - surge.at);
        }
    }

    /// From when to when something is wrong, in nanoseconds since the trace began.
    pub fn troubled(&self) -> Option<(u64, u64)> {
        let faults = self.faults.iter().map(|fault| (fault.at, fault.end()));
        let surges = self.surges.iter().map(|surge| (surge.at, surge.end()));
        let all = faults.chain(surges);
        all.reduce(|(from, to), (begin, end)| (from.min(begin), to.max(end)))
    }
}
