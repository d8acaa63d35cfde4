//! The headers of a response: the verdict, what is settled, and whether another response takes its place.

use super::ending::timing;
use super::fallback::Substitution;
use super::{
    Answered, HttpRequest, PendingRequest, Stage, Streaming, local_reply, retry_settlement,
};
use crate::admission::Reason;
use crate::breaker::Verdict;
use crate::environment::Environment;
use crate::environment::effects::{Action, Effects};
use crate::environment::facts::ResponsePhase;
use crate::environment::headers::HeaderMap;
use crate::grpc::ResponseStatus;
use crate::latency::Ended;
use crate::outcome::end::Judgement;
use crate::outcome::{Ignored, Outcome, RefusedBehind, ResponseFacts, ResponseSource};
use crate::response_facts::{self, FactCache};
use crate::retry::attempts::{Attempts, Denial, Flags};
use crate::telemetry::Event;
use crate::time::Span;
use crate::worker::Worker;
use crate::worker::exchanges::Word;

/// The status of what a Seawall before the upstream sheds.
const SHED: u16 = 503;

/// The status of every gRPC response.
const OK: u16 = 200;

/// The status of a tunnel: what its client sends is no body that the upstream waits for.
const SWITCHED: u16 = 101;

/// When the headers of a response came.
#[derive(Clone, Copy, Debug)]
struct ResponseTiming {
    /// How long they took, where the request was complete.
    latency: Option<Span>,
    /// Whether the time of the whole request was over.
    is_over: bool,
}

impl<H: HeaderMap> HttpRequest<H> {
    /// The headers of the response are there.
    pub(crate) fn response_headers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        end_of_stream: bool,
        out: &mut Effects,
    ) -> Action {
        match self.stage {
            Stage::Waiting(waiting) => self.on_response(worker, facts, waiting, end_of_stream, out),
            // A response of our own, or a request that is not ours.
            Stage::Outside | Stage::Streaming(_) => Action::Continue,
        }
    }

    /// The response's headers: the verdict, and perhaps another response.
    fn on_response<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        waiting: PendingRequest,
        end_of_stream: bool,
        out: &mut Effects,
    ) -> Action {
        self.stage = Stage::Outside;
        let (status, lines) = self.status(worker, facts, &waiting);
        if status == SWITCHED {
            self.is_finished(worker);
        }
        let (grpc, not_grpc) = grpc_status(facts, &waiting, status, end_of_stream);
        let bad = retry_settlement::looks_bad(status, grpc);
        let mut asked = FactCache::default();
        let kept = self.forget_attempts(worker);
        let known = settle_attempts(worker, facts, &waiting, (bad, &mut asked), kept);
        let refused = known
            .as_ref()
            .filter(|known| known.flags.has(Flags::REFUSED))
            .map(|known| response_facts::response_source(known.death));
        let said = (status, grpc, not_grpc);
        let judged = judge(worker, facts, &waiting, said, (refused, &mut asked));
        let Some((mut judged, origin, timing)) = judged else {
            return Action::Continue;
        };
        let failed = judged.outcome == Outcome::Failure;
        if failed || worker.looks_for_broken_streams(waiting.upstream, waiting.at) {
            judged = worker.ask_other_peers(waiting.exchange, facts, (judged, origin), &mut asked);
        }
        let outcome = judged.outcome;
        let failed = judged.is_break_of_client() || outcome == Outcome::Failure;
        let verdict = verdict_at_headers(worker, facts, &waiting, outcome);
        let good = matches!(outcome, Outcome::Success | Outcome::Slow);
        let tunnel = waiting.tunnel && matches!(status, 101 | 200);
        let goes_on = !end_of_stream && !matches!(origin, ResponseSource::Local { .. });
        // What is no success cannot get worse; streams may go on for as long as they like.
        let waits = goes_on && good && !tunnel && !waiting.exempt;
        match (waits, goes_on) {
            (true, _) => worker.defer(waiting.exchange, verdict),
            (false, true) => worker.judged_at_headers(waiting.exchange, judged, verdict),
            (false, false) => {
                worker.conclude(waiting.exchange, judged, verdict, Word::Last);
                worker.end(waiting.exchange);
            }
        }
        if end_of_stream && good {
            worker.response_ended(waiting.upstream);
        }
        let seen = (facts, lines.as_ref());
        self.record_outcome(worker, seen, &waiting, &verdict, (origin, timing.latency));
        if bad {
            let ended = (failed, failed || refused.is_some(), &mut asked);
            self.settle_retries(worker, facts, &waiting, known.as_ref(), ended, out);
        }
        let stands_in = failed || refused.is_some() || response_facts::had_no_upstream(origin);
        let deadline = waiting.grpc && bad && timing.is_over;
        let answered = Answered {
            status,
            host: verdict.host,
            outcome,
            tunnel,
            good,
            goes_on,
            origin,
            end_of_stream,
        };
        if !stands_in && !deadline {
            return self.pass_on(worker, facts, &waiting, answered, out);
        }
        let substitution = Substitution::new(waiting, answered, stands_in, deadline);
        self.substitute(worker, facts, substitution, out)
    }

    /// The status of a response, 0 where there is none, and all of its headers where they are read at once.
    fn status<E: Environment<Headers = H>>(
        &self,
        worker: &Worker<E>,
        facts: &E::Response,
        waiting: &PendingRequest,
    ) -> (u16, Option<H>) {
        if !self.wants_all_headers(worker, waiting) {
            return (facts.header_number(":status").unwrap_or(0), None);
        }
        let lines = facts.headers();
        (lines.number(":status").unwrap_or(0), Some(lines))
    }

    /// Whether all headers are read at once: where a report of the upstream's load is looked for too, that costs the host one call in
    /// the place of three. What a stale cache or the stripping of headers needs is read there.
    fn wants_all_headers<E: Environment>(
        &self,
        worker: &Worker<E>,
        waiting: &PendingRequest,
    ) -> bool {
        let policy = worker.policy(waiting.policy);
        self.stale.is_none()
            && self.held.is_some()
            && policy.is_some_and(|policy| policy.answer_headers && policy.reads_reports())
    }

    /// The response goes to the client.
    pub(super) fn pass_on<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        waiting: &PendingRequest,
        answered: Answered,
        out: &mut Effects,
    ) -> Action {
        self.mark_provenance(worker, facts, waiting, out);
        if answered.good
            && waiting.elsewhere.is_none()
            && let Some(stale) = &mut self.stale
            && let Some(event) = stale.answered(worker, facts, &answered)
        {
            worker.count_event(event);
        }
        if answered.goes_on {
            self.stage = Stage::Streaming(Streaming {
                waiting: *waiting,
                host: answered.host,
                tunnel: answered.tunnel,
                outcome: answered.outcome,
                grpc: waiting.grpc && answered.status == OK,
                ended: false,
            });
        }
        Action::Continue
    }

    /// Counts a retry that was not safe to make, and takes off the response what only the two positions tell each other.
    fn settle_retries<E: Environment<Headers = H>>(
        &self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        waiting: &PendingRequest,
        known: Option<&Attempts>,
        (failed, retried, asked): (bool, bool, &mut FactCache),
        out: &mut Effects,
    ) {
        let settlement = waiting.accounted;
        let enforced = settlement.is_some_and(|settlement| settlement.enforced);
        if failed && settlement.is_some_and(|settlement| settlement.unsafe_coarse) {
            worker.count(waiting.upstream, Event::RetryDenied(Denial::UnsafeCoarse));
        }
        let retried = retried && enforced;
        retry_settlement::strip_attempt_headers(
            worker,
            facts,
            out,
            &self.arrival,
            known,
            (retried, asked),
        );
    }

    /// Says whose response it is, as far as the policy's responses say such things.
    fn mark_provenance<E: Environment<Headers = H>>(
        &self,
        worker: &Worker<E>,
        facts: &E::Response,
        waiting: &PendingRequest,
        out: &mut Effects,
    ) {
        let Some(policy) = worker.policy(waiting.ladder) else {
            return;
        };
        if !policy.answer_headers {
            local_reply::strip_own_headers(worker, facts, &self.arrival, out);
        } else if let Some(reason) = waiting.elsewhere {
            out.set_response_header(local_reply::DEGRADED, "cluster");
            out.set_response_header(Reason::HEADER, reason.name());
        }
    }
}

/// The verdict with what the response's headers say beside it. The host and `retry-after` are asked for only where they
/// count.
fn verdict_at_headers<E: Environment>(
    worker: &Worker<E>,
    facts: &E::Response,
    waiting: &PendingRequest,
    outcome: Outcome,
) -> Verdict {
    let told = match outcome {
        // Only overload is something else to some policies, and it is seldom.
        Outcome::Overloaded => worker
            .policy(waiting.policy)
            .map_or(outcome, |policy| policy.outcomes.verdict(outcome)),
        outcome => outcome,
    };
    let counts = outcome == Outcome::Failure || told == Outcome::Failure;
    let host = match counts || waiting.wants_host {
        true => response_facts::host(facts),
        false => 0,
    };
    let retry_after = counts.then(|| response_facts::retry_after(&worker.env, facts));
    Verdict {
        outcome,
        host,
        retry_after: retry_after.flatten(),
        peer: waiting.peer,
        silent: false,
    }
}

/// Settles what the attempts of a request owe.
fn settle_attempts<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    waiting: &PendingRequest,
    (bad, asked): (bool, &mut FactCache),
    kept: Option<bool>,
) -> Option<Attempts> {
    let accounted = waiting.accounted?;
    if let Some(began) = kept {
        retry_settlement::finish_kept(worker, facts, waiting.upstream, began, (bad, asked));
        return None;
    }
    retry_settlement::finish(worker, facts, waiting.upstream, accounted, (bad, asked))
}

fn judge<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    waiting: &PendingRequest,
    (status, grpc, not_grpc): (u16, Option<u16>, bool),
    (refused, asked): (Option<ResponseSource>, &mut FactCache),
) -> Option<(Judgement, ResponseSource, ResponseTiming)> {
    let outcomes = &worker.policy(waiting.policy)?.outcomes;
    let suspect = not_grpc || outcomes.is_suspect(status, grpc);
    let probe = worker.exchange(waiting.exchange)?.waiting.probe;
    let (origin, is_over) = match refused {
        // A refusal of our own is never the end of the request's time.
        Some(origin) => (origin, false),
        // Another filter's response must not close a breaker.
        None if suspect || probe => asked.origin(facts),
        None => (ResponseSource::Unknown, false),
    };
    let answer = ResponseFacts {
        status,
        grpc,
        not_grpc,
        origin,
        refused: match origin {
            ResponseSource::Upstream => refused_behind(facts, waiting, status),
            ResponseSource::Local { .. } | ResponseSource::Unknown => None,
        },
    };
    let local = matches!(origin, ResponseSource::Local { .. });
    let sent = !local || asked.attempts(facts) != Some(0);
    let request = timing(worker, facts, waiting, sent, local)?;
    let judged = worker
        .policy(waiting.policy)?
        .outcomes
        .judge(&answer, &request);
    let judged = match (refused, judged.ignored) {
        (Some(_), Some(_)) => Ignored::Ours.into(),
        _ => judged,
    };
    let latency = request.latency();
    let told = matches!(judged.outcome, Outcome::Success | Outcome::Slow);
    let ended = match is_over {
        true => Some(Ended::Cut(waiting.limit)),
        false => told.then_some(Ended::Answered { status, grpc }),
    };
    if let Some((ended, latency)) = ended.zip(latency.filter(|_| !waiting.exempt)) {
        worker.observe(waiting.upstream, ended, latency);
    }
    Some((judged, origin, ResponseTiming { latency, is_over }))
}

/// Why a Seawall before the upstream refused a request, where that can matter.
#[cold]
#[inline(never)]
fn refused_behind(
    facts: &impl ResponsePhase,
    waiting: &PendingRequest,
    status: u16,
) -> Option<RefusedBehind> {
    if status != SHED && !waiting.limits.has_caller() {
        return None;
    }
    // A static response may stand in for a refusal by any status; it is overload only by that of the plain one.
    response_facts::refused_behind(facts)
        .filter(|refused| status == SHED || *refused == RefusedBehind::Deadline)
}

/// The gRPC status of a response that its headers end, and whether it is no gRPC response at all.
fn grpc_status(
    facts: &impl ResponsePhase,
    waiting: &PendingRequest,
    status: u16,
    end_of_stream: bool,
) -> (Option<u16>, bool) {
    let said = match (waiting.grpc && end_of_stream, status) {
        (true, OK) => Some(response_facts::grpc_status(facts)),
        (true, _) => facts.header_number("grpc-status").map(ResponseStatus::Code),
        (false, _) => None,
    };
    match said {
        Some(ResponseStatus::Code(code)) => (Some(code), false),
        Some(ResponseStatus::NotGrpc) => (None, true),
        None => (None, false),
    }
}
