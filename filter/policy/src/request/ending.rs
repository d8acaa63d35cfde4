//! How a request ends: what its response brings after the headers, and the last word on its verdict.

use super::retry_settlement;
use super::{HttpRequest, PendingRequest, Stage, Streaming};
use crate::breaker::Verdict;
use crate::environment::Environment;
use crate::environment::facts::{BodyPhase, ResponsePhase};
use crate::environment::headers::HeaderMap;
use crate::grpc::ResponseStatus;
use crate::outcome::end::{Afterwards, Judgement, RequestTiming};
use crate::outcome::pool::PoolWait;
use crate::outcome::{Ignored, Outcome, ResponseSource};
use crate::response_facts::{self, FactCache};
use crate::telemetry::Event;
use crate::time::Timestamp;
use crate::worker::Worker;
use crate::worker::exchanges::{Word, slow_over};

impl<H: HeaderMap> HttpRequest<H> {
    /// The last byte of the request is there: from now on the upstream is waited for.
    pub(crate) fn request_ended<E: Environment<Headers = H>>(&mut self, worker: &mut Worker<E>) {
        self.complete = true;
        self.is_finished(worker);
        if let Stage::Waiting(waiting) = &self.stage {
            worker.request_ended(waiting.exchange);
        }
    }

    /// A chunk of the response's body passes.
    pub(crate) fn response_body<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
        body: &impl BodyPhase,
        (size, end_of_stream): (usize, bool),
    ) {
        self.record_meanwhile(worker);
        if let Some(stale) = &mut self.stale {
            stale.chunk(body, size, end_of_stream);
        }
        let Stage::Streaming(streaming) = &self.stage else {
            return;
        };
        if !end_of_stream {
            return worker.chunk(streaming.waiting.exchange);
        }
        let streaming = *streaming;
        match streaming.grpc {
            true => self.ended_without_status(streaming),
            false => self.ended(worker, facts, streaming, streaming.outcome.into()),
        }
    }

    /// The trailers of the response are there: a gRPC status may come this late.
    pub(crate) fn response_trailers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Trailers,
    ) {
        self.stale = None;
        let streaming = match self.stage {
            Stage::Streaming(streaming) => streaming,
            Stage::Outside | Stage::Waiting(_) => {
                return self.record_trailers(worker, facts, false);
            }
        };
        let said = match streaming.grpc {
            true => response_facts::trailing_grpc_status(facts),
            false => None,
        };
        if streaming.grpc && said.is_none() {
            self.record_trailers(worker, facts, false);
            return self.ended_without_status(streaming);
        }
        let judged = said.map_or(streaming.outcome.into(), |said| {
            judge_grpc_end(worker, facts, &streaming, said)
        });
        self.record_trailers(worker, facts, judged.outcome == Outcome::Overloaded);
        self.ended(worker, facts, streaming, judged);
    }

    /// A gRPC response ended and its trailers had no status: its headers are looked at once the request is over.
    #[cold]
    fn ended_without_status(&mut self, streaming: Streaming) {
        self.stage = Stage::Streaming(Streaming {
            ended: true,
            ..streaming
        });
    }

    /// The end of a response was seen: its verdict is final.
    fn ended<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &impl ResponsePhase,
        streaming: Streaming,
        judged: Judgement,
    ) {
        let PendingRequest {
            exchange, upstream, ..
        } = streaming.waiting;
        let verdict = final_verdict(facts, &streaming.waiting, judged.outcome, streaming.host);
        worker.conclude(exchange, judged, verdict, Word::Last);
        worker.response_ended(upstream);
        worker.end(exchange);
        self.stage = Stage::Outside;
    }

    /// The request is over, one way or another. Whatever comes after the first time finds nothing left to do.
    pub(crate) fn on_end<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Response,
    ) {
        let mut unanswered = None;
        let kept = self.forget_attempts(worker);
        if let Stage::Waiting(waiting) = &self.stage {
            let request = timing(worker, facts, waiting, true, true);
            if self.held.is_some() {
                let latency = request.as_ref().and_then(RequestTiming::latency);
                self.record_no_response(&worker.env, latency.filter(|_| !waiting.exempt));
            }
            unanswered = request;
        }
        self.release(worker);
        self.arrival.withdraw(&worker.env);
        if let Some(stale) = &mut self.stale
            && let Some(event) = stale.over(worker, facts)
        {
            worker.count_event(event);
        }
        match std::mem::replace(&mut self.stage, Stage::Outside) {
            Stage::Outside => {}
            Stage::Waiting(waiting) => {
                let mut asked = FactCache::unanswered();
                if let Some(began) = kept {
                    let bad = (true, &mut asked);
                    retry_settlement::finish_kept(worker, facts, waiting.upstream, began, bad);
                } else if let Some(accounted) = waiting.accounted {
                    let bad = (true, &mut asked);
                    retry_settlement::finish(worker, facts, waiting.upstream, accounted, bad);
                }
                let judged = unanswered
                    .and_then(|request| judge_end(worker, facts, &waiting, request, &mut asked))
                    .unwrap_or(Ignored::Ours.into());
                let verdict = Verdict {
                    silent: true,
                    ..final_verdict(facts, &waiting, judged.outcome, 0)
                };
                worker.conclude(waiting.exchange, judged, verdict, Word::Last);
                worker.end(waiting.exchange);
            }
            Stage::Streaming(streaming) if streaming.ended => {
                let said = response_facts::grpc_status(facts);
                let judged = judge_grpc_end(worker, facts, &streaming, said);
                self.ended(worker, facts, streaming, judged);
            }
            Stage::Streaming(streaming) => cut(worker, facts, &streaming),
        }
    }
}

/// What the end of a request says that had no response.
fn judge_end<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    waiting: &PendingRequest,
    request: RequestTiming,
    asked: &mut FactCache,
) -> Option<Judgement> {
    let flags = response_facts::flags(facts);
    let request = RequestTiming {
        sent: asked.attempts(facts) != Some(0),
        ..request
    };
    let outcomes = &worker.policy(waiting.policy)?.outcomes;
    let judged = outcomes.judge_end(flags, &request);
    let origin = ResponseSource::Local { flags };
    Some(worker.ask_other_peers(waiting.exchange, facts, (judged, origin), asked))
}

/// What the status of a gRPC response says that has ended.
fn judge_grpc_end<E: Environment>(
    worker: &mut Worker<E>,
    facts: &impl ResponsePhase,
    streaming: &Streaming,
    said: ResponseStatus,
) -> Judgement {
    let judged = match said {
        ResponseStatus::NotGrpc => Some(Ignored::NotGrpc.into()),
        ResponseStatus::Code(status) => timing(worker, facts, &streaming.waiting, true, false)
            .and_then(|request| {
                let outcomes = &worker.policy(streaming.waiting.policy)?.outcomes;
                outcomes.judge_trailers(status, &request)
            }),
    };
    judged.unwrap_or(streaming.outcome.into())
}

/// A response ended without its end having been seen.
fn cut<E: Environment>(worker: &mut Worker<E>, facts: &E::Response, streaming: &Streaming) {
    let waiting = &streaming.waiting;
    match judge_cut(worker, facts, streaming).unwrap_or(Afterwards::Stands(None)) {
        ended @ (Afterwards::Failed | Afterwards::Stalled) => {
            let verdict = Verdict {
                silent: ended == Afterwards::Stalled,
                ..final_verdict(facts, waiting, Outcome::Failure, streaming.host)
            };
            let judged = Outcome::Failure.into();
            worker.conclude(waiting.exchange, judged, verdict, Word::Last);
            worker.end(waiting.exchange);
        }
        Afterwards::Stands(why) => {
            if let Some(why) = why {
                worker.count(waiting.upstream, Event::Ignored(why));
            }
            worker.end(waiting.exchange);
        }
        Afterwards::AskOthers { .. } => {}
    }
}

fn judge_cut<E: Environment>(
    worker: &mut Worker<E>,
    facts: &E::Response,
    streaming: &Streaming,
) -> Option<Afterwards> {
    let waiting = &streaming.waiting;
    let flags = response_facts::flags(facts);
    let request = RequestTiming {
        exempt: waiting.exempt || response_facts::is_events(facts),
        ..timing(worker, facts, waiting, true, false)?
    };
    let flowing = worker.is_flowing(waiting.exchange);
    let outcomes = &worker.policy(waiting.policy)?.outcomes;
    let judged = outcomes.judge_afterwards(flags, streaming.tunnel, flowing, &request);
    Some(match judged {
        Afterwards::AskOthers { limit } => {
            let connection = response_facts::connection(facts);
            match worker.is_stall_of_upstream(waiting.exchange, connection) {
                true if limit => Afterwards::Stalled,
                true => Afterwards::Failed,
                false => Afterwards::Stands(Some(Ignored::StalledAfterHeaders)),
            }
        }
        // It may well hang up on a client that does not finish.
        Afterwards::Failed
            if request.complete_at.is_none()
                && worker.is_break_of_client(
                    waiting.exchange,
                    facts,
                    &mut FactCache::default(),
                ) == Some(true) =>
        {
            Afterwards::Stands(Some(Ignored::OnePeer))
        }
        judged => judged,
    })
}

/// A verdict with the host that is to blame, which is asked for where it was not known before.
fn final_verdict(
    facts: &impl ResponsePhase,
    waiting: &PendingRequest,
    outcome: Outcome,
    host: u32,
) -> Verdict {
    Verdict {
        outcome,
        host: match (outcome, host) {
            (Outcome::Failure, 0) => response_facts::host(facts),
            (_, host) => host,
        },
        retry_after: None,
        peer: waiting.peer,
        silent: false,
    }
}

/// What is known of a request now. `ended` is whether it ended without a response of the upstream.
pub(super) fn timing<E: Environment>(
    worker: &mut Worker<E>,
    facts: &impl ResponsePhase,
    waiting: &PendingRequest,
    sent: bool,
    ended: bool,
) -> Option<RequestTiming> {
    let slow_over = slow_over(worker.policy(waiting.policy)?);
    let now = worker.env.now();
    let exchange = worker.exchange(waiting.exchange)?;
    let mut request = RequestTiming {
        exempt: waiting.exempt,
        sent,
        admitted_at: waiting.at,
        complete_at: exchange.waiting.complete_at,
        pool: PoolWait::None,
        limits: waiting.limits,
        slow_over,
        now,
    };
    if ended || request.is_silent() {
        request.pool = pool(worker, facts, waiting, request.complete_at);
    }
    Some(request)
}

/// How a request that was complete at this time stands with Envoy's connection pool.
#[cold]
#[inline(never)]
fn pool<E: Environment>(
    worker: &mut Worker<E>,
    facts: &impl ResponsePhase,
    waiting: &PendingRequest,
    complete: Option<Timestamp>,
) -> PoolWait {
    match complete {
        Some(since) if worker.takes_connections_since(waiting.upstream, since) => {
            let left = |waited| PoolWait::Left(waiting.at.after(waited));
            response_facts::pool_wait(facts).map_or(PoolWait::Waits, left)
        }
        Some(_) | None => PoolWait::None,
    }
}
