//! The fallback ladder, walked: for a request that does not go, and for a failed response that can still be replaced.
//!
//! A rung that answers is a local reply, which the host may refuse. So where the ladder stands is kept until the host has
//! said whether it took the reply; if not, the next rung is tried.

use super::headers::RequestFacts;
use super::local_reply::{self, LocalReplyCause};
use super::{Answered, Failover, Forwarded, HttpRequest, PendingRequest};
use crate::admission::{Decision, Reason};
use crate::environment::Environment;
use crate::environment::effects::{Action, Effects};
use crate::environment::facts::RequestPhase;
use crate::environment::headers::HeaderMap;
use crate::fallback::FAILOVER;
use crate::fallback::{Fallback, Kind, Ladder};
use crate::telemetry::Event;
use crate::time::Span;
use crate::worker::selection::key_part;
use crate::worker::{AdmissionInput, Worker};

/// A local reply that the host has not taken yet, and what it is in the place of.
#[derive(Debug)]
pub(super) enum Pending<H> {
    /// The state page.
    Page,
    /// A client sent a failover's header.
    ClientFailover,
    /// The request does not go.
    Refusal(Refusal<H>, Rung),
    /// The upstream's response is replaced.
    Substitution(Substitution, Rung),
}

/// What a local reply is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rung {
    /// A static response.
    Static,
    /// A stale one of so many seconds.
    Stale(u64),
    /// What is sent where no rung stands: the plain refusal, or a gRPC caller's deadline.
    Plain,
}

/// A request with a policy, while it is decided.
#[derive(Debug)]
pub(super) struct GovernedRequest<H> {
    pub(super) asking: AdmissionInput,
    pub(super) upstream: usize,
    pub(super) facts: RequestFacts,
    pub(super) headers: H,
}

/// A request that does not go.
#[derive(Debug)]
pub(super) struct Refusal<H> {
    request: GovernedRequest<H>,
    reason: Reason,
    retry_after: Span,
    /// The rung that is tried next.
    next_rung: usize,
}

impl<H> Refusal<H> {
    /// A request that is refused for this reason; no rung was tried.
    pub(super) const fn new(
        request: GovernedRequest<H>,
        reason: Reason,
        retry_after: Span,
    ) -> Self {
        Self {
            request,
            reason,
            retry_after,
            next_rung: 0,
        }
    }

    const fn cause(&self) -> LocalReplyCause {
        LocalReplyCause::Refused {
            reason: self.reason,
            retry_after: self.retry_after,
        }
    }
}

/// A response that may be replaced, with what is done where it is not.
#[derive(Debug)]
pub(super) struct Substitution {
    waiting: PendingRequest,
    answered: Answered,
    /// Whether a gRPC caller is to be told that its time is over.
    deadline: bool,
    /// The rung that is tried next.
    next_rung: usize,
}

impl Substitution {
    /// A response of which no rung was tried. `stands_in` is whether one may; `deadline` whether a gRPC caller is to be told
    /// that its time is over.
    pub(super) const fn new(
        waiting: PendingRequest,
        answered: Answered,
        stands_in: bool,
        deadline: bool,
    ) -> Self {
        Self {
            waiting,
            answered,
            deadline,
            next_rung: match stands_in {
                true => 0,
                false => Ladder::RUNGS_MAX,
            },
        }
    }
}

/// The next rung of a policy that may answer.
enum Next {
    /// A local reply is among the effects.
    Reply(Rung),
    /// The same request may go to this cluster.
    Cluster(String),
    /// It has nothing to give.
    Empty,
}

impl<H: HeaderMap> HttpRequest<H> {
    /// Answers a request that does not go: by the first rung that can, or by the plain refusal.
    pub(super) fn refuse<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        mut refusal: Refusal<H>,
        out: &mut Effects,
    ) -> Action {
        let policy = refusal.request.asking.selected.policy;
        let (cause, kind) = (refusal.cause(), refusal.request.facts.kind());
        while refusal.next_rung < Ladder::RUNGS_MAX {
            let step = refusal.next_rung;
            refusal.next_rung = step.saturating_add(1);
            match self.rung(worker, policy, cause, kind, step, out) {
                None => refusal.next_rung = Ladder::RUNGS_MAX,
                Some(Next::Reply(rung)) => {
                    return self.await_reply(Pending::Refusal(refusal, rung));
                }
                Some(Next::Cluster(cluster)) => {
                    let request = &refusal.request;
                    if self.fail_over(worker, facts, request, cluster, refusal.reason, out) {
                        let sent = Event::Fallback("cluster", cause.cause());
                        worker.count(request.upstream, sent);
                        return Action::Continue;
                    }
                }
                Some(Next::Empty) => {}
            }
        }
        let Some(policy) = worker.policy(policy) else {
            return Action::Continue;
        };
        let grpc = refusal.request.facts.grpc;
        local_reply::refuse(policy, grpc, refusal.reason, refusal.retry_after, out);
        self.await_reply(Pending::Refusal(refusal, Rung::Plain))
    }

    /// Puts a response of our own in the place of one that is not for the client, or passes it on.
    pub(super) fn substitute<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        mut substitution: Substitution,
        out: &mut Effects,
    ) -> Action {
        let waiting = substitution.waiting;
        while substitution.next_rung < Ladder::RUNGS_MAX {
            let step = substitution.next_rung;
            substitution.next_rung = step.saturating_add(1);
            let cause = LocalReplyCause::Failed;
            match self.rung(worker, waiting.ladder, cause, waiting.kind, step, out) {
                None => substitution.next_rung = Ladder::RUNGS_MAX,
                Some(Next::Reply(rung)) => {
                    return self.await_reply(Pending::Substitution(substitution, rung));
                }
                Some(Next::Cluster(_) | Next::Empty) => {}
            }
        }
        let policy = worker
            .policy(waiting.policy)
            .filter(|_| substitution.deadline);
        if let Some(policy) = policy {
            substitution.deadline = false;
            local_reply::deadline_exceeded(&policy.name, out);
            return self.await_reply(Pending::Substitution(substitution, Rung::Plain));
        }
        self.pass_on(worker, facts, &waiting, substitution.answered, out)
    }

    /// Whether the host took a local reply in the place of a request. Where it did not, the request goes on from there.
    pub(crate) fn replied_to_request<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        accepted: bool,
        out: &mut Effects,
    ) -> Action {
        let Some(pending) = self.pending.take() else {
            return Action::Continue;
        };
        match *pending {
            Pending::Page | Pending::ClientFailover if accepted => Action::Pause,
            Pending::Page => self.read_headers(worker, facts, facts.headers(), out),
            Pending::ClientFailover => {
                let pairs = facts.headers();
                let read = RequestFacts::read(&pairs);
                self.govern(worker, facts, read, pairs, out)
            }
            Pending::Refusal(refusal, rung) if accepted => {
                let cause = refusal.cause();
                count_rung(worker, refusal.request.upstream, rung, cause);
                Action::Pause
            }
            // The last rung: the request has to go on.
            Pending::Refusal(_, Rung::Plain) => Action::Continue,
            Pending::Refusal(refusal, _) => self.refuse(worker, facts, refusal, out),
            Pending::Substitution(..) => Action::Continue,
        }
    }

    /// Whether the host took a local reply in the place of a response. Where it did not, the next rung is tried.
    pub(crate) fn replied_to_response<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        accepted: bool,
        out: &mut Effects,
    ) -> Action {
        let Some(pending) = self.pending.take() else {
            return Action::Continue;
        };
        let Pending::Substitution(substitution, rung) = *pending else {
            return Action::Continue;
        };
        if !accepted {
            return self.substitute(worker, facts, substitution, out);
        }
        let waiting = &substitution.waiting;
        count_rung(worker, waiting.upstream, rung, LocalReplyCause::Failed);
        // What becomes of the upstream's response is not looked at any more.
        if substitution.answered.goes_on {
            worker.end(waiting.exchange);
        }
        Action::Pause
    }

    fn rung<E: Environment<Headers = H>>(
        &self,
        worker: &Worker<E>,
        policy: usize,
        cause: LocalReplyCause,
        kind: Kind,
        step: usize,
        out: &mut Effects,
    ) -> Option<Next> {
        let grpc = kind == Kind::Grpc;
        let policy = worker.policy(policy)?;
        let rung = policy.fallback.answers(cause.cause(), kind).nth(step)?;
        Some(match rung {
            Fallback::Static(fixed) => {
                local_reply::static_response(policy, fixed, grpc, cause, out);
                Next::Reply(Rung::Static)
            }
            Fallback::Cluster(cluster) => Next::Cluster(cluster.clone()),
            Fallback::Stale(_) => {
                let stale = self.stale.as_ref();
                let given = stale.and_then(|stale| stale.give(worker, policy, cause, out));
                given.map_or(Next::Empty, |age| Next::Reply(Rung::Stale(age)))
            }
        })
    }

    /// Sends the request to another cluster, if that admits it; whose own ladder has no say in that, so that there are
    /// no loops.
    fn fail_over<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        request: &GovernedRequest<H>,
        cluster: String,
        reason: Reason,
        out: &mut Effects,
    ) -> bool {
        let Some(selected) = worker.select(&cluster, None) else {
            return false;
        };
        let claims =
            self.priority_and_partition(worker, facts, selected.policy, &request.headers, out);
        let asking = AdmissionInput {
            selected,
            part: key_part(selected, &request.headers, facts),
            cluster,
            priority: claims.priority,
            tag: claims.tag,
            unfinished: claims.unfinished,
            exempt: claims.exempt,
            ..request.asking
        };
        let Some(upstream) = worker.find(&asking) else {
            return false;
        };
        let limit = self.limit(
            worker,
            facts,
            &asking,
            upstream,
            (&request.facts, &request.headers),
        );
        let Some(admitted) = worker.admit(upstream, &asking, limit, facts) else {
            return false;
        };
        if matches!(admitted.decision, Decision::Refuse { .. }) {
            return false;
        }
        let elsewhere = Failover {
            reason,
            ladder: request.asking.selected.policy,
        };
        out.set_request_header(FAILOVER, asking.cluster.clone());
        let forwarded = Forwarded {
            asking: &asking,
            upstream,
            admitted: &admitted,
            read: &request.facts,
            limit,
            elsewhere: Some(elsewhere),
        };
        self.forward(worker, &forwarded, out);
        true
    }
}

/// Counts a rung whose reply the host took.
fn count_rung<E: Environment>(
    worker: &mut Worker<E>,
    upstream: usize,
    rung: Rung,
    cause: LocalReplyCause,
) {
    match rung {
        Rung::Static => worker.count(upstream, Event::Fallback("static", cause.cause())),
        Rung::Stale(age) => {
            worker.count(upstream, Event::Fallback("stale", cause.cause()));
            worker.record_stale_age(upstream, age);
        }
        Rung::Plain => {}
    }
}
