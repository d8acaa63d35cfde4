//! An upstream whose state is asked, and what this root wants its record to look like.

use crate::policy::Policy;
use crate::shared::configurations::Standing;
use crate::shared::record::{Record, RecordShape};
use crate::shared::state::Key;

/// The upstream whose state is asked.
#[derive(Clone, Copy, Debug)]
pub struct GovernedUpstream<'a> {
    /// Its policy.
    pub policy: &'a Policy,
    /// Its key in shared data; `None` where it has no state, so that it never refuses.
    pub key: Option<&'a Key<Record>>,
    /// When this root took its configuration, and how it stands beside others.
    pub standing: &'a Standing,
    /// The VMs that are marked as dead: what they hold is free.
    pub dead: &'a [u64],
}

impl GovernedUpstream<'_> {
    /// What this root wants the record to look like.
    pub fn claim(&self) -> RecordShape {
        let longest = self.policy.breaker.open.longest();
        RecordShape {
            configured_at: self.standing.configured_at,
            alone: self.standing.alone,
            longest,
            ahead: longest.times(2).max(self.standing.ahead),
            counting: self.policy.breaker.mode.counts(),
            geometry: self.policy.breaker.window,
            slice: self
                .policy
                .retries
                .as_ref()
                .map(|retries| retries.budget.slice()),
        }
    }
}
