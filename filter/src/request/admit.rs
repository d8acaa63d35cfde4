//! The way of a request up to the router: what came with it, whether it goes, and what it takes along.

use seawall_policy::admission::{Decision, Reason};
use seawall_policy::breaker::Permit;
use seawall_policy::concurrency::partitions;
use seawall_policy::deadline::Limit;
use seawall_policy::outcome::end::TimeLimits;
use seawall_policy::outcome::exchange;
use seawall_policy::priority::Priority;
use seawall_policy::propagation::Hints;
use seawall_policy::ratio::Share;
use seawall_policy::retry::attempts::{Attempts, Denial, Flags};
use seawall_policy::retry::{Mode, Settings};
use seawall_policy::time::{Span, Timestamp};

use super::fallback::CacheLookup;
use super::in_flight::InFlight;
use super::{Failover, HttpRequest, PendingRequest, Stage};
use crate::account::RetrySettlement;
use crate::arrival::{PRIORITY, PropagatedContext};
use crate::attempt_state::{self, ATTEMPT};
use crate::facts::RequestFacts;
use crate::host::action::Action;
use crate::host::headers::{Map, Pairs};
use crate::host::{clock, properties};
use crate::local_reply::{LocalReplyCause, LogFields};
use crate::process_key;
use crate::steer::{self, RetryAllowance};
use crate::telemetry::{Event, InternalEvent};
use crate::worker::exchanges::Exchange;
use crate::worker::handle::{SharedWorker, with};
use crate::worker::selection::key_part;
use crate::worker::{AdmissionInput, AdmissionOutput, PolicyMatch};

impl HttpRequest {
    /// Asks about a governed request, and does what is said. Nothing if something could not be found out.
    pub(super) fn decide(
        &mut self,
        selected: PolicyMatch,
        cluster: &str,
        facts: &RequestFacts,
        pairs: &Pairs,
        complete: bool,
    ) -> Option<Action> {
        const INBOUND: u64 = 1;
        let inbound = properties::number("xds\0listener_direction") == Some(INBOUND);
        let arrival =
            self.with(|worker| Some(PropagatedContext::read(worker, facts, pairs, inbound)));
        self.arrival = arrival.unwrap_or_default();
        self.strip_request_headers(facts, true);
        let part = key_part(selected, pairs);
        let part = part.as_ref().map(|(kind, part)| (*kind, part.as_str()));
        let PriorityAndPartition {
            priority,
            tag,
            unfinished,
            exempt,
        } = self.priority_and_partition(selected.policy, pairs);
        let mut asking = AdmissionInput {
            selected,
            cluster,
            part,
            inbound,
            complete: complete && !facts.never_slow,
            draw: None,
            trusted: self.arrival.was_trusted(),
            priority,
            tag,
            unfinished,
            exempt,
        };
        let upstream = self.with(|worker| worker.find(&asking))?;
        asking.draw = self.draw(upstream, facts);
        let asked = CacheLookup {
            asking,
            upstream,
            facts,
            pairs,
        };
        let limit = self.limit(&asking, upstream, facts, pairs);
        if limit == Limit::Doomed {
            self.count(upstream, Event::Refused(Reason::Deadline));
            let need = LocalReplyCause::Refused {
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
            let need = LocalReplyCause::Refused {
                reason,
                retry_after,
            };
            return Some(self.refuse(&asked, need));
        }
        self.forward(&asking, upstream, &admitted, facts, limit, None);
        Some(Action::Continue)
    }

    /// The draw of a request whose peer is believed: its id alone decides, here and at the next hop. Any other client could
    /// have chosen an id that is always let in.
    fn draw(&self, upstream: usize, facts: &RequestFacts) -> Option<u32> {
        let draw = facts.draw?;
        let believed = self.with(|worker| {
            let known = self.arrival.was_trusted();
            Some(known || (worker.uses_draw(upstream) && self.arrival.is_trusted(worker)))
        });
        (believed == Some(true)).then_some(draw)
    }

    /// What decides which slots the request gets, as far as the policy asks.
    pub(super) fn priority_and_partition(
        &mut self,
        policy: usize,
        pairs: &Pairs,
    ) -> PriorityAndPartition {
        let worker = SharedWorker::clone(&self.worker);
        let found = with(&worker, |worker| {
            let policy = worker.policy(policy)?;
            let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
            if !policy.counts_slots() {
                return None;
            }
            let path = || pairs.value(":path").unwrap_or_default();
            let exempt = !policy.exempt.paths.is_empty() && policy.exempt.matches(path());
            let shares = [
                bulkhead.map(|bulkhead| bulkhead.unfinished),
                shedding.map(|shedding| shedding.unfinished),
            ];
            let bounded = shares.into_iter().flatten().any(|share| share < Share::ALL);
            let unfinished = (bounded && !self.complete)
                .then(|| properties::number("connection\0id").unwrap_or(0));
            let per = bulkhead.and_then(|bulkhead| bulkhead.per.as_ref());
            let tag = per.map(|per| {
                let key = process_key::get();
                partitions::tag(key.as_ref(), pairs.value(&per.header))
            });
            let priority = shedding.map(|shedding| {
                let settings = &shedding.priorities;
                self.arrival.priority(worker, settings, pairs)
            });
            Some(PriorityAndPartition {
                priority: priority.unwrap_or(Priority::Critical),
                tag,
                unfinished,
                exempt,
            })
        });
        found.unwrap_or_default()
    }

    /// How much time the request has at this upstream.
    pub(super) fn limit(
        &self,
        asking: &AdmissionInput<'_>,
        upstream: usize,
        facts: &RequestFacts,
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
    pub(super) fn forward(
        &mut self,
        asking: &AdmissionInput<'_>,
        upstream: usize,
        admitted: &AdmissionOutput,
        facts: &RequestFacts,
        limit: Limit,
        elsewhere: Option<Failover>,
    ) {
        let policy = asking.selected.policy;
        let deadline = match limit {
            Limit::Within { total, .. } => Some(clock::now().after(total)),
            Limit::None | Limit::Doomed => None,
        };
        let marks = self.arrival.marks;
        let accounted = self.tell_router(
            asking,
            admitted,
            facts,
            (limit, deadline),
            elsewhere.is_some(),
        );
        if let Some(rank) = marks.priority {
            Map::Request.set(PRIORITY, Priority::of_rank(rank).name());
        }
        if marks.retry && accounted.is_none() {
            Map::Request.set(ATTEMPT, "2");
        }
        self.arrival.persist(deadline);
        let marked = admitted.marked;
        match (elsewhere, marked) {
            (Some(elsewhere), _) => self.log_failover(elsewhere),
            (None, Some(reason)) => self.log_marked(policy, reason.name()),
            (None, None) => {}
        }
        let permit = match admitted.decision {
            Decision::Admit(permit) => permit,
            Decision::Mark(_) | Decision::Refuse { .. } => None,
        };
        self.held = InFlight::of(admitted.taken, upstream);
        let limits = time_limits(limit, facts);
        let exchange = self.begin_exchange(upstream, permit, admitted, facts, &limits);
        let Some(exchange) = exchange else {
            return;
        };
        self.stage = Stage::Waiting(PendingRequest {
            policy,
            upstream,
            at: admitted.at,
            grpc: facts.grpc,
            kind: facts.kind(),
            exempt: facts.never_slow,
            tunnel: facts.tunnel,
            limits,
            limit,
            exchange,
            wants_host: admitted.wants_host,
            peer: admitted.peer,
            accounted,
            ladder: elsewhere.map_or(policy, |elsewhere| elsewhere.ladder),
            elsewhere: elsewhere.map(|elsewhere| elsewhere.reason),
        });
    }

    /// Tells the router its time limits and which retries it may make, and the upstream position what it needs to know. What is
    /// to be settled of the retries at the end; `None` where nothing is.
    fn tell_router(
        &self,
        asking: &AdmissionInput<'_>,
        admitted: &AdmissionOutput,
        facts: &RequestFacts,
        (limit, deadline): (Limit, Option<Timestamp>),
        elsewhere: bool,
    ) -> Option<RetrySettlement> {
        let marks = self.arrival.marks;
        self.with(|worker| {
            let known = worker.policy(asking.selected.policy)?;
            // Before its own application nothing is repeated: whoever called does that.
            let retries = known.retries.as_ref().filter(|_| !asking.inbound);
            let mut unhedged = false;
            let leave = retries.map(|retries| {
                let wanted = RetryAllowance::of(retries, facts, admitted, marks.retry);
                let leave = wanted.with_parking(|places| worker.reserve(places));
                unhedged = leave.hedge != wanted.hedge;
                (retries, leave)
            });
            let hedge = leave.and_then(|(_, leave)| leave.hedge);
            let told = steer::time(known, limit, facts, hedge) && !asking.inbound;
            let mut attempts = match leave {
                Some((retries, leave)) => {
                    steer::retries(retries, leave);
                    attempts_of(retries, leave, admitted, marks)
                }
                // Where the route retries as it likes, the other position only looks where the request went.
                None if elsewhere => Attempts {
                    flags: Flags(Flags::SHADOW),
                    ..Attempts::default()
                },
                None if told => Attempts {
                    flags: Flags(Flags::SHADOW | Flags::ROUTES),
                    ..Attempts::default()
                },
                None => return None,
            };
            if elsewhere {
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
            attempt_state::store(&attempts);
            let settlement = leave.map(|(retries, leave)| RetrySettlement {
                position: admitted.position,
                asks: admitted.asks_position,
                marked: marks.retry,
                enforced: retries.mode == Mode::Enforce,
                unsafe_coarse: leave.denied == Some(Denial::UnsafeCoarse)
                    && !marks.retry
                    && retries.attempts > 1,
                places: leave.places,
            });
            if unhedged {
                worker.count_event(InternalEvent::HedgeNotAllowed);
            }
            settlement
        })
    }

    /// From here on the worker follows the request until its verdict; `None` where there is no worker.
    fn begin_exchange(
        &self,
        upstream: usize,
        permit: Option<Permit>,
        admitted: &AdmissionOutput,
        facts: &RequestFacts,
        limits: &TimeLimits,
    ) -> Option<usize> {
        let waiting = exchange::Waiting {
            admitted_at: admitted.at,
            complete_at: self.complete.then_some(admitted.at),
            exempt: facts.never_slow,
            probe: permit.is_some_and(|permit| permit.probe.is_some()),
        };
        let operators = match limits.set {
            Some((limit, by)) if by.is_operators() => Some(limit),
            _ => None,
        };
        let exchange = Exchange::new(
            self.context,
            upstream,
            permit,
            admitted.marked.is_some(),
            admitted.peer,
            waiting,
            operators,
        );
        self.with(|worker| Some(worker.begin(exchange)))
    }

    /// Removes what a client may not send: router control where we steer, our own headers everywhere. Marks of a peer that
    /// is trusted were read before.
    pub(super) fn strip_request_headers(&self, facts: &RequestFacts, governed: bool) {
        if facts.control.is_empty() || !(governed || facts.own) {
            return;
        }
        let mut foreign = false;
        for name in &facts.control {
            if governed || RequestFacts::is_own(name) {
                Map::Request.remove(name);
                let mark = [ATTEMPT, PRIORITY]
                    .iter()
                    .any(|mark| mark.as_bytes() == name);
                foreign |= !(mark && self.arrival.was_trusted());
            }
        }
        if foreign {
            self.with(|worker| {
                worker.count_event(InternalEvent::ControlHeader);
                Some(())
            });
        }
    }

    fn log_failover(&self, elsewhere: Failover) {
        self.with(|worker| {
            let about = LogFields {
                policy: &worker.policy(elsewhere.ladder)?.name,
                decision: "degraded",
                reason: elsewhere.reason.name(),
            };
            about.log_degraded("cluster");
            Some(())
        });
    }

    fn log_marked(&self, policy: usize, reason: &str) {
        self.with(|worker| {
            let about = LogFields {
                policy: &worker.policy(policy)?.name,
                decision: "shadow_refused",
                reason,
            };
            about.set_log_fields();
            Some(())
        });
    }
}

/// What decides which slots a request gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriorityAndPartition {
    /// How important it is.
    pub(super) priority: Priority,
    /// Whose slots of the bulkhead it needs, where each value of a header has its own.
    pub(super) tag: Option<u64>,
    /// Its connection, where its body is not complete and that counts.
    pub(super) unfinished: Option<u64>,
    /// Whether it is exempt.
    pub(super) exempt: bool,
}

impl Default for PriorityAndPartition {
    fn default() -> Self {
        Self {
            priority: Priority::Critical,
            tag: None,
            unfinished: None,
            exempt: false,
        }
    }
}

/// The limits of a request, and who set them.
fn time_limits(limit: Limit, facts: &RequestFacts) -> TimeLimits {
    let set = match limit {
        Limit::Within { total, by } => Some((total, by)),
        Limit::None | Limit::Doomed => None,
    };
    TimeLimits {
        set,
        caller: facts.grpc_limit,
    }
}

/// What the upstream position is told of a request.
fn attempts_of(
    retries: &Settings,
    leave: RetryAllowance,
    admitted: &AdmissionOutput,
    marks: Hints,
) -> Attempts {
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
