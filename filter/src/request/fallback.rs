//! The fallback ladder, walked: for a request that does not go, and for a failed answer that can still be replaced.

use seawall_policy::admission::Decision;
use seawall_policy::deadline::Limit;
use seawall_policy::fallback::{Fallback, Kind, Ladder};

use super::{Failover, HttpRequest, PendingRequest};
use crate::attempt_state::FAILOVER;
use crate::facts::RequestFacts;
use crate::host::action::Action;
use crate::host::headers::{Map, Pairs};
use crate::local_reply::{self, LocalReplyCause};
use crate::telemetry::Event;
use crate::worker::AdmissionInput;
use crate::worker::selection::key_part;

/// What became of one rung.
enum Rung {
    /// It answered, if the host took it.
    Static(bool),
    /// The same request may go to this cluster.
    Cluster(String),
    /// A stale answer of so many seconds stood in, if there was one.
    Stale(Option<u64>),
}

/// A request that is asked about.
pub(super) struct CacheLookup<'a> {
    pub(super) asking: AdmissionInput<'a>,
    pub(super) upstream: usize,
    pub(super) facts: &'a RequestFacts,
    pub(super) pairs: &'a Pairs,
}

impl HttpRequest {
    /// Answers a request that does not go: by the first rung that can, or by the plain refusal.
    pub(super) fn refuse(&mut self, asked: &CacheLookup<'_>, need: LocalReplyCause) -> Action {
        let LocalReplyCause::Refused {
            reason,
            retry_after,
        } = need
        else {
            return Action::Continue;
        };
        let (policy, grpc) = (asked.asking.selected.policy, asked.facts.grpc);
        for step in 0..Ladder::RUNGS_MAX {
            let Some(rung) = self.rung(policy, need, asked.facts.kind(), step) else {
                break;
            };
            match rung {
                Rung::Static(true) => {
                    self.count(asked.upstream, Event::Fallback("static", need.cause()));
                    return Action::Pause;
                }
                Rung::Cluster(cluster) if self.fail_over(asked, &cluster, need) => {
                    self.count(asked.upstream, Event::Fallback("cluster", need.cause()));
                    return Action::Continue;
                }
                Rung::Stale(Some(age)) => {
                    self.count(asked.upstream, Event::Fallback("stale", need.cause()));
                    self.log_age(asked.upstream, age);
                    return Action::Pause;
                }
                Rung::Static(false) | Rung::Cluster(_) | Rung::Stale(None) => {}
            }
        }
        let refused = self.with(|worker| {
            let policy = worker.policy(policy)?;
            Some(local_reply::refuse(policy, grpc, reason, retry_after))
        });
        match refused {
            Some(true) => Action::Pause,
            Some(false) | None => Action::Continue,
        }
    }

    /// Puts an answer of our own in the place of a failed one; `false` if no rung stands for it.
    pub(super) fn replace(&self, waiting: &PendingRequest) -> bool {
        for step in 0..Ladder::RUNGS_MAX {
            let Some(rung) = self.rung(waiting.ladder, LocalReplyCause::Failed, waiting.kind, step)
            else {
                break;
            };
            let name = match rung {
                Rung::Static(true) => "static",
                Rung::Stale(Some(age)) => {
                    self.log_age(waiting.upstream, age);
                    "stale"
                }
                Rung::Static(false) | Rung::Stale(None) | Rung::Cluster(_) => continue,
            };
            self.count(
                waiting.upstream,
                Event::Fallback(name, LocalReplyCause::Failed.cause()),
            );
            return true;
        }
        false
    }

    fn log_age(&self, upstream: usize, seconds: u64) {
        self.with(|worker| {
            worker.record_stale_age(upstream, seconds);
            Some(())
        });
    }

    fn rung(&self, policy: usize, need: LocalReplyCause, kind: Kind, step: usize) -> Option<Rung> {
        let grpc = kind == Kind::Grpc;
        self.with(|worker| {
            let policy = worker.policy(policy)?;
            let rung = policy.fallback.answers(need.cause(), kind).nth(step)?;
            Some(match rung {
                Fallback::Static(fixed) => {
                    Rung::Static(local_reply::static_response(policy, fixed, grpc, need))
                }
                Fallback::Cluster(cluster) => Rung::Cluster(cluster.clone()),
                Fallback::Stale(_) => {
                    let stale = self.stale.as_ref();
                    Rung::Stale(stale.and_then(|stale| stale.give(policy, need)))
                }
            })
        })
    }

    /// Sends the request to another cluster, if that admits it; whose own ladder has no say in that, so that there are
    /// no loops.
    fn fail_over(&mut self, asked: &CacheLookup<'_>, cluster: &str, need: LocalReplyCause) -> bool {
        let LocalReplyCause::Refused { reason, .. } = need else {
            return false;
        };
        let Some(selected) = self.with(|worker| worker.select(cluster, None)) else {
            return false;
        };
        let claims = self.priority_and_partition(selected.policy, asked.pairs);
        let part = key_part(selected, asked.pairs);
        let asking = AdmissionInput {
            selected,
            cluster,
            part: part.as_ref().map(|(kind, part)| (*kind, part.as_str())),
            priority: claims.priority,
            tag: claims.tag,
            unfinished: claims.unfinished,
            exempt: claims.exempt,
            ..asked.asking
        };
        let Some(upstream) = self.with(|worker| worker.find(&asking)) else {
            return false;
        };
        let limit = self.limit(&asking, upstream, asked.facts, asked.pairs);
        if limit == Limit::Doomed {
            return false;
        }
        let Some(admitted) = self.with(|worker| worker.admit(upstream, &asking)) else {
            return false;
        };
        if matches!(admitted.decision, Decision::Refuse { .. }) {
            return false;
        }
        let elsewhere = Failover {
            reason,
            ladder: asked.asking.selected.policy,
        };
        Map::Request.set(FAILOVER, cluster);
        self.forward(
            &asking,
            upstream,
            &admitted,
            asked.facts,
            limit,
            Some(elsewhere),
        );
        true
    }
}
