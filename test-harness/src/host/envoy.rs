//! What Envoy itself adds to requests and answers, as seen on 1.40 with an HTTP/1.1 client and its own defaults.

use super::message::{Headers, Request, Rule, Seen, map, shown};
use crate::abi::stream::{HeaderMap, LocalReply, value};

/// The route's time limit, in nanoseconds.
pub(super) const ROUTE_TIMEOUT: u64 = 15_000_000_000;
/// So long may a stream stand still, in nanoseconds.
pub(super) const IDLE_TIMEOUT: u64 = 300_000_000_000;
/// What Envoy says when an upstream goes away before it answers.
pub(super) const TERMINATED: &str = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/// Where the router says how long an answer may take.
const EXPECTED: &str = "x-envoy-expected-rq-timeout-ms";
/// What `:authority` is if the request names no host.
const HOST: &str = "seawall.test";

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
    let given = map(&request.headers);
    let host = value(&given, "host").or_else(|| value(&given, ":authority"));
    let mut headers = vec![
        pair(":authority", host.as_deref().unwrap_or(HOST)),
        pair(":path", &request.path),
        pair(":method", &request.method),
        pair(":scheme", "http"),
    ];
    let own = |name: &[u8]| name == b"host" || name.starts_with(b":");
    headers.extend(given.into_iter().filter(|(name, _)| !own(name)));
    if !request.body.is_empty() && request.trailers.is_empty() {
        let size = request.body.len().to_string();
        add(&mut headers, "content-length", &size);
    }
    add(&mut headers, "x-forwarded-proto", "http");
    add(&mut headers, "x-request-id", id);
    headers
}

/// A request as the upstream gets it from the router.
pub(super) fn seen(headers: &HeaderMap, body: &[u8], trailers: &HeaderMap) -> Seen {
    let expected = pair(EXPECTED, &(ROUTE_TIMEOUT / 1_000_000).to_string());
    sent(headers, &vec![expected], body, trailers)
}

/// A guest's own call as the upstream gets it.
pub(super) fn called(
    headers: &HeaderMap,
    body: &[u8],
    trailers: &HeaderMap,
    timeout: Option<u64>,
) -> Seen {
    let mut more = vec![pair("x-envoy-internal", "true")];
    let expected = timeout.map(|timeout| pair(EXPECTED, &(timeout / 1_000_000).to_string()));
    more.extend(expected);
    sent(headers, &more, body, trailers)
}

/// A request as HTTP/1.1 has it: framed at the end, and without trailers where its length is said before.
fn sent(headers: &HeaderMap, more: &HeaderMap, body: &[u8], trailers: &HeaderMap) -> Seen {
    let text = |name: &str| value(headers, name).unwrap_or_default();
    let mut all: Headers = vec![("host".to_owned(), text(":authority"))];
    all.extend(shown(headers));
    all.extend(shown(more));
    let has_length = value(headers, "content-length").is_some();
    let has_body = !body.is_empty() || !trailers.is_empty();
    match (has_length, has_body, text(":method").as_str()) {
        (true, _, _) | (false, false, "GET" | "HEAD" | "CONNECT") => {}
        (false, true, _) => all.push(("transfer-encoding".to_owned(), "chunked".to_owned())),
        (false, false, _) => all.push(("content-length".to_owned(), "0".to_owned())),
    }
    Seen {
        method: text(":method"),
        path: text(":path"),
        headers: all,
        body: String::from_utf8_lossy(body).into_owned(),
        trailers: match has_length {
            true => Headers::new(),
            false => shown(trailers),
        },
    }
}

/// The upstream's answer as the filter sees it.
pub(super) fn answer_headers(rule: &Rule) -> HeaderMap {
    let mut headers = vec![pair(":status", &rule.status.to_string())];
    headers.extend(map(&rule.headers));
    if !rule.trailers.is_empty() {
        add(&mut headers, "transfer-encoding", "chunked");
    } else if !matches!(rule.status, 204 | 304) {
        let size = rule.body.len().to_string();
        add(&mut headers, "content-length", &size);
    }
    let took = rule.delay_ms.to_string();
    headers.push(pair("x-envoy-upstream-service-time", &took));
    headers
}

/// An answer of the router itself.
pub(super) fn own(status: u32, details: &str, body: &str) -> LocalReply {
    LocalReply {
        status,
        details: details.to_owned(),
        body: body.as_bytes().to_vec(),
        headers: HeaderMap::new(),
        grpc_status: -1,
    }
}

/// An answer's headers as the client gets them: framed as its body needs it.
pub(super) fn framed(headers: &HeaderMap, has_body: bool) -> Headers {
    let mut all = shown(headers);
    all.retain(|(name, _)| name != "transfer-encoding");
    let status = value(headers, ":status").unwrap_or_default();
    if value(headers, "content-length").is_none() && !matches!(status.as_str(), "204" | "304") {
        all.push(match has_body {
            true => ("transfer-encoding".to_owned(), "chunked".to_owned()),
            false => ("content-length".to_owned(), "0".to_owned()),
        });
    }
    all
}
