//! The downstream position: one request from its headers to its end.
//!
//! **Architecture invariant:** every permit is settled exactly once. It moves from [`Stage::Waiting`] out in one place,
//! at response headers or, where none came, at the request's end; what breaks afterwards is a failure of its own. The end
//! is the first of `on_log` and `on_done`: no reply and no reset is made there, since Envoy itself would crash.

mod going;
mod held;
pub(crate) mod ladder;

use seawall_policy::admission::{Reason, Settlement};
use seawall_policy::breaker::{Permit, Verdict};
use seawall_policy::deadline::Limit;
use seawall_policy::fallback::Kind;
use seawall_policy::latency::Ended;
use seawall_policy::outcome::{Answer, Lenience, Origin, Outcome};
use seawall_policy::retry::attempts::{Attempts, Flags};
use seawall_policy::time::{Span, Timestamp};

use crate::account::{self, Accounted};
use crate::answer;
use crate::arrival::Arrival;
use crate::facts::Facts;
use crate::host::exports::Action;
use crate::host::headers::Map;
use crate::host::{clock, properties};
use crate::page;
use crate::seen;
use crate::stale;
use crate::stream::{SharedWorker, with};
use crate::telemetry::{Concern, Event};
use crate::worker::Worker;
use held::Held;
use ladder::FAILOVER;

/// The status of what a Seawall before the upstream sheds.
const SHED: u16 = 503;

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
    /// Whether it would have been refused: its outcome tells how often that would have been false.
    marked: bool,
    at: Timestamp,
    grpc: bool,
    /// What kind of answer its caller can take.
    kind: Kind,
    lenience: Lenience,
    /// How much time it has, and whose limit that is.
    limit: Limit,
    wants_host: bool,
    /// How its attempts are accounted; `None` where the route retries as it likes.
    accounted: Option<Accounted>,
    /// The policy whose ladder answers if it fails.
    ladder: usize,
    /// Why it went to another cluster than its route says, if it did.
    elsewhere: Option<Reason>,
}

/// A request that goes to another cluster than its route says.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    /// Why.
    reason: Reason,
    /// The policy whose ladder sent it there.
    ladder: usize,
}

/// A request whose verdict is settled.
#[derive(Clone, Copy, Debug)]
struct Streaming {
    waiting: Waiting,
    host: u32,
}

/// One request.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    worker: SharedWorker,
    stage: Stage,
    /// The places that it holds; few requests hold any.
    held: Option<Box<Held>>,
    /// What came with it, where marks are believed from anybody.
    arrival: Arrival,
    /// What it has to do with stale answers, if anything.
    stale: Option<Box<stale::Exchange>>,
}

impl HttpRequest {
    /// A request of the root that this worker belongs to.
    pub(crate) fn new(worker: SharedWorker) -> Self {
        Self {
            worker,
            stage: Stage::Outside,
            held: None,
            arrival: Arrival::default(),
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
    pub(crate) fn request_headers(&mut self, end_of_stream: bool) -> Action {
        let pairs = Map::Request.pairs();
        if let Some(json) = self.with(|worker| worker.page(&pairs))
            && page::send(&json)
        {
            return Action::Pause;
        }
        let facts = Facts::read(&pairs);
        if facts.own && pairs.value(FAILOVER).is_some() && answer::no_failover_of_clients() {
            return Action::Pause;
        }
        let Some(cluster) = properties::text("xds\0cluster_name") else {
            self.strip(&facts, false);
            return Action::Continue;
        };
        let named = properties::text("xds\0route_metadata\0filter_metadata\0seawall\0policy");
        let selected = self.with(|worker| worker.select(&cluster, named.as_deref()));
        let Some(selected) = selected else {
            self.strip(&facts, false);
            return Action::Continue;
        };
        self.stale = self.with(|worker| {
            let policy = worker.policy(selected.policy)?;
            stale::Exchange::read(policy, &cluster, &pairs, end_of_stream)
        });
        let went = self.ask(selected, &cluster, &facts, &pairs);
        went.unwrap_or(Action::Continue)
    }

    /// The headers of the answer are there.
    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        match self.stage {
            Stage::Waiting(waiting) => self.answered(waiting, end_of_stream),
            // An answer of our own, or a request that is not ours.
            Stage::Outside | Stage::Streaming(_) => Action::Continue,
        }
    }

    /// A chunk of the answer's body passes.
    pub(crate) fn response_body(&mut self, size: usize, end_of_stream: bool) {
        self.learn_meanwhile();
        if let Some(stale) = &mut self.stale {
            stale.chunk(size, end_of_stream);
        }
    }

    /// The trailers of the answer are there: a gRPC status may come this late.
    pub(crate) fn response_trailers(&mut self) {
        self.stale = None;
        let streaming = match &self.stage {
            Stage::Streaming(streaming) if streaming.waiting.grpc => Some(*streaming),
            _ => None,
        };
        let status: Option<u16> =
            streaming.and_then(|_| Map::ResponseTrailers.number("grpc-status"));
        let judged = streaming.zip(status).and_then(|(streaming, status)| {
            let lenience = streaming.waiting.lenience;
            self.with(|worker| {
                let outcomes = &worker.policy(streaming.waiting.policy)?.outcomes;
                let failed = outcomes.grpc_failed(status, lenience);
                Some((outcomes.grpc_overloaded(status), failed))
            })
        });
        let (overloaded, failed) = judged.unwrap_or_default();
        self.learn_late(overloaded);
        if let Some(streaming) = streaming.filter(|_| failed) {
            self.broken(&streaming);
            self.stage = Stage::Outside;
        }
    }

    /// The request is over, one way or another. Whatever comes after the first time finds nothing left to do.
    pub(crate) fn over(&mut self) {
        if let Stage::Waiting(waiting) = &self.stage {
            let timed = !waiting.lenience.never_slow;
            let latency = clock::now().since(waiting.at);
            self.learn_of_no_answer(timed, latency);
        }
        self.let_be();
        self.tell_stale(|stale| stale.over());
        match std::mem::replace(&mut self.stage, Stage::Outside) {
            Stage::Outside => {}
            Stage::Waiting(waiting) => {
                self.account(&waiting, true);
                let outcome = self.judge_flags(&waiting);
                let host = if outcome == Outcome::Failure {
                    seen::host()
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

    /// The answer's headers: the verdict, and perhaps another answer.
    fn answered(&mut self, waiting: Waiting, end_of_stream: bool) -> Action {
        self.stage = Stage::Outside;
        let status: u16 = Map::Response.number(":status").unwrap_or(0);
        let grpc: Option<u16> = (waiting.grpc && end_of_stream)
            .then(|| Map::Response.number("grpc-status"))
            .flatten();
        let bad = account::looks_bad(status, grpc);
        let known = self.account(&waiting, bad);
        let refused = known
            .as_ref()
            .filter(|known| known.flags.has(Flags::REFUSED))
            .map(|known| seen::origin_of(known.death));
        let Some((outcome, origin)) = self.judge(&waiting, status, grpc, refused) else {
            return Action::Continue;
        };
        let failed = outcome == Outcome::Failure;
        let host = if failed || waiting.wants_host {
            seen::host()
        } else {
            0
        };
        let retry_after = failed.then(seen::retry_after).flatten();
        self.settle(&waiting, outcome, host, retry_after);
        let latency = clock::now().since(waiting.at);
        self.learn(&waiting, outcome, origin, latency);
        if bad {
            let enforced = waiting
                .accounted
                .is_some_and(|accounted| accounted.enforced);
            let retried = failed && enforced;
            self.with(|worker| {
                account::clean_answer(worker, &self.arrival, known.as_ref(), retried);
                Some(())
            });
        }
        if (failed || seen::stood_in_for_nobody(origin)) && self.replace(&waiting) {
            return Action::Pause;
        }
        if waiting.grpc && bad && seen::timed_out(origin) {
            let replaced = self.with(|worker| {
                let policy = worker.policy(waiting.policy)?;
                Some(answer::deadline_exceeded(&policy.name))
            });
            if replaced == Some(true) {
                return Action::Pause;
            }
        }
        self.say_whose(&waiting);
        let good = matches!(outcome, Outcome::Success | Outcome::Slow);
        if good && waiting.elsewhere.is_none() {
            self.tell_stale(|stale| stale.answered(status, end_of_stream));
        }
        if !end_of_stream && !matches!(origin, Origin::Local { .. }) {
            self.stage = Stage::Streaming(Streaming { waiting, host });
        }
        Action::Continue
    }

    /// Lets what has to do with stale answers see something, and counts what came of it.
    fn tell_stale(&mut self, see: impl FnOnce(&mut stale::Exchange) -> Option<Concern>) {
        if let Some(concern) = self.stale.as_mut().and_then(|stale| see(stale)) {
            self.with(|worker| {
                worker.concern(concern);
                Some(())
            });
        }
    }

    /// Says whose answer it is, as far as the policy's answers say such things.
    fn say_whose(&self, waiting: &Waiting) {
        self.with(|worker| {
            if !worker.policy(waiting.ladder)?.answer_headers {
                answer::hush(worker, &self.arrival);
            } else if let Some(reason) = waiting.elsewhere {
                Map::Response.set(answer::DEGRADED, "cluster");
                Map::Response.set(answer::REASON, reason.name());
            }
            Some(())
        });
    }

    fn account(&self, waiting: &Waiting, bad: bool) -> Option<Attempts> {
        let accounted = waiting.accounted?;
        let upstream = waiting.upstream;
        self.with(|worker| account::finish(worker, upstream, accounted, bad))
    }

    fn judge(
        &self,
        waiting: &Waiting,
        status: u16,
        grpc: Option<u16>,
        refused: Option<Origin>,
    ) -> Option<(Outcome, Origin)> {
        let latency = clock::now().since(waiting.at);
        self.with(|worker| {
            let policy = worker.policy(waiting.policy)?;
            let origin = match refused {
                Some(origin) => origin,
                None if policy.outcomes.is_suspect(status, grpc) => seen::origin(),
                None => Origin::Unknown,
            };
            let answer = Answer {
                status,
                grpc,
                origin,
                latency,
                shed: status == SHED && origin == Origin::Upstream && seen::shed(),
            };
            // Slow calls are judged by the breaker's own bound; where it is off, nothing is slow.
            let slow_over = policy.breaker.thresholds.slow_over;
            let outcome = policy.outcomes.judge(&answer, waiting.lenience, slow_over);
            let told = matches!(outcome, Outcome::Success | Outcome::Slow);
            let ended = match seen::timed_out(origin) {
                true => Some(Ended::Cut(waiting.limit)),
                false => told.then_some(Ended::Answered { status, grpc }),
            };
            if let Some(ended) = ended.filter(|_| !waiting.lenience.never_slow) {
                worker.observe(waiting.upstream, ended, latency);
            }
            Some((outcome, origin))
        })
    }

    /// The one place where a permit is given back.
    fn settle(&self, waiting: &Waiting, outcome: Outcome, host: u32, retry_after: Option<Span>) {
        let verdict = Verdict {
            outcome,
            host,
            retry_after,
        };
        self.came_to(waiting, outcome, Settlement::Verdict(verdict));
    }

    /// A stream that broke after its verdict.
    fn broken(&self, streaming: &Streaming) {
        let host = match streaming.host {
            0 => seen::host(),
            known => known,
        };
        let failed = Outcome::Failure;
        self.came_to(&streaming.waiting, failed, Settlement::Break { host });
    }

    /// Counts what became of a request, and settles its permit where it has one.
    fn came_to(&self, waiting: &Waiting, outcome: Outcome, settlement: Settlement) {
        let event = match waiting.marked {
            true => Event::MarkedOutcome(outcome),
            false => Event::Outcome(outcome),
        };
        self.with(|worker| {
            worker.count(waiting.upstream, event);
            worker.settle(waiting.upstream, waiting.permit?, settlement);
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
        let flags = seen::flags();
        let judged = self.with(|worker| {
            let policy = worker.policy(waiting.policy)?;
            Some(policy.outcomes.judge_flags(flags, waiting.lenience))
        });
        judged.unwrap_or(Outcome::Ignored)
    }
}
