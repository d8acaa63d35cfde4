//! The way of a request up to the router: what came with it, whether it goes, and what it takes along.

use seawall_policy::across::Kept;
use seawall_policy::admission::{Decision, Reason};
use seawall_policy::deadline::{Limit, LimitSource};
use seawall_policy::outcome::Lenience;
use seawall_policy::places::slots;
use seawall_policy::priority::Priority;
use seawall_policy::retry::attempts::{Attempts, Flags};
use seawall_policy::retry::{Mode, Settings};
use seawall_policy::time::{Span, Timestamp};

use super::held::Held;
use super::ladder::Asked;
use super::{Elsewhere, HttpRequest, Stage, Waiting};
use crate::account::Accounted;
use crate::answer::{About, Need};
use crate::arrival::{Arrival, PRIORITY};
use crate::attempts::{self, ATTEMPT};
use crate::facts::Facts;
use crate::host::exports::Action;
use crate::host::headers::{Map, Pairs};
use crate::host::{clock, properties};
use crate::steer::{self, Leave};
use crate::stream::{SharedWorker, with};
use crate::telemetry::{Concern, Event};
use crate::worker::{Admitted, Asking, Selected};

impl HttpRequest {
    /// Asks about a governed request, and does what is said. Nothing if something could not be found out.
    pub(super) fn ask(
        &mut self,
        selected: Selected,
        cluster: &str,
        facts: &Facts,
        pairs: &Pairs,
    ) -> Option<Action> {
        const INBOUND: u64 = 1;
        let inbound = properties::number("xds\0listener_direction") == Some(INBOUND);
        let arrival = self.with(|worker| Some(Arrival::read(worker, facts, pairs, inbound)));
        self.arrival = arrival.unwrap_or_default();
        self.strip(facts, true);
        let route = selected
            .by_route
            .then(|| properties::text("xds\0route_name"))
            .flatten();
        let part = match (selected.by_authority, &facts.authority, &route) {
            (Some(_), Some(authority), _) => Some(("authority", authority.as_str())),
            (Some(_), None, _) => Some(("authority", "")),
            (None, _, Some(route)) => Some(("route", route.as_str())),
            (None, _, None) => None,
        };
        let (priority, tag) = self.importance(selected.policy, pairs);
        let asking = Asking {
            selected,
            cluster,
            part,
            inbound,
            draw: facts.draw,
            trusted: self.arrival.was_trusted(),
            priority,
            tag,
        };
        let upstream = self.with(|worker| worker.find(&asking))?;
        let asked = Asked {
            asking,
            upstream,
            facts,
            pairs,
        };
        let limit = self.limit(&asking, upstream, facts, pairs);
        if limit == Limit::Doomed {
            self.count(upstream, Event::Refused(Reason::Deadline));
            let need = Need::Refused {
                reason: Reason::Deadline,
                retry_after: Span::ZERO,
            };
            return Some(self.refuse(&asked, need));
        }
        let admitted = self.with(|worker| worker.admit(upstream, &asking))?;
        if let Decision::Refuse {
            reason,
            retry_after,
        } = admitted.decision
        {
            let need = Need::Refused {
                reason,
                retry_after,
            };
            return Some(self.refuse(&asked, need));
        }
        self.let_go(&asking, upstream, &admitted, facts, limit, None);
        Some(Action::Continue)
    }

    /// How important the request is, and whose places of the bulkhead it needs, as far as the policy asks.
    pub(super) fn importance(&mut self, policy: usize, pairs: &Pairs) -> (Priority, Option<u64>) {
        let worker = SharedWorker::clone(&self.worker);
        let found = with(&worker, |worker| {
            let policy = worker.policy(policy)?;
            let priority = policy.shedding.as_ref().map(|shedding| {
                let settings = &shedding.priorities;
                self.arrival.priority(worker, settings, pairs)
            });
            let per = policy
                .bulkhead
                .as_ref()
                .and_then(|bulkhead| bulkhead.per.as_ref());
            let tag = per.and_then(|per| pairs.value(&per.header)).map(slots::tag);
            Some((priority, tag))
        });
        let (priority, tag) = found.unwrap_or_default();
        (priority.unwrap_or(Priority::Critical), tag)
    }

    /// How much time the request has at this upstream.
    pub(super) fn limit(
        &self,
        asking: &Asking<'_>,
        upstream: usize,
        facts: &Facts,
        pairs: &Pairs,
    ) -> Limit {
        let limit = self.with(|worker| {
            let adaptive = worker.adaptive(upstream);
            let policy = worker.policy(asking.selected.policy)?;
            Some(self.arrival.limit(policy, facts, pairs, adaptive))
        });
        limit.unwrap_or(Limit::None)
    }

    /// Lets an admitted request go: the router is told what it may do, and those who come after what they should know.
    pub(super) fn let_go(
        &mut self,
        asking: &Asking<'_>,
        upstream: usize,
        admitted: &Admitted,
        facts: &Facts,
        limit: Limit,
        elsewhere: Option<Elsewhere>,
    ) {
        let policy = asking.selected.policy;
        let deadline = match limit {
            Limit::Within { total, .. } => Some(clock::now().after(total)),
            Limit::None | Limit::Doomed => None,
        };
        let marks = self.arrival.marks;
        let accounted = self.with(|worker| {
            let known = worker.policy(policy)?;
            // Before its own application nothing is repeated: whoever called does that.
            let retries = known.retries.as_ref().filter(|_| !asking.inbound);
            let leave =
                retries.map(|retries| (retries, Leave::of(retries, facts, admitted, marks.retry)));
            let hedge = leave.and_then(|(_, leave)| leave.hedge);
            let told = steer::time(known, limit, facts, hedge) && !asking.inbound;
            let mut attempts = match leave {
                Some((retries, leave)) => {
                    steer::retries(retries, leave);
                    attempts_of(retries, leave, admitted, marks)
                }
                // Where the route retries as it likes, the other position only looks where the request went.
                None if elsewhere.is_some() => Attempts {
                    flags: Flags(Flags::SHADOW),
                    ..Attempts::default()
                },
                None if told => Attempts {
                    flags: Flags(Flags::SHADOW | Flags::ROUTES),
                    ..Attempts::default()
                },
                None => return None,
            };
            if elsewhere.is_some() {
                attempts.flags.set(Flags::ELSEWHERE);
            }
            let attempts = Attempts {
                deadline: deadline.unwrap_or(Timestamp::ZERO),
                policy: known.name.clone(),
                cluster: asking.cluster.to_owned(),
                part: asking
                    .part
                    .map(|(kind, part)| (kind.to_owned(), part.to_owned())),
                ..attempts
            };
            attempts::store(&attempts);
            leave.map(|(retries, _)| Accounted {
                position: admitted.position,
                asks: admitted.asks_position,
                marked: marks.retry,
                enforced: retries.mode == Mode::Enforce,
            })
        });
        if let Some(rank) = marks.priority {
            Map::Request.set(PRIORITY, Priority::of_rank(rank).name());
        }
        if marks.retry && accounted.is_none() {
            Map::Request.set(ATTEMPT, "2");
        }
        self.arrival.keep(deadline);
        let marked = admitted.marked;
        match (elsewhere, marked) {
            (Some(elsewhere), _) => self.tell_elsewhere(elsewhere),
            (None, Some(reason)) => self.tell_marked(policy, reason.name()),
            (None, None) => {}
        }
        let permit = match admitted.decision {
            Decision::Admit(permit) => permit,
            Decision::Mark(_) | Decision::Refuse { .. } => None,
        };
        self.held = Held::of(admitted.taken, upstream);
        self.stage = Stage::Waiting(Waiting {
            policy,
            upstream,
            permit,
            marked: marked.is_some(),
            at: admitted.at,
            grpc: facts.grpc,
            kind: facts.kind(),
            lenience: Lenience {
                never_slow: facts.never_slow,
                impatient: self.is_impatient(policy, limit),
            },
            limit,
            wants_host: admitted.wants_host,
            accounted,
            ladder: elsewhere.map_or(policy, |elsewhere| elsewhere.ladder),
            elsewhere: elsewhere.map(|elsewhere| elsewhere.reason),
        });
    }

    /// Whether a caller set a limit below the policy's, so that its passing says nothing about the upstream. Where the
    /// policy has none, whoever waited longer than a slow call takes has seen a failure.
    fn is_impatient(&self, policy: usize, limit: Limit) -> bool {
        let Limit::Within {
            total,
            by: LimitSource::Caller,
        } = limit
        else {
            return false;
        };
        let judged = self.with(|worker| {
            let policy = worker.policy(policy)?;
            Some(policy.time.total.is_some() || total < policy.breaker.thresholds.slow_over)
        });
        judged.unwrap_or(true)
    }

    /// Removes what a client may not send: router control where we steer, our own headers everywhere. Marks of a peer that
    /// is trusted were read before.
    pub(super) fn strip(&self, facts: &Facts, governed: bool) {
        if facts.control.is_empty() || !(governed || facts.own) {
            return;
        }
        let mut foreign = false;
        for name in &facts.control {
            if governed || Facts::is_own(name) {
                Map::Request.remove(name);
                let mark = [ATTEMPT, PRIORITY]
                    .iter()
                    .any(|mark| mark.as_bytes() == name);
                foreign |= !(mark && self.arrival.was_trusted());
            }
        }
        if foreign {
            self.with(|worker| {
                worker.concern(Concern::ControlHeader);
                Some(())
            });
        }
    }

    fn tell_elsewhere(&self, elsewhere: Elsewhere) {
        self.with(|worker| {
            let about = About {
                policy: &worker.policy(elsewhere.ladder)?.name,
                decision: "degraded",
                reason: elsewhere.reason.name(),
            };
            about.tell_degraded("cluster");
            Some(())
        });
    }

    fn tell_marked(&self, policy: usize, reason: &str) {
        self.with(|worker| {
            let about = About {
                policy: &worker.policy(policy)?.name,
                decision: "shadow_refused",
                reason,
            };
            about.tell();
            Some(())
        });
    }
}

/// What the upstream position is told of a request.
fn attempts_of(retries: &Settings, leave: Leave, admitted: &Admitted, marks: Kept) -> Attempts {
    let mut flags = Flags::default();
    for (bit, holds) in [
        (Flags::SAFE, leave.safe),
        (Flags::MARKED, marks.retry),
        (Flags::ASKED, admitted.asks_position),
        (Flags::HEDGED, leave.hedge.is_some()),
        (Flags::SHADOW, retries.mode == Mode::Shadow),
    ] {
        if holds {
            flags.set(bit);
        }
    }
    Attempts {
        max: leave.attempts,
        paid: 1,
        flags,
        denied: leave.denied,
        ..Attempts::default()
    }
}
