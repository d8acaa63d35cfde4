//! How a request ends: what its response brings after the headers, and the last word on its verdict.

use seawall_policy::breaker::Verdict;
use seawall_policy::outcome::end::{Afterwards, Judgement, RequestTiming};
use seawall_policy::outcome::{Ignored, Outcome};

use super::{HttpRequest, PendingRequest, Stage, Streaming};
use crate::host::clock;
use crate::host::headers::Map;
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
            self.ended(streaming, streaming.outcome.into());
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
            Stage::Outside | Stage::Waiting(_) => return self.record_late_failure(false),
        };
        let status: Option<u16> = match streaming.waiting.grpc {
            true => Map::ResponseTrailers.number("grpc-status"),
            false => None,
        };
        let judged = status.and_then(|status| {
            self.with(|worker| {
                let request = request(worker, &streaming.waiting, true)?;
                let outcomes = &worker.policy(streaming.waiting.policy)?.outcomes;
                outcomes.judge_trailers(status, &request)
            })
        });
        let judged = judged.unwrap_or(streaming.outcome.into());
        self.record_late_failure(judged.outcome == Outcome::Overloaded);
        self.ended(streaming, judged);
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
            let latency = self.with(|worker| request(worker, &waiting, true)?.latency());
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
                    let request = request(worker, &waiting, sent)?;
                    let outcomes = &worker.policy(waiting.policy)?.outcomes;
                    Some(outcomes.judge_end(flags, &request))
                });
                let judged = judged.unwrap_or(Ignored::Ours.into());
                self.finish(&waiting, judged, 0);
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
            let request = request(worker, &waiting, true)?;
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

/// What is known of a request now.
pub(super) fn request(
    worker: &mut Worker,
    waiting: &PendingRequest,
    sent: bool,
) -> Option<RequestTiming> {
    let slow_over = slow_over(worker.policy(waiting.policy)?);
    let exchange = worker.exchange(waiting.exchange)?;
    Some(RequestTiming {
        exempt: waiting.exempt,
        sent,
        admitted_at: waiting.at,
        complete_at: exchange.waiting.complete_at,
        limits: waiting.limits,
        slow_over,
        now: clock::now(),
    })
}
