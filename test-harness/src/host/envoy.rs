//! What Envoy itself adds to requests and answers, as seen on 1.40 with an HTTP/1.1 client and its own defaults.

use super::bytes;
use super::message::{Headers, Request, Rule, Seen, map_all, odd, shown};
use crate::abi::inline;
use crate::abi::stream::{HeaderMap, REQUEST_HEADERS, RESPONSE_HEADERS, value};

/// So long may a stream stand still, in nanoseconds, if nothing else is said.
pub(super) const IDLE_TIMEOUT: u64 = 300_000_000_000;
/// What Envoy says when an upstream goes away before it answers.
pub(super) const TERMINATED: &str = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/// Where the router says how long an answer may take.
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
/// What `:authority` is if the request names no host.
const HOST: &str = "seawall.test";

/// What a client outside may not say: Envoy takes it out before the first filter.
const INTERNAL: [&str; 16] = [
    EXPECTED,
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
];
/// Between two hosts alone: Envoy takes it off an answer.
const HOP_BY_HOP: [&str; 3] = ["connection", "proxy-connection", "transfer-encoding"];

fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn add(map: &mut HeaderMap, name: &str, text: &str) {
    if value(map, name).is_none() {
        map.push(pair(name, text));
    }
}

/// A request's headers as the first filter sees them.
pub(super) fn request_headers(request: &Request, id: &str) -> HeaderMap {
    let given = map_all(&request.headers, &request.headers_base64);
    let host = value(&given, ":authority").or_else(|| value(&given, "host"));
    let first = [
        pair(":authority", host.as_deref().unwrap_or(HOST)),
        pair(":path", &request.path),
        pair(":method", &request.method),
        pair(":scheme", "http"),
    ];
    let own = |name: &[u8]| {
        let internal = INTERNAL.iter().any(|known| name == known.as_bytes());
        name == b"host" || name.starts_with(b":") || internal
    };
    let given = given.into_iter().filter(|(name, _)| !own(name));
    let mut headers = inline::kept(REQUEST_HEADERS, first.into_iter().chain(given));
    if !request.payload().is_empty() && request.trailers.is_empty() {
        let size = request.payload().len().to_string();
        add(&mut headers, "content-length", &size);
    }
    add(&mut headers, "x-forwarded-proto", "http");
    add(&mut headers, "x-request-id", id);
    headers
}

/// A request as the upstream gets it from the router; none if it never gets all of it.
pub(super) fn seen(headers: &HeaderMap, body: &[u8], trailers: &HeaderMap) -> Option<Seen> {
    sent(headers, &HeaderMap::new(), body, trailers)
}

/// A guest's own call as the upstream gets it; none if it never gets all of it.
pub(super) fn called(
    headers: &HeaderMap,
    body: &[u8],
    trailers: &HeaderMap,
    timeout: Option<u64>,
) -> Option<Seen> {
    let mut more = vec![pair("x-envoy-internal", "true")];
    let expected = timeout.map(|timeout| pair(EXPECTED, &(timeout / 1_000_000).to_string()));
    more.extend(expected);
    sent(headers, &more, body, trailers)
}

/// A request as HTTP/1.1 has it: framed at the end, and without trailers where its length is said before.
fn sent(headers: &HeaderMap, more: &HeaderMap, body: &[u8], trailers: &HeaderMap) -> Option<Seen> {
    let text = |name: &str| value(headers, name).unwrap_or_default();
    let fitted = fitted(headers, body, false);
    if fitted.is_short {
        return None;
    }
    let mut all: Headers = Headers::new();
    all.extend(value(headers, ":authority").map(|host| ("host".to_owned(), host)));
    all.extend(shown(headers));
    all.extend(shown(more));
    let has_length = value(headers, "content-length").is_some();
    let has_body = !body.is_empty() || !trailers.is_empty();
    match (has_length, has_body, text(":method").as_str()) {
        (true, _, _) | (false, false, "GET" | "HEAD" | "DELETE" | "TRACE" | "CONNECT") => {}
        (false, true, _) => all.push(("transfer-encoding".to_owned(), "chunked".to_owned())),
        (false, false, _) => all.push(("content-length".to_owned(), "0".to_owned())),
    }
    let (text_of_body, body_base64) = bytes::body(fitted.body);
    Some(Seen {
        method: text(":method"),
        path: text(":path"),
        headers: all,
        body: text_of_body,
        body_base64,
        headers_base64: odd(headers),
        trailers: match has_length {
            true => Headers::new(),
            false => shown(trailers),
        },
    })
}

/// As much of a body as the length before it lets through.
pub(super) struct Fitted<'a> {
    /// That much.
    pub(super) body: &'a [u8],
    /// Whether whoever reads it waits for more, and in vain.
    pub(super) is_short: bool,
}

/// A body behind the length that its headers say.
pub(super) fn fitted<'a>(headers: &HeaderMap, body: &'a [u8], is_head: bool) -> Fitted<'a> {
    let status = value(headers, ":status").unwrap_or_default();
    let bodiless = is_head || matches!(status.as_str(), "204" | "304");
    let length = value(headers, "content-length").and_then(|text| text.trim().parse().ok());
    let length = length.filter(|_| !bodiless);
    Fitted {
        body: match (is_head, length) {
            (true, _) => &[],
            (false, Some(length)) => body.get(..length).unwrap_or(body),
            (false, None) => body,
        },
        is_short: length.is_some_and(|length| body.len() < length),
    }
}

/// The upstream's answer as the filter sees it.
pub(super) fn answer_headers(rule: &Rule) -> HeaderMap {
    let status = pair(":status", &rule.status.to_string());
    let given = map_all(&rule.headers, &rule.headers_base64).into_iter();
    let given = std::iter::once(status).chain(given.filter(|(name, _)| name != b"keep-alive"));
    let mut headers = inline::kept(RESPONSE_HEADERS, given);
    if !rule.trailers.is_empty() {
        add(&mut headers, "transfer-encoding", "chunked");
    } else if rule.status != 204 {
        let size = rule.payload().len().to_string();
        add(&mut headers, "content-length", &size);
    }
    let took = rule.delay_ms.to_string();
    headers.push(pair("x-envoy-upstream-service-time", &took));
    headers
}

/// An answer's headers as the client gets them: framed as its body needs it. A value with line ends is several lines.
pub(super) fn framed(headers: &HeaderMap, has_body: bool, is_head: bool) -> Headers {
    let mut all = Headers::new();
    for (name, value) in shown(headers) {
        let mut lines = value.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        all.push((name, first));
        let more = lines.filter_map(|line| line.split_once(": "));
        all.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    all.retain(|(name, _)| !HOP_BY_HOP.contains(&&**name));
    let status = value(headers, ":status").unwrap_or_default();
    if value(headers, "content-length").is_none() && !matches!(status.as_str(), "204" | "304") {
        all.push(match has_body || is_head {
            true => ("transfer-encoding".to_owned(), "chunked".to_owned()),
            false => ("content-length".to_owned(), "0".to_owned()),
        });
    }
    all
}
