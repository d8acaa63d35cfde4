//! What Envoy says of an answer: who gave it, from where, and when to come again.

use seawall_policy::admission::Reason;
use seawall_policy::outcome::{Origin, flag};
use seawall_policy::retry::attempts::Death;
use seawall_policy::time::Span;

use crate::answer::REASON;
use crate::facts;
use crate::host::headers::Map;
use crate::host::properties;

/// Who gave an answer that looks bad.
pub(crate) fn origin() -> Origin {
    match properties::bytes("response\0code_details") {
        None => Origin::Unknown,
        Some(details) if details == b"via_upstream" => Origin::Upstream,
        Some(_) => Origin::Local { flags: flags() },
    }
}

/// Whether the upstream itself gave an answer.
pub(crate) fn is_upstreams() -> bool {
    matches!(origin(), Origin::Upstream)
}

/// Envoy's flags.
pub(crate) fn flags() -> u64 {
    properties::number("response\0flags").unwrap_or(0)
}

/// Who gave the answer to a request whose next attempt was not sent: what the attempt before died of.
pub(crate) fn origin_of(death: Death) -> Origin {
    let flags = match death {
        Death::Connect => flag::UPSTREAM_CONNECT,
        Death::Timeout => flag::UPSTREAM_TIMEOUT,
        Death::Reset | Death::None => flag::UPSTREAM_RESET,
    };
    Origin::Local { flags }
}

/// Whether Envoy answered because there was nobody who could: no failure of the upstream, but one for the client.
pub(crate) fn stood_in_for_nobody(origin: Origin) -> bool {
    const NOBODY: u64 = flag::NO_HEALTHY_UPSTREAM | flag::UPSTREAM_OVERFLOW | flag::NO_CLUSTER;
    matches!(origin, Origin::Local { flags } if flags & NOBODY != 0)
}

/// Whether the time of a whole request was over.
pub(crate) fn timed_out(origin: Origin) -> bool {
    matches!(origin, Origin::Local { flags } if flags & flag::UPSTREAM_TIMEOUT != 0)
        && properties::bytes("response\0code_details")
            .is_some_and(|details| details == b"response_timeout")
}

/// The host that answered, as a number.
pub(crate) fn host() -> u32 {
    properties::bytes("upstream\0address").map_or(0, |address| facts::hash(&address))
}

/// Whether a Seawall before the upstream refused the request for too much load.
pub(crate) fn shed() -> bool {
    Map::Response
        .value(REASON)
        .is_some_and(|name| Reason::is_overload(&name))
}

/// When the upstream asked to be tried again: `retry-after` in seconds, or gRPC's pushback in milliseconds.
pub(crate) fn retry_after() -> Option<Span> {
    let seconds = Map::Response.number("retry-after").map(Span::secs);
    seconds.or_else(|| {
        Map::Response
            .number("grpc-retry-pushback-ms")
            .map(Span::millis)
    })
}
