//! What a request's header names say: nothing about who asks, where the request was sent to, or anything else.
//!
//! A name that no list has may tell one client from another. So a hole in these lists costs a response that could have
//! been given; it never gives one client's response to another.

/// Ids of a request or a trace, times, framing, what is asked of caches, and what Envoy or Seawall add for themselves:
/// nothing that a response belongs to one client by.
const HARMLESS: [&[u8]; 25] = [
    b"b3",
    b"cf-ray",
    b"connection",
    b"date",
    b"host",
    b"if-modified-since",
    b"if-none-match",
    b"keep-alive",
    b"priority",
    b"sentry-trace",
    b"te",
    b"traceparent",
    b"tracestate",
    b"uber-trace-id",
    b"x-amz-cf-id",
    b"x-amzn-trace-id",
    b"x-cloud-trace-context",
    b"x-correlation-id",
    b"x-datadog-parent-id",
    b"x-datadog-sampling-priority",
    b"x-datadog-trace-id",
    b"x-envoy-attempt-count",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-request-id",
    b"x-request-start",
];

/// The same, whatever follows.
const HARMLESS_BEGINNINGS: [&[u8]; 2] = [b"x-b3-", b"x-seawall-"];

/// What the URI was before somebody in front of us, or which way it takes. The same for all clients that go one way, and
/// what an upstream builds links and redirects from: part of the key like the URI itself, whatever a response says.
const ADDRESSES: [&[u8]; 22] = [
    b"front-end-https",
    b"x-envoy-internal",
    b"x-envoy-original-dst-host",
    b"x-envoy-original-host",
    b"x-envoy-original-path",
    b"x-forwarded-host",
    b"x-forwarded-path",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
    b"x-forwarded-protocol",
    b"x-forwarded-scheme",
    b"x-forwarded-server",
    b"x-forwarded-ssl",
    b"x-forwarded-uri",
    b"x-host",
    b"x-original-host",
    b"x-original-uri",
    b"x-original-url",
    b"x-rewrite-url",
    b"x-script-name",
    b"x-url-scheme",
];

/// What tells clients apart, stands in nearly every request, and is no credential: known by name, so that nothing is searched
/// in it. What is not here is found out.
const USUAL: [&[u8]; 16] = [
    b"accept",
    b"accept-charset",
    b"accept-encoding",
    b"accept-language",
    b"cf-connecting-ip",
    b"dnt",
    b"origin",
    b"referer",
    b"save-data",
    b"true-client-ip",
    b"upgrade-insecure-requests",
    b"user-agent",
    b"via",
    b"x-envoy-external-address",
    b"x-forwarded-for",
    b"x-real-ip",
];

/// Whether a name, in lower case, is one that tells clients apart and that nearly everybody sends.
pub(super) fn is_usual(name: &[u8]) -> bool {
    USUAL.contains(&name)
}

/// Whether a name, in lower case, says nothing about who asks.
pub(super) fn is_harmless(name: &[u8]) -> bool {
    let begins = |beginning: &&[u8]| name.starts_with(beginning);
    HARMLESS.contains(&name) || HARMLESS_BEGINNINGS.iter().any(begins)
}

/// Whether a name, in lower case, says where a request was sent to; `_` counts as `-`, as it does for most applications.
pub(super) fn is_address(name: &[u8]) -> bool {
    let same = |(byte, own): (&u8, &u8)| byte == own || (*byte == b'_' && *own == b'-');
    let is = |known: &&[u8]| known.len() == name.len() && name.iter().zip(*known).all(same);
    ADDRESSES.iter().any(is)
}

/// What `Forwarded` (RFC 7239) says of the URI: its parts in which `host` or `proto` stands, and nothing of the client. Split
/// without regard to quotes, so that a part is found wherever a more lenient reader would find one.
pub(super) fn addresses_in(forwarded: &[u8]) -> impl Iterator<Item = &[u8]> {
    let holds = |part: &&[u8], word: &[u8]| {
        let mut windows = part.windows(word.len());
        windows.any(|window| window.eq_ignore_ascii_case(word))
    };
    forwarded
        .split(|byte| matches!(byte, b',' | b';'))
        .filter(move |part| holds(part, b"host") || holds(part, b"proto"))
}

#[cfg(test)]
mod tests {
    use super::super::{is_a_key, is_credential};
    use super::*;

    #[test]
    fn no_name_stands_in_two_lists_or_for_a_credential() {
        let all = || {
            HARMLESS
                .iter()
                .chain(&ADDRESSES)
                .chain(&HARMLESS_BEGINNINGS)
        };
        assert_eq!(
            all().find(|name| is_credential(name) || is_a_key(name)),
            None
        );
        assert!(!HARMLESS.iter().any(|name| is_address(name)));
        assert!(!ADDRESSES.iter().any(|name| is_harmless(name)));
        assert!(
            !USUAL
                .iter()
                .any(|name| is_harmless(name) || is_address(name))
        );
    }

    #[test]
    fn what_tells_clients_apart_stands_in_no_list() {
        for name in [
            "x-forwarded-for",
            "x-real-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "x-envoy-external-address",
            "x-original-forwarded-for",
            "x-forwarded-client-cert",
            "user-agent",
            "referer",
            "accept",
            "accept-language",
            "forwarded",
            "via",
            "baggage",
            "from",
            "dnt",
            "sec-ch-ua",
            "save-data",
        ] {
            let name = name.as_bytes();
            assert!(!is_harmless(name) && !is_address(name), "{name:?}");
        }
        assert!(is_address(b"x_forwarded_host"));
    }

    #[test]
    fn of_forwarded_only_the_uri_is_read() {
        let parts = |value: &'static str| addresses_in(value.as_bytes()).collect::<Vec<_>>();
        assert_eq!(parts("for=10.0.0.1;by=a, for=\"[::1]\""), [b""; 0]);
        assert_eq!(
            parts("for=10.0.0.1;Host=evil.example;proto=http"),
            [&b"Host=evil.example"[..], b"proto=http"]
        );
        assert_eq!(parts("for=\"a;host = x\"").len(), 1);
    }
}
