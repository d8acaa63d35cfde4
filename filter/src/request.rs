//! The downstream position: one request from its headers to its end.
//!
//! **Architecture invariant:** every permit is settled exactly once. It moves from [`Stage::Waiting`] out in one place,
//! at response headers or, where none came, in `on_log`; what breaks afterwards is a failure of its own. No reply and no
//! reset is made in `on_log`: Envoy itself would crash.

use std::cell::RefCell;
use std::rc::Rc;

use seawall_policy::admission::{Decision, Settlement};
use seawall_policy::breaker::{Permit, Verdict};
use seawall_policy::fallback::Cause;
use seawall_policy::outcome::{Answer, Lenience, Origin, Outcome, flag};
use seawall_policy::policy::Policy;
use seawall_policy::time::{Span, Timestamp};

use crate::answer::{self, About, Sent};
use crate::facts::{self, Facts};
use crate::host::exports::Action;
use crate::host::headers::Map;
use crate::host::{clock, properties};
use crate::telemetry::{Concern, Event};
use crate::worker::{self, Admitted, Asking, Selected, Worker};

/// Where a request stands.
#[derive(Debug)]
enum Stage {
    /// Not ours, or no longer: nothing is to be done at its end.
    Outside,
    /// It went, and no answer came yet.
    Waiting(Waiting),
    /// The answer is on its way; it may still break.
    Streaming(Streaming),
}

/// A request that went.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    policy: usize,
    upstream: usize,
    /// `None` where nothing is counted.
    permit: Option<Permit>,
    /// Whether it would have been refused: it feeds nothing but the false-refusal metric.
    marked: bool,
    at: Timestamp,
    grpc: bool,
    lenience: Lenience,
    wants_host: bool,
}

/// A request whose verdict is settled.
#[derive(Clone, Copy, Debug)]
struct Streaming {
    waiting: Waiting,
    permit: Permit,
    host: u32,
}

/// One request.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    worker: Rc<RefCell<Option<Worker>>>,
    stage: Stage,
}

impl HttpRequest {
    /// A request of the root that this worker belongs to.
    pub(crate) fn new(worker: Rc<RefCell<Option<Worker>>>) -> Self {
        Self {
            worker,
            stage: Stage::Outside,
        }
    }

    /// Runs something on the worker; nothing where there is none.
    fn with<T>(&self, run: impl FnOnce(&mut Worker) -> Option<T>) -> Option<T> {
        run(self.worker.try_borrow_mut().ok()?.as_mut()?)
    }

    /// The headers of the request are there: reads the facts, decides, and applies the decision.
    pub(crate) fn request_headers(&mut self) -> Action {
        let facts = Facts::read(&Map::Request.pairs());
        let Some(cluster) = properties::text("xds\0cluster_name") else {
            self.strip(&facts, false);
            return Action::Continue;
        };
        let named = properties::text("xds\0route_metadata\0filter_metadata\0seawall\0policy");
        let selected = self.with(|worker| worker.select(&cluster, named.as_deref()));
        self.strip(&facts, selected.is_some());
        let Some(selected) = selected else {
            return Action::Continue;
        };
        let admitted = self.admit(selected, &cluster, &facts);
        match admitted {
            Some(admitted) => self.apply(selected, &admitted, &facts),
            None => Action::Continue,
        }
    }

    /// The headers of the answer are there.
    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        match self.stage {
            Stage::Waiting(waiting) => self.answered(waiting, end_of_stream),
            // An answer of our own, or a request that is not ours.
            Stage::Outside | Stage::Streaming(_) => Action::Continue,
        }
    }

    /// The trailers of the answer are there: a gRPC status may come this late.
    pub(crate) fn response_trailers(&mut self) {
        let Stage::Streaming(streaming) = &self.stage else {
            return;
        };
        if !streaming.waiting.grpc {
            return;
        }
        let status: Option<u16> = Map::ResponseTrailers.number("grpc-status");
        let lenience = streaming.waiting.lenience;
        let failed = self.with(|worker| {
            let policy = worker.policy(streaming.waiting.policy)?;
            Some(policy.outcomes.grpc_failed(status?, lenience))
        });
        if failed == Some(true) {
            self.broken(streaming);
            self.stage = Stage::Outside;
        }
    }

    /// The request is over, one way or another.
    pub(crate) fn log(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Outside) {
            Stage::Outside => {}
            Stage::Waiting(waiting) => {
                let outcome = self.judge_flags(&waiting);
                let host = if outcome == Outcome::Failure {
                    host()
                } else {
                    0
                };
                self.settle(&waiting, outcome, host, None);
            }
            Stage::Streaming(streaming) => {
                if self.judge_flags(&streaming.waiting) == Outcome::Failure {
                    self.broken(&streaming);
                }
            }
        }
    }

    fn admit(&self, selected: Selected, cluster: &str, facts: &Facts) -> Option<Admitted> {
        const INBOUND: u64 = 1;
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
        let asking = Asking {
            selected,
            cluster,
            part,
            inbound: properties::number("xds\0listener_direction") == Some(INBOUND),
            open_ended: facts.open_ended,
            draw: facts.draw,
        };
        self.with(|worker| worker.admit(&asking))
    }

    fn apply(&mut self, selected: Selected, admitted: &Admitted, facts: &Facts) -> Action {
        let policy = selected.policy;
        if let Decision::Refuse {
            reason,
            retry_after,
        } = admitted.decision
        {
            let sent = self.with(|worker| {
                let policy = worker.policy(policy)?;
                let ladder = &policy.fallback;
                Some(answer::refuse(
                    &policy.name,
                    ladder,
                    facts.grpc,
                    reason,
                    retry_after,
                ))
            });
            return match sent {
                Some(Sent::Refusal) => Action::Pause,
                Some(Sent::Fallback) => {
                    self.count(admitted.upstream, Event::Fallback(Cause::Open));
                    Action::Pause
                }
                Some(Sent::Nothing) | None => Action::Continue,
            };
        }
        if let Some(total) = admitted.total {
            let millis = total.as_millis().max(1).to_string();
            Map::Request.set("x-envoy-upstream-rq-timeout-ms", &millis);
        }
        let marked = worker::reason(admitted.decision);
        if let Some(reason) = marked {
            self.tell_marked(policy, reason.name());
        }
        let permit = match admitted.decision {
            Decision::Admit(permit) => permit,
            Decision::Mark(_) | Decision::Refuse { .. } => None,
        };
        let impatient = facts.grpc_timeout.is_some_and(|asked| {
            let limit = self.with(|worker| worker.policy(policy)?.total);
            limit.is_none_or(|limit| asked < limit)
        });
        self.stage = Stage::Waiting(Waiting {
            policy,
            upstream: admitted.upstream,
            permit,
            marked: marked.is_some(),
            at: admitted.at,
            grpc: facts.grpc,
            lenience: Lenience {
                never_slow: facts.never_slow,
                impatient,
            },
            wants_host: admitted.wants_host,
        });
        Action::Continue
    }

    /// The answer's headers: the verdict, and perhaps another answer.
    fn answered(&mut self, waiting: Waiting, end_of_stream: bool) -> Action {
        self.stage = Stage::Outside;
        let status: u16 = Map::Response.number(":status").unwrap_or(0);
        let grpc: Option<u16> = (waiting.grpc && end_of_stream)
            .then(|| Map::Response.number("grpc-status"))
            .flatten();
        let Some((outcome, origin)) = self.judge(&waiting, status, grpc) else {
            return Action::Continue;
        };
        let failed = outcome == Outcome::Failure;
        let host = if failed || waiting.wants_host {
            host()
        } else {
            0
        };
        let retry_after = failed.then(retry_after).flatten();
        self.settle(&waiting, outcome, host, retry_after);
        if failed || stood_in_for_nobody(origin) {
            let replaced = self.with(|worker| {
                let policy = worker.policy(waiting.policy)?;
                Some(answer::replace(
                    &policy.name,
                    &policy.fallback,
                    waiting.grpc,
                ))
            });
            if replaced == Some(Sent::Fallback) {
                self.count(waiting.upstream, Event::Fallback(Cause::Failure));
                return Action::Pause;
            }
        }
        let permit = waiting.permit.filter(|_| !end_of_stream);
        if let Some(permit) = permit.filter(|_| !matches!(origin, Origin::Local { .. })) {
            self.stage = Stage::Streaming(Streaming {
                waiting,
                permit,
                host,
            });
        }
        Action::Continue
    }

    fn judge(
        &self,
        waiting: &Waiting,
        status: u16,
        grpc: Option<u16>,
    ) -> Option<(Outcome, Origin)> {
        let latency = clock::now().since(waiting.at);
        self.with(|worker| {
            let policy = worker.policy(waiting.policy)?;
            let origin = match policy.outcomes.is_suspect(status, grpc) {
                true => origin(),
                false => Origin::Unknown,
            };
            let answer = Answer {
                status,
                grpc,
                origin,
                latency,
            };
            let slow_over = slow_over(policy);
            Some((
                policy.outcomes.judge(&answer, waiting.lenience, slow_over),
                origin,
            ))
        })
    }

    /// The one place where a permit is given back.
    fn settle(&self, waiting: &Waiting, outcome: Outcome, host: u32, retry_after: Option<Span>) {
        let event = match waiting.marked {
            true => Event::MarkedOutcome(outcome),
            false => Event::Outcome(outcome),
        };
        self.count(waiting.upstream, event);
        let Some(permit) = waiting.permit else {
            return;
        };
        let verdict = Verdict {
            outcome,
            host,
            retry_after,
        };
        self.with(|worker| {
            worker.settle(waiting.upstream, permit, Settlement::Verdict(verdict));
            Some(())
        });
    }

    /// A stream that broke after its verdict.
    fn broken(&self, streaming: &Streaming) {
        let upstream = streaming.waiting.upstream;
        self.count(upstream, Event::Outcome(Outcome::Failure));
        let host = match streaming.host {
            0 => host(),
            known => known,
        };
        self.with(|worker| {
            worker.settle(upstream, streaming.permit, Settlement::Break { host });
            Some(())
        });
    }

    /// Removes what a client may not send: router control where we steer, our own headers everywhere.
    fn strip(&self, facts: &Facts, governed: bool) {
        if facts.control.is_empty() || !(governed || facts.own) {
            return;
        }
        for name in &facts.control {
            if governed || Facts::is_own(name) {
                Map::Request.remove(name);
            }
        }
        self.with(|worker| {
            worker.concern(Concern::ControlHeader);
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

    fn count(&self, upstream: usize, event: Event) {
        self.with(|worker| {
            worker.count(upstream, event);
            Some(())
        });
    }

    fn judge_flags(&self, waiting: &Waiting) -> Outcome {
        let flags = properties::number("response\0flags").unwrap_or(0);
        let judged = self.with(|worker| {
            let policy = worker.policy(waiting.policy)?;
            Some(policy.outcomes.judge_flags(flags, waiting.lenience))
        });
        judged.unwrap_or(Outcome::Ignored)
    }
}

/// Who gave an answer that looks bad.
fn origin() -> Origin {
    match properties::bytes("response\0code_details") {
        None => Origin::Unknown,
        Some(details) if details == b"via_upstream" => Origin::Upstream,
        Some(_) => Origin::Local {
            flags: properties::number("response\0flags").unwrap_or(0),
        },
    }
}

/// Whether Envoy answered because there was nobody who could: no failure of the upstream, but one for the client.
fn stood_in_for_nobody(origin: Origin) -> bool {
    const NOBODY: u64 = flag::NO_HEALTHY_UPSTREAM | flag::UPSTREAM_OVERFLOW | flag::NO_CLUSTER;
    matches!(origin, Origin::Local { flags } if flags & NOBODY != 0)
}

/// The host that answered, as a number.
fn host() -> u32 {
    properties::bytes("upstream\0address").map_or(0, |address| facts::hash(&address))
}

/// When the upstream asked to be tried again: `retry-after` in seconds, or gRPC's pushback in milliseconds.
fn retry_after() -> Option<Span> {
    let seconds = Map::Response.number("retry-after").map(Span::secs);
    seconds.or_else(|| {
        Map::Response
            .number("grpc-retry-pushback-ms")
            .map(Span::millis)
    })
}

/// Slow calls are judged by the breaker's own bound; where it is off, nothing is slow.
fn slow_over(policy: &Policy) -> Span {
    policy.breaker.thresholds.slow_over
}
