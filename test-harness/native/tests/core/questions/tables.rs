//! Policies, requests and responses: each with each.

use serde_json::{Value, json};

/// The policy whose attempts are not seen behind the router.
pub(super) const UNSEEN: &str = "retries before the router";

/// Policies, and whether marks of the peer are believed.
pub(super) fn policies() -> Vec<(&'static str, Value, bool)> {
    let shed =
        json!({"limit": "fixed", "max": 3, "load_over": 20, "priorities": {"header": "x-rank"}});
    let all = json!({
        "breaker": {"consecutive": 2, "open": {"for": "1s"}},
        "timeout": {"total": "5s", "adaptive": {"percentile": 90, "minimum_samples": 5}},
        "retries": {"attempts": 3, "hedge": {"after": "100ms"}},
        "bulkhead": {"max_concurrent": 3, "per": {"header": "tenant", "max_keys": 4}},
        "shedding": {"limit": "adaptive", "load_over": 20},
        "fallback": [{"stale": {"max_age": "1m"}}, {"cluster": "spare"}, {"static": {"status": 202}}],
        "answer_headers": false,
    });
    vec![
        ("off", json!({"breaker": {"mode": "off"}}), false),
        (
            "breaker",
            json!({"breaker": {"consecutive": 2, "open": {"for": "1s"}}}),
            false,
        ),
        (
            "timeout",
            json!({"timeout": {"total": "2s", "doomed_under": "50ms"}}),
            false,
        ),
        ("retries", json!({"retries": {"attempts": 3}}), false),
        (UNSEEN, json!({"retries": {"attempts": 3}}), false),
        (
            "hedges",
            json!({"retries": {"attempts": 2, "hedge": {"after": "100ms"}}}),
            false,
        ),
        (
            "bulkhead",
            json!({"bulkhead": {"max_concurrent": 3, "per": {"header": "tenant", "max_keys": 4}}}),
            false,
        ),
        ("shedding", json!({"shedding": shed}), false),
        (
            "fallback",
            json!({"fallback": [{"stale": {"max_age": "1m"}}, {"static": {"status": 202}}]}),
            false,
        ),
        (
            "failover",
            json!({"breaker": {"mode": "forced_open"}, "fallback": [{"cluster": "spare"}]}),
            false,
        ),
        ("trust", json!({"breaker": {"consecutive": 2}}), true),
        ("trust and shedding", json!({"shedding": shed}), true),
        (
            "trust and retries",
            json!({"retries": {"attempts": 3}, "answer_headers": false}),
            true,
        ),
        ("all", all.clone(), false),
        ("trust and all", all, true),
    ]
}

pub(super) const REQUESTS: [&[(&str, &str)]; 7] = [
    &[],
    &[("content-type", "application/grpc"), ("grpc-timeout", "3S")],
    &[
        ("x-seawall-priority", "sheddable"),
        ("x-request-id", "5f0c"),
        ("tenant", "a"),
    ],
    &[
        ("x-rank", "critical_plus"),
        ("x-request-id", "6f0c"),
        ("x-seawall-attempt", "2"),
    ],
    &[("accept", "text/event-stream"), ("x-rank", "sheddable")],
    &[("upgrade", "websocket"), ("x-request-id", "7f0c")],
    &[("x-rank", "sheddable"), ("x-request-id", "8f0c")],
];

/// An answer: its status, more headers, flags and code details.
pub(super) type Answer = (
    u16,
    &'static [(&'static str, &'static str)],
    u64,
    &'static str,
);

pub(super) const ANSWERS: [Answer; 9] = [
    (
        200,
        &[("cache-control", "public, max-age=60")],
        0,
        "via_upstream",
    ),
    (
        200,
        &[("content-type", "application/grpc"), ("grpc-status", "14")],
        0,
        "via_upstream",
    ),
    (
        200,
        &[("endpoint-load-metrics", "TEXT application_utilization=0.95")],
        0,
        "via_upstream",
    ),
    (503, &[("retry-after", "2")], 0, "via_upstream"),
    (
        503,
        &[
            ("x-seawall-reason", "shed_limit"),
            ("x-seawall-no-retry", "1"),
        ],
        0,
        "via_upstream",
    ),
    (429, &[], 0, "via_upstream"),
    (
        503,
        &[],
        0x40,
        "upstream_reset_before_response_started{connection_termination}",
    ),
    (504, &[], 0x4, "response_timeout"),
    (503, &[], 0x2, "no_healthy_upstream"),
];

/// How a stream goes on after its headers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    EndsAtOnce,
    Body,
    Trailers(&'static str),
    /// It is cut, with these flags.
    Cut(u64),
    /// There were no headers; it is over with these flags.
    NoAnswer(u64),
}

pub(super) const THEN: [Then; 9] = [
    Then::EndsAtOnce,
    Then::Body,
    Then::Trailers("0"),
    Then::Trailers("8"),
    Then::Trailers("14"),
    Then::Cut(0x40),
    Then::Cut(0x4),
    Then::NoAnswer(0x4000),
    Then::NoAnswer(0x40),
];
