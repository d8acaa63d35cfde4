//! The downstream position: one request from its headers to its end.
//!
//! **Architecture invariant:** one request is one verdict, and the last word counts. The worker's exchange holds it: counted when
//! the response ends, a second after its headers, or when the upstream was silent for too long; a failure that comes later
//! takes its place. The end is the first of `on_log` and `on_done`: no reply and no reset is made there, since Envoy
//! itself would crash.

mod admit;
mod ending;
pub(crate) mod fallback;
mod in_flight;

use seawall_policy::admission::Reason;
use seawall_policy::breaker::Verdict;
use seawall_policy::deadline::Limit;
use seawall_policy::fallback::Kind;
use seawall_policy::grpc::ResponseStatus;
use seawall_policy::latency::Ended;
use seawall_policy::outcome::end::{Judgement, TimeLimits};
use seawall_policy::outcome::{Ignored, Outcome, RefusedBehind, ResponseFacts, ResponseSource};
use seawall_policy::retry::attempts::{Attempts, Denial, Flags};
use seawall_policy::time::{Span, Timestamp};

use crate::account::{self, RetrySettlement};
use crate::arrival::PropagatedContext;
use crate::attempt_state::FAILOVER;
use crate::facts::RequestFacts;
use crate::host::action::Action;
use crate::host::headers::Map;
use crate::host::properties;
use crate::local_reply;
use crate::page;
use crate::response;
use crate::stale;
use crate::telemetry::{Event, InternalEvent};
use crate::worker::Worker;
use crate::worker::handle::{SharedWorker, with};
use ending::request;
use in_flight::InFlight;

/// The status of what a Seawall before the upstream sheds.
const SHED: u16 = 503;

/// The status of every gRPC response.
const OK: u16 = 200;

/// The status of a tunnel: what its client sends is no body that the upstream waits for.
const SWITCHED: u16 = 101;

/// Where a request stands.
#[derive(Debug)]
enum Stage {
    /// Not ours, or no longer: nothing is to be done at its end.
    Outside,
    /// It went, and no answer came yet.
    Waiting(PendingRequest),
    /// The answer is on its way; it may still break.
    Streaming(Streaming),
}

/// A request that went.
#[derive(Clone, Copy, Debug)]
struct PendingRequest {
    policy: usize,
    upstream: usize,
    at: Timestamp,
    grpc: bool,
    /// What kind of answer its caller can take.
    kind: Kind,
    /// Event streams, long polls, tunnels: silence says nothing.
    exempt: bool,
    /// An upgrade or a CONNECT.
    tunnel: bool,
    limits: TimeLimits,
    /// How much time it has, and whose limit that is.
    limit: Limit,
    /// The worker's exchange, which holds the verdict.
    exchange: usize,
    wants_host: bool,
    /// Who asked, where that was read.
    peer: u32,
    /// How its attempts are accounted; `None` where the route retries as it likes.
    accounted: Option<RetrySettlement>,
    /// The policy whose ladder answers if it fails.
    ladder: usize,
    /// Why it went to another cluster than its route says, if it did.
    elsewhere: Option<Reason>,
}

/// A request that goes to another cluster than its route says.
#[derive(Clone, Copy, Debug)]
struct Failover {
    /// Why.
    reason: Reason,
    /// The policy whose ladder sent it there.
    ladder: usize,
}

/// A request whose response goes on.
#[derive(Clone, Copy, Debug)]
struct Streaming {
    waiting: PendingRequest,
    host: u32,
    /// Whether a tunnel stands.
    tunnel: bool,
    /// What the headers said.
    outcome: Outcome,
    /// Whether a gRPC status has to come with its end.
    grpc: bool,
    /// Whether it ended, and its trailers had no such status.
    ended: bool,
}

/// One request.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    worker: SharedWorker,
    /// Its context.
    context: u32,
    /// Whether its last byte came.
    complete: bool,
    stage: Stage,
    /// The slots that it holds; few requests hold any.
    held: Option<Box<InFlight>>,
    /// What came with it, where marks are believed from anybody.
    arrival: PropagatedContext,
    /// What it has to do with stale answers, if anything.
    stale: Option<Box<stale::Exchange>>,
}

impl HttpRequest {
    /// A request of the root that this worker belongs to.
    pub(crate) fn new(worker: SharedWorker) -> Self {
        Self {
            worker,
            context: 0,
            complete: false,
            stage: Stage::Outside,
            held: None,
            arrival: PropagatedContext::default(),
            stale: None,
        }
    }

    /// The worker, for a stream that turns out to stand elsewhere.
    pub(crate) fn worker(&self) -> SharedWorker {
        SharedWorker::clone(&self.worker)
    }

    /// Runs something on the worker; nothing where there is none.
    fn with<T>(&self, run: impl FnOnce(&mut Worker) -> Option<T>) -> Option<T> {
        with(&self.worker, run)
    }

    /// The headers of the request are there: reads the facts, decides, and applies the decision.
    pub(crate) fn request_headers(&mut self, context: u32, end_of_stream: bool) -> Action {
        self.context = context;
        self.complete = end_of_stream;
        let pairs = Map::Request.pairs();
        if let Some(json) = self.with(|worker| worker.page(&pairs))
            && page::send(&json)
        {
            return Action::Pause;
        }
        let mut facts = RequestFacts::read(&pairs);
        if facts.own && pairs.value(FAILOVER).is_some() && local_reply::no_failover_of_clients() {
            return Action::Pause;
        }
        let Some(cluster) = properties::text("xds\0cluster_name") else {
            self.strip_request_headers(&facts, false);
            return Action::Continue;
        };
        let named = properties::text("xds\0route_metadata\0filter_metadata\0seawall\0policy");
        let selected = self.with(|worker| worker.select(&cluster, named.as_deref()));
        let Some(selected) = selected else {
            self.strip_request_headers(&facts, false);
            return Action::Continue;
        };
        self.stale = self.with(|worker| {
            let policy = worker.policy(selected.policy)?;
            facts.mark(policy, &pairs, || properties::text("xds\0route_name"));
            stale::Exchange::read(policy, &cluster, &pairs, end_of_stream)
        });
        let went = self.decide(selected, &cluster, &facts, &pairs, end_of_stream);
        went.unwrap_or(Action::Continue)
    }

    /// The headers of the answer are there.
    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        match self.stage {
            Stage::Waiting(waiting) => self.on_response(waiting, end_of_stream),
            // An answer of our own, or a request that is not ours.
            Stage::Outside | Stage::Streaming(_) => Action::Continue,
        }
    }

    /// The answer's headers: the verdict, and perhaps another answer.
    fn on_response(&mut self, waiting: PendingRequest, end_of_stream: bool) -> Action {
        self.stage = Stage::Outside;
        let status: u16 = Map::Response.number(":status").unwrap_or(0);
        if status == SWITCHED {
            self.is_finished();
        }
        let (grpc, not_grpc) = grpc_status(&waiting, status, end_of_stream);
        let bad = account::looks_bad(status, grpc);
        let known = self.account(&waiting, bad);
        let refused = known
            .as_ref()
            .filter(|known| known.flags.has(Flags::REFUSED))
            .map(|known| response::response_source(known.death));
        let Some((judged, origin, latency)) =
            self.judge(&waiting, status, (grpc, not_grpc), refused)
        else {
            return Action::Continue;
        };
        let outcome = judged.outcome;
        let failed = outcome == Outcome::Failure;
        let verdict = self.verdict_at_headers(&waiting, outcome);
        let good = matches!(outcome, Outcome::Success | Outcome::Slow);
        let tunnel = waiting.tunnel && matches!(status, 101 | 200);
        let goes_on = !end_of_stream && !matches!(origin, ResponseSource::Local { .. });
        // What is no success cannot get worse; streams may go on for as long as they like.
        let waits = goes_on && good && !tunnel && !waiting.exempt;
        self.with(|worker| {
            match (waits, goes_on) {
                (true, _) => worker.defer(waiting.exchange, verdict),
                (false, true) => worker.judged_at_headers(waiting.exchange, judged, verdict),
                (false, false) => {
                    worker.conclude(waiting.exchange, judged, verdict);
                    worker.end(waiting.exchange);
                }
            }
            if end_of_stream && good {
                worker.response_ended(waiting.upstream);
            }
            Some(())
        });
        self.record_outcome(&waiting, outcome, origin, latency);
        if bad {
            self.settle_retries(&waiting, known.as_ref(), failed, refused.is_some());
        }
        let stands_in = refused.is_some() || response::had_no_upstream(origin);
        if (failed || stands_in) && self.replace(&waiting) {
            self.forget(&waiting, goes_on);
            return Action::Pause;
        }
        if waiting.grpc && bad && response::timed_out(origin) && self.answer_in_grpc(&waiting) {
            self.forget(&waiting, goes_on);
            return Action::Pause;
        }
        self.mark_provenance(&waiting);
        if good && waiting.elsewhere.is_none() {
            self.log_stale(|stale| stale.answered(status, end_of_stream));
        }
        if goes_on {
            self.stage = Stage::Streaming(Streaming {
                waiting,
                host: verdict.host,
                tunnel,
                outcome,
                grpc: waiting.grpc && status == OK,
                ended: false,
            });
        }
        Action::Continue
    }

    /// The verdict with what the answer's headers say beside it. The host and `retry-after` are asked for only where they count.
    fn verdict_at_headers(&self, waiting: &PendingRequest, outcome: Outcome) -> Verdict {
        let counts =
            outcome == Outcome::Failure || self.verdict(waiting, outcome) == Outcome::Failure;
        let host = if counts || waiting.wants_host {
            response::host()
        } else {
            0
        };
        Verdict {
            outcome,
            host,
            retry_after: counts.then(response::retry_after).flatten(),
            peer: waiting.peer,
        }
    }

    /// Counts a retry that was not safe to make, and takes off the answer what only the two positions tell each other.
    fn settle_retries(
        &self,
        waiting: &PendingRequest,
        known: Option<&Attempts>,
        failed: bool,
        refused: bool,
    ) {
        let settlement = waiting.accounted;
        let enforced = settlement.is_some_and(|settlement| settlement.enforced);
        if failed && settlement.is_some_and(|settlement| settlement.unsafe_coarse) {
            self.count(waiting.upstream, Event::RetryDenied(Denial::UnsafeCoarse));
        }
        let retried = (failed || refused) && enforced;
        self.with(|worker| {
            account::strip_attempt_headers(worker, &self.arrival, known, retried);
            Some(())
        });
    }

    /// Envoy answers a gRPC request whose time is over with "unavailable": it was a deadline.
    fn answer_in_grpc(&self, waiting: &PendingRequest) -> bool {
        let replaced = self.with(|worker| {
            let policy = worker.policy(waiting.policy)?;
            Some(local_reply::deadline_exceeded(&policy.name))
        });
        replaced == Some(true)
    }

    /// A response of our own took the place of the upstream's: what becomes of that is not looked at any more.
    fn forget(&self, waiting: &PendingRequest, goes_on: bool) {
        if goes_on {
            self.with(|worker| {
                worker.end(waiting.exchange);
                Some(())
            });
        }
    }

    /// Lets what has to do with stale answers see something, and counts what came of it.
    fn log_stale(&mut self, see: impl FnOnce(&mut stale::Exchange) -> Option<InternalEvent>) {
        if let Some(concern) = self.stale.as_mut().and_then(|stale| see(stale)) {
            self.with(|worker| {
                worker.count_event(concern);
                Some(())
            });
        }
    }

    /// Says whose answer it is, as far as the policy's answers say such things.
    fn mark_provenance(&self, waiting: &PendingRequest) {
        self.with(|worker| {
            if !worker.policy(waiting.ladder)?.answer_headers {
                local_reply::strip_own_headers(worker, &self.arrival);
            } else if let Some(reason) = waiting.elsewhere {
                Map::Response.set(local_reply::DEGRADED, "cluster");
                Map::Response.set(local_reply::REASON, reason.name());
            }
            Some(())
        });
    }

    fn account(&self, waiting: &PendingRequest, bad: bool) -> Option<Attempts> {
        let accounted = waiting.accounted?;
        let upstream = waiting.upstream;
        self.with(|worker| account::finish(worker, upstream, accounted, bad))
    }

    fn judge(
        &self,
        waiting: &PendingRequest,
        status: u16,
        (grpc, not_grpc): (Option<u16>, bool),
        refused: Option<ResponseSource>,
    ) -> Option<(Judgement, ResponseSource, Option<Span>)> {
        self.with(|worker| {
            let outcomes = &worker.policy(waiting.policy)?.outcomes;
            let suspect = not_grpc || outcomes.is_suspect(status, grpc);
            let probe = worker.exchange(waiting.exchange)?.waiting.probe;
            let origin = match refused {
                Some(origin) => origin,
                // Another filter's answer must not close a breaker.
                None if suspect || probe => response::origin(),
                None => ResponseSource::Unknown,
            };
            let answer = ResponseFacts {
                status,
                grpc,
                not_grpc,
                origin,
                refused: match origin {
                    ResponseSource::Upstream => refused_behind(waiting, status),
                    ResponseSource::Local { .. } | ResponseSource::Unknown => None,
                },
            };
            let local = matches!(origin, ResponseSource::Local { .. });
            let sent = !local || response::attempts() != Some(0);
            let request = request(worker, waiting, sent, local)?;
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
            let ended = match response::timed_out(origin) {
                true => Some(Ended::Cut(waiting.limit)),
                false => told.then_some(Ended::Answered { status, grpc }),
            };
            if let Some((ended, latency)) = ended.zip(latency.filter(|_| !waiting.exempt)) {
                worker.observe(waiting.upstream, ended, latency);
            }
            Some((judged, origin, latency))
        })
    }

    /// What the breaker is told of an outcome.
    fn verdict(&self, waiting: &PendingRequest, outcome: Outcome) -> Outcome {
        // Only overload is something else to some, and it is seldom.
        if outcome != Outcome::Overloaded {
            return outcome;
        }
        let told = self.with(|worker| {
            let policy = worker.policy(waiting.policy)?;
            Some(policy.outcomes.verdict(outcome))
        });
        told.unwrap_or(outcome)
    }

    fn count(&self, upstream: usize, event: Event) {
        self.with(|worker| {
            worker.count(upstream, event);
            Some(())
        });
    }
}

/// Why a Seawall before the upstream refused a request, where that can matter.
#[cold]
#[inline(never)]
fn refused_behind(waiting: &PendingRequest, status: u16) -> Option<RefusedBehind> {
    if status != SHED && !waiting.limits.has_caller() {
        return None;
    }
    // A static answer may stand in for a refusal by any status; it is overload only by that of the plain one.
    response::refused_behind()
        .filter(|refused| status == SHED || *refused == RefusedBehind::Deadline)
}

/// The gRPC status of a response that its headers end, and whether it is no gRPC response at all.
fn grpc_status(waiting: &PendingRequest, status: u16, end_of_stream: bool) -> (Option<u16>, bool) {
    let said = match (waiting.grpc && end_of_stream, status) {
        (true, OK) => Some(response::grpc_status()),
        (true, _) => Map::Response
            .number("grpc-status")
            .map(ResponseStatus::Code),
        (false, _) => None,
    };
    match said {
        Some(ResponseStatus::Code(code)) => (Some(code), false),
        Some(ResponseStatus::NotGrpc) => (None, true),
        None => (None, false),
    }
}
