//! How a request ends: what its response brings after the headers, and the last word on its verdict.

use seawall_policy::breaker::Verdict;
use seawall_policy::grpc::ResponseStatus;
use seawall_policy::outcome::end::{Afterwards, Judgement, RequestTiming};
use seawall_policy::outcome::pool::PoolWait;
use seawall_policy::outcome::{Ignored, Outcome};
use seawall_policy::time::Timestamp;

use super::{HttpRequest, PendingRequest, Stage, Streaming};
use crate::host::clock;
use crate::response;
use crate::telemetry::Event;
use crate::worker::Worker;
use crate::worker::exchanges::slow_over;

impl HttpRequest {
    /// The last byte of the request is there: from now on the upstream is waited for.
    pub(crate) fn request_ended(&mut self) {
        self.complete = true;
        self.is_finished();
        if let Stage::Waiting(waiting) = &self.stage {
            let exchange = waiting.exchange;
            self.with(|worker| {
                worker.request_ended(exchange);
                Some(())
            });
        }
    }

    /// A chunk of the answer's body passes.
    pub(crate) fn response_body(&mut self, size: usize, end_of_stream: bool) {
        self.record_meanwhile();
        if let Some(stale) = &mut self.stale {
            stale.chunk(size, end_of_stream);
        }
        let Stage::Streaming(streaming) = self.stage else {
            return;
        };
        if end_of_stream {
            match streaming.grpc {
                true => self.ended_without_status(streaming),
                false => self.ended(streaming, streaming.outcome.into()),
            }
        } else {
            self.with(|worker| {
                worker.chunk(streaming.waiting.exchange);
                Some(())
            });
        }
    }

    /// The trailers of the answer are there: a gRPC status may come this late.
    pub(crate) fn response_trailers(&mut self) {
        self.stale = None;
        let streaming = match self.stage {
            Stage::Streaming(streaming) => streaming,
            Stage::Outside | Stage::Waiting(_) => return self.record_trailers(false),
        };
        let said = match streaming.grpc {
            true => response::trailing_grpc_status(),
            false => None,
        };
        if streaming.grpc && said.is_none() {
            self.record_trailers(false);
            return self.ended_without_status(streaming);
        }
        let judged = said.map_or(streaming.outcome.into(), |said| {
            self.judge_grpc_end(&streaming, said)
        });
        self.record_trailers(judged.outcome == Outcome::Overloaded);
        self.ended(streaming, judged);
    }

    /// What the status of a gRPC response says that has ended.
    fn judge_grpc_end(&self, streaming: &Streaming, said: ResponseStatus) -> Judgement {
        let judged = match said {
            ResponseStatus::NotGrpc => Some(Ignored::NotGrpc.into()),
            ResponseStatus::Code(status) => self.with(|worker| {
                let request = request(worker, &streaming.waiting, true, false)?;
                let outcomes = &worker.policy(streaming.waiting.policy)?.outcomes;
                outcomes.judge_trailers(status, &request)
            }),
        };
        judged.unwrap_or(streaming.outcome.into())
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
    fn ended(&mut self, streaming: Streaming, judged: Judgement) {
        let PendingRequest {
            exchange, upstream, ..
        } = streaming.waiting;
        let verdict = Verdict {
            outcome: judged.outcome,
            host: match (judged.outcome, streaming.host) {
                (Outcome::Failure, 0) => response::host(),
                (_, host) => host,
            },
            retry_after: None,
            peer: streaming.waiting.peer,
        };
        self.with(|worker| {
            worker.conclude(exchange, judged, verdict);
            worker.response_ended(upstream);
            worker.end(exchange);
            Some(())
        });
        self.stage = Stage::Outside;
    }

    /// The request is over, one way or another. Whatever comes after the first time finds nothing left to do.
    pub(crate) fn on_end(&mut self) {
        if let Stage::Waiting(waiting) = self.stage {
            let latency = self.with(|worker| request(worker, &waiting, true, false)?.latency());
            self.record_no_response(latency.filter(|_| !waiting.exempt));
        }
        self.release();
        self.arrival.withdraw();
        self.log_stale(|stale| stale.over());
        match std::mem::replace(&mut self.stage, Stage::Outside) {
            Stage::Outside => {}
            Stage::Waiting(waiting) => {
                self.account(&waiting, true);
                let flags = response::flags();
                let sent = response::attempts() != Some(0);
                let judged = self.with(|worker| {
                    let request = request(worker, &waiting, sent, true)?;
                    let outcomes = &worker.policy(waiting.policy)?.outcomes;
                    Some(outcomes.judge_end(flags, &request))
                });
                let judged = judged.unwrap_or(Ignored::Ours.into());
                self.finish(&waiting, judged, 0);
            }
            Stage::Streaming(streaming) if streaming.ended => {
                let judged = self.judge_grpc_end(&streaming, response::grpc_status());
                self.ended(streaming, judged);
            }
            Stage::Streaming(streaming) => self.cut(&streaming),
        }
    }

    /// A response ended without its end having been seen.
    fn cut(&mut self, streaming: &Streaming) {
        let Streaming {
            waiting,
            host,
            tunnel,
            ..
        } = *streaming;
        let flags = response::flags();
        let judged = self.with(|worker| {
            let request = RequestTiming {
                exempt: waiting.exempt || response::is_events(),
                ..request(worker, &waiting, true, false)?
            };
            let flowing = worker.is_flowing(waiting.exchange);
            let outcomes = &worker.policy(waiting.policy)?.outcomes;
            let judged = outcomes.judge_afterwards(flags, tunnel, flowing, &request);
            Some(match judged {
                Afterwards::AskOthers => {
                    let connection = response::connection();
                    match worker.is_stall_of_upstream(waiting.exchange, connection) {
                        true => Afterwards::Failed,
                        false => Afterwards::Stands(Some(Ignored::StalledAfterHeaders)),
                    }
                }
                judged => judged,
            })
        });
        match judged.unwrap_or(Afterwards::Stands(None)) {
            Afterwards::Failed => self.finish(&waiting, Outcome::Failure.into(), host),
            Afterwards::Stands(why) => {
                self.with(|worker| {
                    if let Some(why) = why {
                        worker.count(waiting.upstream, Event::Ignored(why));
                    }
                    worker.end(waiting.exchange);
                    Some(())
                });
            }
            Afterwards::AskOthers => {}
        }
    }

    /// The last word on a request that is over.
    fn finish(&self, waiting: &PendingRequest, judged: Judgement, host: u32) {
        let exchange = waiting.exchange;
        let failed = judged.outcome == Outcome::Failure;
        let verdict = Verdict {
            outcome: judged.outcome,
            host: match (failed, host) {
                (true, 0) => response::host(),
                (_, host) => host,
            },
            retry_after: None,
            peer: waiting.peer,
        };
        self.with(|worker| {
            worker.conclude(exchange, judged, verdict);
            worker.end(exchange);
            Some(())
        });
    }
}

/// What is known of a request now. `ended` is whether it ended without a response of the upstream.
pub(super) fn request(
    worker: &mut Worker,
    waiting: &PendingRequest,
    sent: bool,
    ended: bool,
) -> Option<RequestTiming> {
    let slow_over = slow_over(worker.policy(waiting.policy)?);
    let exchange = worker.exchange(waiting.exchange)?;
    let mut request = RequestTiming {
        exempt: waiting.exempt,
        sent,
        admitted_at: waiting.at,
        complete_at: exchange.waiting.complete_at,
        pool: PoolWait::None,
        limits: waiting.limits,
        slow_over,
        now: clock::now(),
    };
    if ended || request.is_silent() {
        request.pool = pool(worker, waiting, request.complete_at);
    }
    Some(request)
}

/// How a request that was complete at this time stands with Envoy's connection pool.
#[cold]
#[inline(never)]
fn pool(worker: &mut Worker, waiting: &PendingRequest, complete: Option<Timestamp>) -> PoolWait {
    match complete {
        Some(since) if worker.takes_connections_since(waiting.upstream, since) => {
            let left = |waited| PoolWait::Left(waiting.at.after(waited));
            response::pool_wait().map_or(PoolWait::Waits, left)
        }
        Some(_) | None => PoolWait::None,
    }
}
