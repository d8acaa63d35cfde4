//! Header maps as Envoy keeps them: some headers once, another value behind a comma, and in a request's map `host` is
//! `:authority`. Which headers those are depends on the map.

use super::stream::{HeaderMap, REQUEST_HEADERS, RESPONSE_HEADERS, RESPONSE_TRAILERS};

/// Kept once in a request's headers.
const REQUEST: [&str; 61] = [
    ":authority",
    ":method",
    ":path",
    ":protocol",
    ":scheme",
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-connection",
    "proxy-status",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Kept once in an answer's headers.
const RESPONSE: [&str; 37] = [
    ":status",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-connection",
    "proxy-status",
    "server",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-ratelimited",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-service-time",
    "x-request-id",
];

/// Kept once in an answer's trailers.
const TRAILERS: [&str; 2] = ["grpc-message", "grpc-status"];

/// A header's name as Envoy keeps it in the map of this number.
pub(crate) fn named(number: u32, key: &[u8]) -> Vec<u8> {
    match key.to_ascii_lowercase() {
        key if key == b"host" && number == REQUEST_HEADERS => b":authority".to_vec(),
        key => key,
    }
}

/// Adds a header, by the name that Envoy keeps it under, as Envoy's map of this number does.
pub(crate) fn add(number: u32, map: &mut HeaderMap, key: Vec<u8>, value: Vec<u8>) {
    let once: &[&str] = match number {
        REQUEST_HEADERS => &REQUEST,
        RESPONSE_HEADERS => &RESPONSE,
        RESPONSE_TRAILERS => &TRAILERS,
        _ => &[],
    };
    if once.iter().any(|name| name.as_bytes() == key)
        && let Some((_, present)) = map.iter_mut().find(|(name, _)| *name == key)
    {
        present.push(b',');
        present.extend(value);
        return;
    }
    if key.first() == Some(&b':') {
        let last = map
            .iter()
            .rposition(|(name, _)| name.first() == Some(&b':'));
        map.insert(last.map_or(0, |last| last + 1), (key, value));
        return;
    }
    map.push((key, value));
}

/// Pairs as Envoy keeps them in the map of this number.
pub(crate) fn kept(number: u32, pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (key, value) in pairs {
        add(number, &mut map, named(number, &key), value);
    }
    map
}

/// Sets a header to one value: in its place, or at the end.
pub(crate) fn set(map: &mut HeaderMap, key: &str, value: &[u8]) {
    match map.iter().position(|(name, _)| name == key.as_bytes()) {
        Some(place) => {
            let mut at = 0;
            map.retain(|(name, _)| {
                at += 1;
                at - 1 <= place || name != key.as_bytes()
            });
            map[place].1 = value.to_vec();
        }
        None => map.push((key.as_bytes().to_vec(), value.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::stream::headers;

    fn pairs(pairs: &[(&str, &str)]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        headers(pairs).into_iter()
    }

    #[test]
    fn headers_are_added_as_envoy_adds_them() {
        let mut map = headers(&[(":path", "/"), ("accept", "*/*"), ("x-a", "1")]);
        for (key, value) in [("Host", "h"), ("accept", "b"), ("X-A", "2"), (":new", "n")] {
            let key = named(REQUEST_HEADERS, key.as_bytes());
            add(REQUEST_HEADERS, &mut map, key, value.as_bytes().to_vec());
        }
        let expected = [
            (":path", "/"),
            (":authority", "h"),
            (":new", "n"),
            ("accept", "*/*,b"),
            ("x-a", "1"),
            ("x-a", "2"),
        ];
        assert_eq!(map, headers(&expected));
    }

    #[test]
    fn what_is_kept_once_depends_on_the_map() {
        let twice = [
            ("host", "a"),
            ("etag", "a"),
            ("etag", "b"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        let request = [
            (":authority", "a"),
            ("etag", "a"),
            ("etag", "b"),
            ("accept", "a,b"),
        ];
        let response = [
            ("host", "a"),
            ("etag", "a,b"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        assert_eq!(kept(REQUEST_HEADERS, pairs(&twice)), headers(&request));
        assert_eq!(kept(RESPONSE_HEADERS, pairs(&twice)), headers(&response));
    }

    #[test]
    fn one_value_takes_the_place_of_all() {
        let mut map = headers(&[("a", "1"), ("b", "2"), ("a", "3")]);
        set(&mut map, "a", b"4");
        set(&mut map, "c", b"5");
        assert_eq!(map, headers(&[("a", "4"), ("b", "2"), ("c", "5")]));
    }
}
