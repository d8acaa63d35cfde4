//! What a worker does for limits that follow latency: it collects samples and shares them at the tick.

use crate::environment::Environment;
use crate::latency::{Ended, Latencies};
use crate::policy::Policy;
use crate::retry::Delay;
use crate::shared::keys;
use crate::shared::state::{Change, Undecided};
use crate::time::Span;

use super::Worker;
use crate::telemetry::InternalEvent;

impl<E: Environment> Worker<E> {
    /// A request ended after this time.
    pub(crate) fn observe(&mut self, upstream: usize, ended: Ended, latency: Span) {
        let entry = self.upstreams.entry(upstream);
        let policies = &self.routing.policies;
        if let Some(entry) = entry
            && policies.get(entry.policy).is_some_and(follows)
        {
            entry.seen.observe(ended, latency);
        }
    }

    /// The limit that follows the latency of this upstream.
    pub(crate) fn adaptive(&mut self, upstream: usize) -> Option<Span> {
        self.upstreams.entry(upstream)?.adaptive
    }

    /// Shares what was seen, and learns what all saw.
    pub(super) fn maintain_latency(&mut self, number: usize) {
        let (now, _) = self.moment();
        let Some(entry) = self.upstreams.entry(number) else {
            return;
        };
        let policy = self.routing.policies.get(entry.policy);
        let Some(policy) = policy.filter(|policy| follows(policy)) else {
            return;
        };
        let Some(key) = &entry.key else {
            return;
        };
        let key = keys::latency(key);
        let mut all = Latencies::default();
        let shared = self.env.update(&key, |stored| {
            let shared = stored.or_empty();
            shared.merge(&entry.seen, now);
            all.clone_from(shared);
            Change::stored_if(!entry.seen.is_empty())
        });
        match shared {
            // Beside what a later version wrote, nothing is known yet.
            Ok(true) | Err(Undecided::Later) => {
                entry.seen = Default::default();
                entry.adaptive = policy.time.adaptive.and_then(|follow| all.limit(&follow));
                let hedge = policy.retries.as_ref().and_then(|retries| retries.hedge);
                entry.hedge = match hedge {
                    Some(Delay::Percentile(follow)) => all.limit(&follow),
                    Some(Delay::After(_)) | None => None,
                };
            }
            Ok(false) => self.own.count(InternalEvent::LostRaces),
            Err(Undecided::Host(_)) => self.own.count(InternalEvent::UndecidedHost),
        }
    }
}

/// Whether a policy has a limit that follows latency.
fn follows(policy: &Policy) -> bool {
    let hedge = policy.retries.as_ref().and_then(|retries| retries.hedge);
    policy.time.adaptive.is_some() || matches!(hedge, Some(Delay::Percentile(_)))
}
