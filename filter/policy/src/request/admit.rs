//! The way of a request up to the router: what came with it, whether it goes, and what it takes along.

use super::fallback::{GovernedRequest, Refusal};
use super::headers::RequestFacts;
use super::in_flight::InFlight;
use super::local_reply::LogFields;
use super::propagation::{PRIORITY, PropagatedContext};
use super::retry_settlement::RetrySettlement;
use super::router_headers::{self, RetryAllowance};
use super::{Failover, Forwarded, HttpRequest, PendingRequest, Stage};
use crate::admission::Decision;
use crate::attempt::state::{self, ATTEMPT};
use crate::breaker::Permit;
use crate::concurrency::partitions;
use crate::deadline::Limit;
use crate::direction::Direction;
use crate::environment::Environment;
use crate::environment::effects::{Action, Effects};
use crate::environment::headers::HeaderMap;
use crate::outcome::end::TimeLimits;
use crate::outcome::exchange;
use crate::priority::Priority;
use crate::propagation::Hints;
use crate::ratio::Share;
use crate::response_facts;
use crate::retry::attempts::{Attempts, Denial, Flags};
use crate::retry::{Mode, Settings};
use crate::telemetry::InternalEvent;
use crate::time::Timestamp;
use crate::worker::exchanges::Exchange;
use crate::worker::handover::Told;
use crate::worker::selection::key_part;
use crate::worker::{AdmissionInput, AdmissionOutput, PolicyMatch, Worker};

impl<H: HeaderMap> HttpRequest<H> {
    /// Asks about a governed request, and does what is said. Nothing if something could not be found out.
    pub(super) fn decide<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        (selected, cluster): (PolicyMatch, String),
        read: RequestFacts,
        pairs: H,
        out: &mut Effects,
    ) -> Option<Action> {
        let direction = match worker.trust().is_empty() {
            true => Direction::Unasked,
            false => Direction::ask(facts),
        };
        let inbound = direction.is_inbound();
        self.arrival = PropagatedContext::read(worker, &read, &pairs, facts, inbound);
        self.strip_request_headers(worker, &read, true, out);
        let part = key_part(selected, &pairs, facts);
        let PriorityAndPartition {
            priority,
            tag,
            unfinished,
            exempt,
        } = self.priority_and_partition(worker, facts, selected.policy, &pairs, out);
        let mut asking = AdmissionInput {
            selected,
            cluster,
            part,
            direction,
            complete: self.complete && !read.never_slow,
            draw: None,
            trusted: self.arrival.was_trusted(),
            priority,
            tag,
            unfinished,
            exempt,
        };
        let upstream = worker.find(&asking)?;
        asking.draw = self.draw(worker, facts, upstream, &pairs);
        let limit = self.limit(worker, facts, &asking, upstream, (&read, &pairs));
        let policy = worker.policy(selected.policy);
        let steers = policy.is_some_and(|policy| policy.retries.is_some()) || limit.is_set();
        if steers && asking.direction.is_unasked() {
            asking.direction = Direction::ask(facts);
        }
        let admitted = worker.admit(upstream, &asking, limit, facts)?;
        let Decision::Refuse {
            reason,
            retry_after,
        } = admitted.decision
        else {
            let forwarded = Forwarded {
                asking: &asking,
                upstream,
                admitted: &admitted,
                read: &read,
                limit,
                elsewhere: None,
            };
            self.forward(worker, &forwarded, out);
            return Some(Action::Continue);
        };
        asking.direction = admitted.direction;
        let request = GovernedRequest {
            asking,
            upstream,
            facts: read,
            headers: pairs,
        };
        let refusal = Refusal::new(request, reason, retry_after);
        Some(self.refuse(worker, facts, refusal, out))
    }

    /// The draw of a request whose peer is believed: its id alone decides, here and at the next hop. Any other client could
    /// have chosen an id that is always let in.
    fn draw<E: Environment<Headers = H>>(
        &self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        upstream: usize,
        pairs: &H,
    ) -> Option<u32> {
        let trusted = self.arrival.was_trusted();
        if !trusted && (worker.trust().is_empty() || !worker.uses_draw(upstream)) {
            return None;
        }
        let draw = RequestFacts::draw(pairs)?;
        (trusted || self.arrival.is_trusted(worker, facts)).then_some(draw)
    }

    /// What decides which slots the request gets, as far as the policy asks.
    pub(super) fn priority_and_partition<E: Environment<Headers = H>>(
        &mut self,
        worker: &Worker<E>,
        facts: &E::Request,
        policy: usize,
        pairs: &H,
        out: &mut Effects,
    ) -> PriorityAndPartition {
        let Some(policy) = worker.policy(policy).filter(|policy| policy.counts_slots()) else {
            return PriorityAndPartition::default();
        };
        let (bulkhead, shedding) = (policy.bulkhead.as_ref(), policy.shedding.as_ref());
        let path = || pairs.value(":path").unwrap_or_default();
        let exempt = !policy.exempt.paths.is_empty() && policy.exempt.matches(path());
        let shares = [
            bulkhead.map(|bulkhead| bulkhead.unfinished),
            shedding.map(|shedding| shedding.unfinished),
        ];
        let bounded = shares.into_iter().flatten().any(|share| share < Share::ALL);
        let unfinished = (bounded && !self.complete).then(|| response_facts::connection(facts));
        let per = bulkhead.and_then(|bulkhead| bulkhead.per.as_ref());
        let tag = per.map(|per| {
            let key = worker.vm.process_key(&worker.env);
            partitions::tag(key.as_ref(), pairs.value(&per.header))
        });
        let priority = shedding.map(|shedding| {
            let settings = &shedding.priorities;
            self.arrival.priority(worker, settings, pairs, facts, out)
        });
        PriorityAndPartition {
            priority: priority.unwrap_or(Priority::Critical),
            tag,
            unfinished,
            exempt,
        }
    }

    /// How much time the request has at this upstream.
    pub(super) fn limit<E: Environment<Headers = H>>(
        &self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        asking: &AdmissionInput,
        upstream: usize,
        (read, pairs): (&RequestFacts, &H),
    ) -> Limit {
        let adaptive = worker.adaptive(upstream);
        let env = &worker.env;
        worker
            .policy(asking.selected.policy)
            .map_or(Limit::None, |policy| {
                self.arrival
                    .limit(policy, read, pairs, (facts, env), adaptive)
            })
    }

    /// Lets an admitted request go: the router is told what it may do, and those who come after what they should know.
    pub(super) fn forward<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        forwarded: &Forwarded<'_>,
        out: &mut Effects,
    ) {
        let Forwarded {
            asking,
            upstream,
            admitted,
            read,
            limit,
            elsewhere,
        } = *forwarded;
        let policy = asking.selected.policy;
        let deadline = match limit {
            Limit::Within { total, .. } => Some(worker.env.now().after(total)),
            Limit::None | Limit::Doomed => None,
        };
        let marks = self.arrival.marks;
        let accounted = self.tell_router(worker, forwarded, deadline, out);
        if let Some(rank) = marks.priority {
            out.set_request_header(PRIORITY, Priority::of_rank(rank).name());
        }
        if marks.retry && accounted.is_none() {
            out.set_request_header(ATTEMPT, "2");
        }
        self.arrival.persist(&worker.env, deadline);
        match (elsewhere, admitted.marked) {
            (Some(elsewhere), _) => log_failover(worker, elsewhere, out),
            (None, Some(reason)) => log_marked(worker, policy, reason.name(), out),
            (None, None) => {}
        }
        let permit = match admitted.decision {
            Decision::Admit(permit) => permit,
            Decision::Mark(_) | Decision::Refuse { .. } => None,
        };
        self.held = InFlight::of(admitted.taken, upstream);
        let limits = time_limits(limit, read);
        let exchange = worker.begin(self.exchange(upstream, permit, admitted, read, &limits));
        self.stage = Stage::Waiting(PendingRequest {
            policy,
            upstream,
            at: admitted.at,
            grpc: read.grpc,
            kind: read.kind(),
            exempt: read.never_slow,
            tunnel: read.tunnel,
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
    fn tell_router<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        forwarded: &Forwarded<'_>,
        deadline: Option<Timestamp>,
        out: &mut Effects,
    ) -> Option<RetrySettlement> {
        let Forwarded {
            asking,
            admitted,
            read,
            limit,
            ..
        } = *forwarded;
        let elsewhere = forwarded.elsewhere.is_some();
        let marks = self.arrival.marks;
        let known = worker.policy(asking.selected.policy)?;
        let inbound = asking.direction.is_inbound();
        let retries = router_headers::outbound_retries(known.retries.as_ref(), inbound, out);
        let mut unhedged = false;
        let leave = retries.map(|retries| {
            let wanted = RetryAllowance::of(retries, read, admitted, marks.retry);
            let leave = wanted.with_parking(|places| worker.reserve(places));
            unhedged = leave.hedge != wanted.hedge;
            (retries, leave)
        });
        let hedge = leave.and_then(|(_, leave)| leave.hedge);
        let told = router_headers::time(known, limit, read, hedge, out) && !inbound;
        let mut attempts = match leave {
            Some((retries, leave)) => {
                router_headers::retries(retries, leave, out);
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
            cluster: asking.cluster.clone(),
            part: asking
                .part
                .as_ref()
                .map(|(kind, part)| ((*kind).to_owned(), part.clone())),
            ..attempts
        };
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
        self.tell_attempts(worker, forwarded.upstream, attempts, out);
        if unhedged {
            worker.count_event(InternalEvent::HedgeNotAllowed);
        }
        settlement
    }

    /// Tells the upstream position of the request's attempts, or keeps it in the worker until one fails.
    fn tell_attempts<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        upstream: usize,
        mut attempts: Attempts,
        out: &mut Effects,
    ) {
        self.told = worker.keep_attempts(self.context, upstream, &mut attempts);
        if !matches!(self.told, Told::Kept(_)) {
            state::store(&attempts, out);
        }
    }

    /// What the worker follows from here on, until the request's verdict.
    fn exchange(
        &self,
        upstream: usize,
        permit: Option<Permit>,
        admitted: &AdmissionOutput,
        read: &RequestFacts,
        limits: &TimeLimits,
    ) -> Exchange {
        let waiting = exchange::Waiting {
            admitted_at: admitted.at,
            complete_at: self.complete.then_some(admitted.at),
            exempt: read.never_slow,
            probe: permit.is_some_and(|permit| permit.probe.is_some()),
        };
        let operators = match limits.set {
            Some((limit, by)) if by.is_operators() => Some(limit),
            _ => None,
        };
        Exchange::new(
            self.context,
            upstream,
            permit,
            admitted.marked.is_some(),
            admitted.peer,
            waiting,
            operators,
        )
        .came(admitted.direction)
    }

    /// Removes what a client may not send: router control where we steer, our own headers everywhere. Marks of a peer that
    /// is trusted were read before.
    pub(super) fn strip_request_headers<E: Environment<Headers = H>>(
        &self,
        worker: &mut Worker<E>,
        read: &RequestFacts,
        governed: bool,
        out: &mut Effects,
    ) {
        if read.control.is_empty() || !(governed || read.own) {
            return;
        }
        let mut foreign = false;
        for name in &read.control {
            if governed || RequestFacts::is_own(name) {
                out.remove_request_header(name.clone());
                let mark = [ATTEMPT, PRIORITY]
                    .iter()
                    .any(|mark| mark.as_bytes() == name);
                foreign |= !(mark && self.arrival.was_trusted());
            }
        }
        if foreign {
            worker.count_event(InternalEvent::ControlHeader);
        }
    }
}

fn log_failover<E: Environment>(worker: &Worker<E>, elsewhere: Failover, out: &mut Effects) {
    if let Some(policy) = worker.policy(elsewhere.ladder) {
        let about = LogFields {
            policy: &policy.name,
            decision: "degraded",
            reason: elsewhere.reason.name(),
        };
        about.set_degraded("cluster", out);
    }
}

fn log_marked<E: Environment>(
    worker: &Worker<E>,
    policy: usize,
    reason: &'static str,
    out: &mut Effects,
) {
    if let Some(policy) = worker.policy(policy) {
        let about = LogFields {
            policy: &policy.name,
            decision: "shadow_refused",
            reason,
        };
        about.set(out);
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
fn time_limits(limit: Limit, read: &RequestFacts) -> TimeLimits {
    let set = match limit {
        Limit::Within { total, by } => Some((total, by)),
        Limit::None | Limit::Doomed => None,
    };
    TimeLimits {
        set,
        caller: read.grpc_limit,
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
