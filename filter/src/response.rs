//! What Envoy says of an answer: who gave it, from where, and when to come again.

use seawall_policy::admission::Reason;
use seawall_policy::event_stream::is_event_stream;
use seawall_policy::grpc::ResponseStatus;
use seawall_policy::http_date;
use seawall_policy::outcome::{RefusedBehind, ResponseSource, blame, flag};
use seawall_policy::retry::attempts::AttemptFailure;
use seawall_policy::time::Span;

use crate::facts;
use crate::host::headers::{Map, decimal};
use crate::host::{clock, properties};
use crate::local_reply::REASON;

/// Who gave an answer that looks bad.
pub(crate) fn origin() -> ResponseSource {
    match details() {
        None => ResponseSource::Unknown,
        Some(details) if details == b"via_upstream" => ResponseSource::Upstream,
        Some(details) => ResponseSource::Local {
            flags: flags_told() | blame::flag_of(&details),
        },
    }
}

/// Whether the upstream itself gave an answer.
pub(crate) fn is_upstreams() -> bool {
    matches!(origin(), ResponseSource::Upstream)
}

/// Envoy's flags; where they say nothing of the end, with the one that stands for the code details.
pub(crate) fn flags() -> u64 {
    let told = flags_told();
    match blame::class_of(told) {
        Some(_) => told,
        None => told | details().map_or(0, |details| blame::flag_of(&details)),
    }
}

pub(crate) fn flags_told() -> u64 {
    properties::number("response\0flags").unwrap_or(0)
}

fn details() -> Option<Vec<u8>> {
    properties::bytes("response\0code_details")
}

/// How many attempts were made; nothing where the host does not say.
pub(crate) fn attempts() -> Option<u64> {
    properties::number("upstream\0request_attempt_count")
}

/// The client's connection; 0 where the host does not say.
pub(crate) fn connection() -> u64 {
    properties::number("connection\0id").unwrap_or(0)
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

/// Whether the time of a whole request was over.
pub(crate) fn timed_out(origin: ResponseSource) -> bool {
    matches!(origin, ResponseSource::Local { flags } if flags & flag::UPSTREAM_TIMEOUT != 0)
        && details().is_some_and(|details| details == b"response_timeout")
}

/// The host that answered, as a number.
pub(crate) fn host() -> u32 {
    properties::bytes("upstream\0address").map_or(0, |address| facts::hash(&address))
}

/// Why a Seawall before the upstream refused the request, if one did.
#[cold]
#[inline(never)]
pub(crate) fn refused_behind() -> Option<RefusedBehind> {
    Reason::refused_behind(&Map::Response.value(REASON)?)
}

/// How long the request waited until a connection took it; nothing while it waits. Envoy names the upstream's address sooner, and
/// counts the attempt too.
#[cold]
#[inline(never)]
pub(crate) fn pool_wait() -> Option<Span> {
    properties::number("upstream\0cx_pool_ready_duration").map(Span::nanos)
}

/// The gRPC status in the headers of a response that has ended. Envoy shows them with the headers and at the request's end only.
pub(crate) fn grpc_status() -> ResponseStatus {
    let status = Map::Response.value("grpc-status");
    ResponseStatus::of(status.as_deref(), || Map::Response.value("content-type"))
}

/// The gRPC status in the trailers of a response, if there is any.
pub(crate) fn trailing_grpc_status() -> Option<ResponseStatus> {
    let status = Map::ResponseTrailers.value("grpc-status")?;
    Some(ResponseStatus::of(Some(&status), || None))
}

/// Whether the response is an event stream.
#[cold]
#[inline(never)]
pub(crate) fn is_events() -> bool {
    Map::Response
        .value("content-type")
        .is_some_and(|media_type| is_event_stream(&media_type))
}

/// When the upstream asked to be tried again: `retry-after`, or gRPC's pushback in milliseconds.
pub(crate) fn retry_after() -> Option<Span> {
    let told = Map::Response.value("retry-after");
    told.and_then(|told| later(&told)).or_else(|| {
        Map::Response
            .number("grpc-retry-pushback-ms")
            .map(Span::millis)
    })
}

/// How long from now the time of a `retry-after` is, which is a number of seconds or a date.
pub(crate) fn later(retry_after: &[u8]) -> Option<Span> {
    match decimal(retry_after) {
        Some(seconds) => Some(Span::secs(seconds)),
        None => http_date::seconds(retry_after).map(clock::until_wall),
    }
}
