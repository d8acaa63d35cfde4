//! What Envoy's codec and router make of a request's headers: refused before the filter sees them, answered before the
//! upstream does, or sent on with limits.

use super::message::Request;
use crate::abi::stream::{HeaderMap, LocalReply, value};
use crate::router::{Orders, Route, flag};

/// All methods that Envoy's HTTP/1 codec knows.
const METHODS: [&str; 34] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];
/// The bit of `response.flags` for a request without a route.
const NO_ROUTE: u64 = 0x100;
/// The bit of `response.flags` for a request that is no HTTP.
pub(super) const PROTOCOL: u64 = 0x40000;
/// Controls of the router that this host does not act on.
const IGNORED: [&str; 2] = [
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-stream-duration-ms",
];
/// A filter or a client that wants 204 when a limit passes.
const ALTERNATIVE: &str = "x-envoy-upstream-rq-timeout-alt-response";
/// What the router says when a limit passes.
const TIMED_OUT: &str = "upstream request timeout";

/// An answer of Envoy's own, and the flags that go with it.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// The answer.
    pub(super) reply: LocalReply,
    /// Bits of `response.flags`.
    pub(super) flags: u64,
}

impl Own {
    pub(super) fn new(status: u32, flags: u64, details: &str, text: &str) -> Self {
        Self {
            reply: LocalReply::own(status, details, text),
            flags,
        }
    }
}

/// Whether Envoy's codec takes a request at all. If not, no filter sees it.
pub(super) fn is_taken(request: &Request) -> bool {
    let headers = request.headers.iter().chain(&request.trailers);
    let spelled = |(name, value): &(String, String)| {
        let plain = name.strip_prefix(':').unwrap_or(name);
        is_name(plain.as_bytes()) && is_value(value.as_bytes())
    };
    let odd = request.headers_base64.iter();
    let mut odd = odd.map(|(name, value)| is_name(name.as_bytes()) && is_value(&value.0));
    METHODS.contains(&&*request.method) && headers.into_iter().all(spelled) && odd.all(|well| well)
}

/// Whether these bytes can be a header's name.
fn is_name(name: &[u8]) -> bool {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(of_token)
}

/// Whether these bytes can be a header's value.
fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// A name as Envoy shows it in an error: as JSON has it.
fn escaped(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let quoted = serde_json::to_string(&text).unwrap_or_default();
    quoted.trim_matches('"').to_owned()
}

/// What stands in the way of a request's headers behind the filter: no route, or what no upstream can be sent.
pub(super) fn obstacle(headers: &HeaderMap) -> Option<Own> {
    let path = value(headers, ":path").unwrap_or_default();
    if !path.starts_with('/') || value(headers, "x-forwarded-proto").is_none() {
        return Some(Own::new(404, NO_ROUTE, "route_not_found", ""));
    }
    let text = wrong_request(headers)?;
    let details = format!(
        "filter_removed_required_request_headers{{{}}}",
        text.replace(' ', "_")
    );
    Some(Own::new(503, PROTOCOL, &details, &text))
}

fn wrong_request(headers: &HeaderMap) -> Option<String> {
    if value(headers, ":method").is_none() {
        return Some("missing required header: :method".to_owned());
    }
    headers.iter().find_map(|(name, value)| {
        let plain = name.strip_prefix(b":").unwrap_or(name);
        if !name.is_empty() && !is_name(plain) {
            return Some(format!("invalid header name: {}", escaped(name)));
        }
        let valid = is_value(value);
        (!valid).then(|| format!("invalid header value for: {}", escaped(name)))
    })
}

/// What stands in the way of an answer's headers: a status that is none.
pub(super) fn obstacle_of_answer(headers: &HeaderMap) -> Option<Own> {
    let status = value(headers, ":status").unwrap_or_default();
    if status.parse::<u64>().is_ok() {
        return None;
    }
    let text = "missing required header: :status";
    let details = format!(
        "filter_removed_required_response_headers{{{}}}",
        text.replace(' ', "_")
    );
    Some(Own::new(502, 0, &details, text))
}

/// How long the router lets a request take.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    total: Option<u64>,
    per_try: Option<u64>,
    alternative: bool,
}

impl Limits {
    /// Reads what the headers ask for and takes it out of them, as the router does; the upstream is told the rest.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let alternative = value(headers, ALTERNATIVE).is_some();
        let gone = |name: &[u8]| {
            let mut all = IGNORED.iter().chain([&ALTERNATIVE]);
            all.any(|known| name == known.as_bytes())
        };
        headers.retain(|(name, _)| !gone(name));
        let orders = Orders::take(&Route::default(), headers);
        orders.tell_expected(headers, 0);
        Self {
            total: orders.total,
            per_try: orders.per_try,
            alternative,
        }
    }

    /// How long it may take at most, in nanoseconds; for ever without a limit.
    pub(super) fn longest(&self) -> u64 {
        let limits = [self.total, self.per_try].into_iter().flatten();
        limits.min().unwrap_or(u64::MAX)
    }

    /// What the router says when the limit has passed.
    pub(super) fn passed(&self) -> Own {
        let (status, text) = match self.alternative {
            true => (204, ""),
            false => (504, TIMED_OUT),
        };
        let details = match (self.per_try, self.total) {
            (Some(one), all) if all.is_none_or(|all| one < all) => "upstream_per_try_timeout",
            _ => "response_timeout",
        };
        Own::new(status, flag::UPSTREAM_TIMEOUT, details, text)
    }
}
