//! What Envoy says of an answer: who gave it, from where, and when to come again.

use crate::admission::Reason;
use crate::event_stream::is_event_stream;
use crate::grpc::ResponseStatus;
use crate::http_date;
use crate::outcome::{RefusedBehind, ResponseSource, blame, flag};
use crate::retry::attempts::AttemptFailure;
use crate::time::Span;

use crate::environment::Clock;
use crate::environment::facts::{Facts, ResponseFact, ResponsePhase, StreamFact, TrailersPhase};
use crate::environment::headers::decimal;
use crate::hash::hash;

/// The code details of an answer of the upstream's own.
const UPSTREAMS: &[u8] = b"via_upstream";

/// Who gave an answer that looks bad, and whether the time of the whole request was over.
fn origin(facts: &impl ResponsePhase) -> (ResponseSource, bool) {
    match details(facts) {
        None => (ResponseSource::Unknown, false),
        Some(details) if details == UPSTREAMS => (ResponseSource::Upstream, false),
        Some(details) => {
            let flags = flags_told(facts) | blame::flag_of(&details);
            let over = flags & flag::UPSTREAM_TIMEOUT != 0 && details == b"response_timeout";
            (ResponseSource::Local { flags }, over)
        }
    }
}

/// What was asked about a stream in one callback, so that it is asked once.
#[derive(Debug, Default)]
pub(crate) struct FactCache {
    origin: Option<(ResponseSource, bool)>,
    attempts: Option<Option<u64>>,
    peer: Option<Option<String>>,
    /// Whether the request is over without a response, so that nobody gave one.
    unanswered: bool,
}

impl FactCache {
    /// For a request that is over without a response.
    pub(crate) fn unanswered() -> Self {
        Self {
            unanswered: true,
            ..Self::default()
        }
    }

    /// Whether any attempt was made of a request that got no good response.
    pub(crate) fn was_sent(&mut self, facts: &impl ResponsePhase) -> bool {
        self.attempts(facts).unwrap_or(0) > 0
            && (self.unanswered || !had_no_upstream(self.origin(facts).0))
    }

    /// Whether the upstream gave the response.
    pub(crate) fn is_upstreams(&mut self, facts: &impl ResponsePhase) -> bool {
        !self.unanswered && self.origin(facts).0 == ResponseSource::Upstream
    }

    /// [`origin`].
    pub(crate) fn origin(&mut self, facts: &impl ResponsePhase) -> (ResponseSource, bool) {
        *self.origin.get_or_insert_with(|| origin(facts))
    }

    /// How many attempts were made; nothing where the host does not say.
    pub(crate) fn attempts(&mut self, facts: &impl Facts<StreamFact>) -> Option<u64> {
        let ask = || facts.number(StreamFact::AttemptCount);
        *self.attempts.get_or_insert_with(ask)
    }

    /// The address and port of the connection's other end; nothing where the host does not say.
    pub(crate) fn peer(&mut self, facts: &impl Facts<StreamFact>) -> Option<&str> {
        let ask = || facts.text(StreamFact::PeerAddress);
        self.peer.get_or_insert_with(ask).as_deref()
    }
}

/// Whether the upstream itself gave an answer, of which so much is known. Where that is nothing, the host is asked.
pub(crate) fn is_upstreams(facts: &impl ResponsePhase, known: ResponseSource) -> bool {
    match known {
        ResponseSource::Unknown => details(facts).is_some_and(|details| details == UPSTREAMS),
        known => known == ResponseSource::Upstream,
    }
}

/// Envoy's flags; where they say nothing of the end, with the one that stands for the code details.
pub(crate) fn flags(facts: &impl ResponsePhase) -> u64 {
    let told = flags_told(facts);
    match blame::class_of(told) {
        Some(_) => told,
        None => told | details(facts).map_or(0, |details| blame::flag_of(&details)),
    }
}

pub(crate) fn flags_told(facts: &impl ResponsePhase) -> u64 {
    facts.number(ResponseFact::Flags).unwrap_or(0)
}

fn details(facts: &impl ResponsePhase) -> Option<Vec<u8>> {
    facts.bytes(ResponseFact::Details)
}

/// The client's connection; 0 where the host does not say.
pub(crate) fn connection(facts: &impl Facts<StreamFact>) -> u64 {
    facts.number(StreamFact::ConnectionId).unwrap_or(0)
}

/// Who gave the answer to a request whose next attempt was not sent: what the attempt before died of. Where nothing is known
/// of that, the refusal is our own, and says nothing about the upstream.
pub(crate) fn response_source(death: AttemptFailure) -> ResponseSource {
    let flags = match death {
        AttemptFailure::Connect => flag::UPSTREAM_CONNECT,
        AttemptFailure::Timeout => flag::UPSTREAM_TIMEOUT,
        AttemptFailure::Reset => flag::UPSTREAM_RESET,
        AttemptFailure::None => 0,
    };
    ResponseSource::Local { flags }
}

/// Whether Envoy answered because there was nobody who could: no failure of the upstream, but one for the client.
pub(crate) fn had_no_upstream(origin: ResponseSource) -> bool {
    const NOBODY: u64 = flag::NO_HEALTHY_UPSTREAM | flag::UPSTREAM_OVERFLOW | flag::NO_CLUSTER;
    matches!(origin, ResponseSource::Local { flags } if flags & NOBODY != 0)
}

/// The host that answered, as a number.
pub(crate) fn host(facts: &impl ResponsePhase) -> u32 {
    facts
        .bytes(ResponseFact::UpstreamAddress)
        .map_or(0, |address| hash(&address))
}

/// Why a Seawall before the upstream refused the request, if one did.
#[cold]
#[inline(never)]
pub(crate) fn refused_behind(facts: &impl ResponsePhase) -> Option<RefusedBehind> {
    Reason::refused_behind(&facts.header(Reason::HEADER)?)
}

/// How long the request waited until a connection took it; nothing while it waits. Envoy names the upstream's address sooner, and
/// counts the attempt too.
#[cold]
#[inline(never)]
pub(crate) fn pool_wait(facts: &impl ResponsePhase) -> Option<Span> {
    facts.number(ResponseFact::PoolReady).map(Span::nanos)
}

/// The gRPC status in the headers of a response that has ended. Envoy shows them with the headers and at the request's end only.
pub(crate) fn grpc_status(facts: &impl ResponsePhase) -> ResponseStatus {
    let status = facts.header("grpc-status");
    ResponseStatus::of(status.as_deref(), || facts.header("content-type"))
}

/// The gRPC status in the trailers of a response, if there is any.
pub(crate) fn trailing_grpc_status(facts: &impl TrailersPhase) -> Option<ResponseStatus> {
    let status = facts.trailer("grpc-status")?;
    Some(ResponseStatus::of(Some(&status), || None))
}

/// Whether the response is an event stream.
#[cold]
#[inline(never)]
pub(crate) fn is_events(facts: &impl ResponsePhase) -> bool {
    facts
        .header("content-type")
        .is_some_and(|media_type| is_event_stream(&media_type))
}

/// When the upstream asked to be tried again: `retry-after`, or gRPC's pushback in milliseconds.
pub(crate) fn retry_after(clock: &impl Clock, facts: &impl ResponsePhase) -> Option<Span> {
    let told = facts.header("retry-after");
    told.and_then(|told| later(clock, &told)).or_else(|| {
        facts
            .header_number("grpc-retry-pushback-ms")
            .map(Span::millis)
    })
}

/// How long from now the time of a `retry-after` is, which is a number of seconds or a date.
pub(crate) fn later(clock: &impl Clock, retry_after: &[u8]) -> Option<Span> {
    match decimal(retry_after) {
        Some(seconds) => Some(Span::secs(seconds)),
        None => http_date::seconds(retry_after).map(|seconds| clock.until_wall(seconds)),
    }
}
