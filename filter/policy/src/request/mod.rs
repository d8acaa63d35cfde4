//! The downstream position: one request from its headers to its end.
//!
//! **Architecture invariant:** one request is one verdict, and the last word counts. The worker's exchange holds it: counted when
//! the response ends, a second after its headers, or when the upstream was silent for too long; a failure that comes later
//! takes its place. The end is the first of `on_log` and `on_done`: no reply and no reset is made there, since Envoy
//! itself would crash.

mod admit;
mod ending;
mod fallback;
pub(crate) mod headers;
mod in_flight;
pub(crate) mod local_reply;
pub(crate) mod propagation;
mod response;
mod retry_settlement;
pub(crate) mod router_headers;
mod stale_cache;
pub(crate) mod state_page;

use crate::admission::Reason;
use crate::deadline::Limit;
use crate::environment::Environment;
use crate::environment::effects::{Action, Effects};
use crate::environment::facts::{Facts, RequestPhase, RouteFact};
use crate::environment::headers::HeaderMap;
use crate::fallback::FAILOVER;
use crate::fallback::Kind;
use crate::outcome::end::TimeLimits;
use crate::outcome::{Outcome, ResponseSource};
use crate::time::Timestamp;
use crate::worker::handover::Told;
use crate::worker::selection::key_part;
use crate::worker::{AdmissionInput, AdmissionOutput, Worker};
use fallback::Pending;
use headers::RequestFacts;
use in_flight::InFlight;
use propagation::PropagatedContext;
use retry_settlement::RetrySettlement;

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

/// A request that was admitted.
#[derive(Clone, Copy, Debug)]
struct Forwarded<'a> {
    asking: &'a AdmissionInput,
    upstream: usize,
    admitted: &'a AdmissionOutput,
    read: &'a RequestFacts,
    /// How much time it has.
    limit: Limit,
    /// Whether it goes to another cluster than its route says.
    elsewhere: Option<Failover>,
}

/// What the headers of a response said.
#[derive(Clone, Copy, Debug)]
struct Answered {
    /// The response's status.
    status: u16,
    /// The host that answered, where that was asked for.
    host: u32,
    outcome: Outcome,
    /// Who gave it, where that was asked for.
    origin: ResponseSource,
    /// Whether a tunnel stands.
    tunnel: bool,
    /// Whether it is a good one.
    good: bool,
    /// Whether more of it comes.
    goes_on: bool,
    /// Whether its headers ended it.
    end_of_stream: bool,
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
pub(crate) struct HttpRequest<H> {
    /// Its context.
    context: u32,
    /// Whether its last byte came.
    complete: bool,
    stage: Stage,
    /// How the upstream position was told of its attempts.
    told: Told,
    /// A local reply that the host has not taken yet.
    pending: Option<Box<Pending<H>>>,
    /// The slots that it holds; few requests hold any.
    held: Option<Box<InFlight>>,
    /// What came with it, where marks are believed from anybody.
    arrival: PropagatedContext,
    /// What it has to do with stale responses, if anything.
    stale: Option<Box<stale_cache::Exchange<H>>>,
}

impl<H: HeaderMap> HttpRequest<H> {
    /// A request of this context.
    pub(crate) fn new(context: u32) -> Self {
        Self {
            context,
            complete: false,
            stage: Stage::Outside,
            told: Told::Nothing,
            pending: None,
            held: None,
            arrival: PropagatedContext::default(),
            stale: None,
        }
    }

    /// Its first attempt is answered, or it is over. Whether what its attempts are told was kept until now.
    #[inline]
    fn forget_attempts<E: Environment>(&mut self, worker: &Worker<E>) -> Option<bool> {
        match std::mem::take(&mut self.told) {
            Told::Nothing => None,
            told => worker.forget_attempts(self.context, told),
        }
    }

    /// Its context.
    pub(crate) const fn context(&self) -> u32 {
        self.context
    }

    /// The headers of the request are there: reads the facts, decides, and says what is to be done.
    pub(crate) fn request_headers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        end_of_stream: bool,
        out: &mut Effects,
    ) -> Action {
        self.complete = end_of_stream;
        let pairs = facts.headers();
        if let Some(answer) = worker.page(&pairs, facts) {
            out.reply(state_page::reply(answer));
            return self.await_reply(Pending::Page);
        }
        self.read_headers(worker, facts, pairs, out)
    }

    /// Reads its headers. A client that sends the failover header gets a 400: only Seawall may set it.
    fn read_headers<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        pairs: H,
        out: &mut Effects,
    ) -> Action {
        let read = RequestFacts::read(&pairs);
        if read.own && pairs.value(FAILOVER).is_some() {
            out.reply(local_reply::no_failover_of_clients());
            return self.await_reply(Pending::ClientFailover);
        }
        self.govern(worker, facts, read, pairs, out)
    }

    /// Finds its policy, and decides.
    fn govern<E: Environment<Headers = H>>(
        &mut self,
        worker: &mut Worker<E>,
        facts: &E::Request,
        mut read: RequestFacts,
        pairs: H,
        out: &mut Effects,
    ) -> Action {
        // A caller's deadline is held to also where nothing else is governed.
        let deadline = read.grpc_limit.is_some() || read.expected;
        let asks = worker.governs() || deadline || worker.looks_at_ungoverned();
        let cluster = asks.then(|| facts.text(RouteFact::Cluster)).flatten();
        let selected = cluster.and_then(|cluster| {
            let selected = worker.selected_before(&cluster).unwrap_or_else(|| {
                let named = facts.text(RouteFact::Policy);
                worker.select(&cluster, named.as_deref())
            })?;
            if !selected.governs && !deadline {
                worker.stand_down(selected, cluster, || key_part(selected, &pairs, facts));
                return None;
            }
            Some((selected, cluster))
        });
        let Some((selected, cluster)) = selected else {
            self.strip_request_headers(worker, &read, false, out);
            return Action::Continue;
        };
        if let Some(policy) = worker.policy(selected.policy) {
            read.mark(policy, &pairs, || facts.text(RouteFact::Route));
            self.stale =
                stale_cache::Exchange::read(worker, policy, &cluster, &pairs, facts, self.complete);
        }
        let went = self.decide(worker, facts, (selected, cluster), read, pairs, out);
        went.unwrap_or(Action::Continue)
    }

    /// Waits for the host's word on a local reply: [`HttpRequest::replied_to_request`] or
    /// [`HttpRequest::replied_to_response`].
    fn await_reply(&mut self, pending: Pending<H>) -> Action {
        self.pending = Some(Box::new(pending));
        Action::Pause
    }
}
