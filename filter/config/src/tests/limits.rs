//! Time limits, retries and trust, as they are read.

use serde_json::json;

use super::{from_value, policy};
use seawall_policy::deadline::Form;
use seawall_policy::retry;
use seawall_policy::time::Span;
use seawall_policy::trust::Forwarded;

#[test]
fn time_and_retries_are_read() {
    let read = policy(json!({
        "timeout": {
            "total": "3s", "per_try": "1s", "propagate": ["grpc-timeout", "X-Left"], "doomed_under": "20ms",
            "adaptive": {"percentile": 99.9, "factor": 1.5, "min": "50ms", "max": "2s", "minimum_samples": 10}
        },
        "retries": {
            "mode": "shadow", "attempts": 3, "on": ["gateway-error", "internal", "409"], "methods": "any",
            "budget": {"ratio": "12.5%", "min_per_second": 0.1, "ttl": "30s"}
        }
    }))
    .unwrap();
    let time = read.time;
    assert_eq!(
        time.propagate,
        [Form::Grpc, Form::Header("x-left".to_owned())]
    );
    assert_eq!(time.per_try, Some(Span::secs(1)));
    let adaptive = time.adaptive.unwrap();
    assert_eq!((adaptive.factor, adaptive.samples), (150, 10));
    let retries = read.retries.unwrap();
    assert_eq!((retries.mode, retries.attempts), (retry::Mode::Shadow, 3));
    assert!(retries.on.has(retry::Condition::Gateway) && !retries.on.has(retry::Condition::Reset));
    assert_eq!(
        (&retries.on.statuses[..], &retries.on.grpc[..]),
        (&[409][..], &[13][..])
    );
    assert_eq!(retries.budget.ratio, 1_250);
    assert_eq!(
        (retries.budget.floor, retries.budget.ttl),
        (1_000, Span::secs(30))
    );
    assert_eq!(
        policy(json!({"retries": {}})).unwrap().retries,
        Some(retry::Settings::default())
    );
    assert_eq!(
        policy(json!({"retries": {"mode": "off"}})).unwrap().retries,
        None
    );
    let hedged = policy(json!({"retries": {"hedge": {"percentile": 95, "max": "1s"}}})).unwrap();
    assert!(matches!(
        hedged.retries.unwrap().hedge,
        Some(retry::Delay::Percentile(_))
    ));
}

#[test]
fn the_floor_of_a_limit_that_follows_is_a_slow_call_unless_written() {
    for (adaptive, over, min, max) in [
        (json!({}), "2s", 2_000, 15_000),
        (json!({}), "300ms", 300, 15_000),
        (json!({}), "20s", 20_000, 20_000),
        (json!({"min": "50ms"}), "2s", 50, 15_000),
        (json!({"min": "30s"}), "2s", 30_000, 30_000),
        (json!({"max": "1s"}), "2s", 1_000, 1_000),
        (json!({"max": "5s"}), "2s", 2_000, 5_000),
        (json!({"min": "50ms", "max": "5s"}), "2s", 50, 5_000),
    ] {
        let written = json!({
            "timeout": {"adaptive": adaptive},
            "breaker": {"slow_call": {"over": over}}
        });
        let follow = policy(written).unwrap().time.adaptive.unwrap();
        assert_eq!(
            (follow.min, follow.max),
            (Span::millis(min), Span::millis(max)),
            "{adaptive} {over}"
        );
    }
}

#[test]
fn trust_is_for_identities_and_networks() {
    let trust = |raw| from_value(&json!({"version": 1, "policies": {"p": {}}, "trust": raw}));
    let read = trust(json!({"identities": ["spiffe://a/*"], "addresses": ["10.0.0.0/8"]})).unwrap();
    assert!(
        read.trust.knows("spiffe://a/b") && read.trust.reaches("10.9.9.9:1", &Forwarded::Absent)
    );
    let error = trust(json!({"addresses": ["ten"]})).unwrap_err();
    assert_eq!(error.path(), "trust.addresses[0]");
}

#[test]
fn a_child_turns_retries_off() {
    let routing = from_value(&json!({
        "version": 1,
        "policies": {"a": {"retries": {"attempts": 3}}, "b": {"extends": "a", "retries": {"mode": "off"}}}
    }));
    let policies = routing.unwrap().policies;
    assert!(policies[0].retries.is_some() && policies[1].retries.is_none());
}
