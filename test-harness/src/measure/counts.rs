//! What users got, counted.

use std::ops::AddAssign;

use schemars::JsonSchema;
use seawall_policy::admission::Reason;
use serde::{Deserialize, Serialize};

/// What a user got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientOutcome {
    /// The upstream's own answer.
    Good,
    /// An answer of the fallback ladder.
    Degraded,
    /// A refusal of the filter.
    Refused,
    /// An error.
    Failed,
}

impl ClientOutcome {
    /// What a response is to its user, by its status and the filter's headers: `x-seawall-degraded` and `x-seawall-reason`.
    pub fn of(status: u32, degraded: bool, reason: Option<&str>) -> Self {
        match (degraded, reason) {
            (true, _) => Self::Degraded,
            (false, Some(_)) => Self::Refused,
            (false, None) if status >= 500 => Self::Failed,
            (false, None) => Self::Good,
        }
    }
}

/// Whether an answer of the filter with this reason was given before the upstream was asked.
pub fn is_refusal(reason: &str) -> bool {
    Reason::ALL.iter().any(|known| known.name() == reason)
}

/// Counts by what users got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// The upstream's own answer.
    pub good: u64,
    /// An answer of the fallback ladder.
    pub degraded: u64,
    /// A refusal of the filter.
    pub refused: u64,
    /// An error.
    pub failed: u64,
}

/// Of what was hit a share of this much or more got no good answer.
const HIT: f64 = 0.01;

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.good += other.good;
        self.degraded += other.degraded;
        self.refused += other.refused;
        self.failed += other.failed;
    }
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.good + self.degraded + self.refused + self.failed
    }

    /// A count as a share of all, from 0 to 1; 0 where there are none.
    pub fn share(&self, count: u64) -> f64 {
        count as f64 / self.all().max(1) as f64
    }

    /// Those that did not get the upstream's own answer.
    pub(crate) fn hit(&self) -> u64 {
        self.all() - self.good
    }

    /// Whether one in a hundred or more did not get the upstream's own answer.
    pub(super) fn is_hit(&self) -> bool {
        self.hit() > 0 && self.share(self.hit()) >= HIT
    }

    pub(super) fn add(&mut self, outcome: ClientOutcome) {
        match outcome {
            ClientOutcome::Good => self.good += 1,
            ClientOutcome::Degraded => self.degraded += 1,
            ClientOutcome::Refused => self.refused += 1,
            ClientOutcome::Failed => self.failed += 1,
        }
    }
}
