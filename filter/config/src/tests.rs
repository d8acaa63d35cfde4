//! What is read, what is refused, and with which words.

mod all;
mod alone;
mod extends;
mod hostile;
mod ladder;
mod limits;
mod load;
mod outcomes;
mod requests;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use seawall_policy::breaker::window::Geometry;
use seawall_policy::breaker::{Mode, Settings};
use seawall_policy::fallback::{Cause, Kind};
use seawall_policy::outcome::Codes;
use seawall_policy::policy::{Policy, Scope};
use seawall_policy::ratio::Share;
use seawall_policy::time::Span;

fn policy(raw: Value) -> Result<Policy, String> {
    let file = json!({"version": 1, "policies": {"p": raw}});
    let routing = from_value(&file).map_err(|error| error.to_string())?;
    Ok(routing.policies[0].clone())
}

#[track_caller]
fn refused(raw: Value, expected: &str) {
    assert_eq!(policy(raw).unwrap_err(), expected);
}

#[test]
fn silence_means_the_defaults() {
    let policy = policy(json!({})).unwrap();
    assert_eq!(policy.breaker, Settings::default());
    assert_eq!(policy.time.total, None);
    assert_eq!(policy.scope, Scope::Cluster);
    assert!(policy.fallback.rungs.is_empty());
}

#[test]
fn every_key_is_read() {
    let policy = policy(json!({
        "scope": "route",
        "timeout": {"total": "3s"},
        "outcomes": {"failure": {"status": [500], "grpc": [14], "flags": ["UT"]}, "overloaded": {"status": [503]}},
        "breaker": {
            "mode": "enforce", "enforce": "5%", "inbound": true, "failure_rate": 12.5,
            "slow_call": {"over": "300ms", "rate": 90}, "consecutive": 0, "window": {"calls": 100},
            "minimum_calls": 5, "open": {"for": "1s", "up_to": "30s", "jitter": 0},
            "half_open": {"permits": 3, "wait": "4s"}, "ramp": "0s", "hosts": {"grace": "2s"}
        },
        "fallback": [{"on": ["open"], "static": {
            "status": 203, "content_type": "application/json", "headers": {"X-From": "cache"}, "body": "[]",
            "grpc": {"status": 5, "message": "gone"}
        }}]
    }))
    .unwrap();
    let breaker = policy.breaker;
    assert_eq!(breaker.mode, Mode::Enforce(Share::percent(5)));
    assert_eq!(breaker.thresholds.failure_rate, Share::basis_points(1_250));
    assert_eq!(breaker.window, Geometry::Count { calls: 100 });
    assert_eq!(breaker.open.cap, Span::secs(30));
    assert_eq!((breaker.half_open.permits, breaker.ramp), (3, Span::ZERO));
    assert!(breaker.inbound && policy.scope == Scope::Route);
    assert_eq!(policy.outcomes.failure_flags, 4);
    assert_eq!(
        policy.outcomes.overloaded_grpc,
        Codes::of(&[(8, 8)]),
        "what is not said stays"
    );
    assert!(
        policy
            .fallback
            .answers(Cause::Open, Kind::Grpc)
            .next()
            .is_some()
    );
    assert!(
        policy
            .fallback
            .answers(Cause::Failure, Kind::Plain)
            .next()
            .is_none()
    );
}

#[test]
fn an_error_names_the_path_what_stood_there_and_what_would_be_right() {
    refused(
        json!({"breaker": {"open": {"fro": "5s"}}}),
        "policies.p.breaker.open.fro: unknown key, did you mean \"for\"?; known: for, up_to, jitter",
    );
    refused(
        json!({"breaker": {"open": {"for": "5"}}}),
        "policies.p.breaker.open.for: \"5\" has no unit: write for example \"5s\" or \"5ms\"",
    );
    refused(
        json!({"breaker": {"open": {"for": 5}}}),
        "policies.p.breaker.open.for: expected a duration with its unit, such as \"250ms\", \"5s\" or \"2m\", got a \
         number",
    );
    refused(
        json!({"breaker": {"mode": "shadwo"}}),
        "policies.p.breaker.mode: unknown value \"shadwo\", did you mean \"shadow\"?; known: enforce, shadow, off, \
         forced_open",
    );
    refused(
        json!({"breaker": {"failure_rate": 101}}),
        "policies.p.breaker.failure_rate: expected a percentage from 0 to 100 with at most two decimals, such as 50 or \
         \"5%\", got a number",
    );
    refused(
        json!({"fallback": [{"static": {"status": 99}}]}),
        "policies.p.fallback[0].static.status: 99 is out of bounds: 200 to 599",
    );
    refused(
        json!({"extends": "q"}),
        "policies.p.extends: there is no policy \"q\"",
    );
    refused(
        json!({"extends": "p"}),
        "policies.p.extends: goes in a circle: p -> p",
    );
}

#[test]
fn what_cannot_work_together_is_refused() {
    for (raw, path) in [
        (
            json!({"timeout": {"total": "20s"}, "breaker": {"half_open": {"wait": "19s"}}}),
            "policies.p.breaker.half_open.wait",
        ),
        (
            json!({"breaker": {"slow_call": {"over": "4s"}, "half_open": {"wait": "4900ms"}}}),
            "policies.p.breaker.half_open.wait",
        ),
        (
            json!({"breaker": {"half_open": {"wait": "1900ms"}}}),
            "policies.p.breaker.half_open.wait",
        ),
        (
            json!({"breaker": {"open": {"for": "90s", "up_to": "60s"}}}),
            "policies.p.breaker.open.up_to",
        ),
        (
            json!({"breaker": {"open": {"up_to": "0s"}}}),
            "policies.p.breaker.open.up_to",
        ),
        (
            json!({"breaker": {"window": {}}}),
            "policies.p.breaker.window",
        ),
        (
            json!({"breaker": {"window": {"over": "1s", "calls": 5}}}),
            "policies.p.breaker.window",
        ),
        (
            json!({"breaker": {"window": {"calls": 1025}}}),
            "policies.p.breaker.window.calls",
        ),
        (
            json!({"breaker": {"window": {"over": "1ms"}}}),
            "policies.p.breaker.window.over",
        ),
        (
            json!({"breaker": {"mode": "shadow", "enforce": 5}}),
            "policies.p.breaker.enforce",
        ),
        (
            json!({"breaker": {"half_open": {"permits": 0}}}),
            "policies.p.breaker.half_open.permits",
        ),
        (
            json!({"breaker": {"minimum_calls": 0}}),
            "policies.p.breaker.minimum_calls",
        ),
        (
            json!({"breaker": {"failure_rate": 0, "consecutive": 0, "slow_call": {"rate": 0}}}),
            "policies.p.breaker",
        ),
        (
            json!({"fallback": [{"static": {"headers": {"content-length": "3"}}}]}),
            "policies.p.fallback[0].static.headers.content-length",
        ),
        (
            json!({"fallback": [{"static": {"headers": {"x": "a\r\nb"}}}]}),
            "policies.p.fallback[0].static.headers",
        ),
        (
            json!({"fallback": [{"on": [], "static": {}}]}),
            "policies.p.fallback[0].on",
        ),
        (
            json!({"fallback": [{"static": {"grpc": {"status": 17}}}]}),
            "policies.p.fallback[0].static.grpc.status",
        ),
        (
            json!({"fallback": [{"static": {"body": "x".repeat(65_537)}}]}),
            "policies.p.fallback[0].static.body",
        ),
        (json!({"bulkheads": {}}), "policies.p.bulkheads"),
        (
            json!({"timeout": {"total": "1s", "per_try": "1s"}}),
            "policies.p.timeout.per_try",
        ),
        (
            json!({"timeout": {"per_try": "1us"}}),
            "policies.p.timeout.per_try",
        ),
        (
            json!({"timeout": {"total": "1s", "doomed_under": "1s"}}),
            "policies.p.timeout.doomed_under",
        ),
        (
            json!({"timeout": {"propagate": ["x-envoy-max-retries"]}}),
            "policies.p.timeout.propagate[0]",
        ),
        (
            json!({"timeout": {"adaptive": {"min": "2s", "max": "1s"}}}),
            "policies.p.timeout.adaptive.min",
        ),
        (
            json!({"timeout": {"adaptive": {"factor": 0.5}}}),
            "policies.p.timeout.adaptive.factor",
        ),
        (
            json!({"retries": {"attempts": 0}}),
            "policies.p.retries.attempts",
        ),
        (
            json!({"retries": {"on": ["5xx", "rest"]}}),
            "policies.p.retries.on[1]",
        ),
        (
            json!({"retries": {"on": ["200"]}}),
            "policies.p.retries.on[0]",
        ),
        (
            json!({"retries": {"budget": {"ttl": "2m"}}}),
            "policies.p.retries.budget.ttl",
        ),
        (
            json!({"retries": {"budget": {"min_per_second": 0.00001}}}),
            "policies.p.retries.budget.min_per_second",
        ),
        (
            json!({"retries": {"hedge": {}}}),
            "policies.p.retries.hedge",
        ),
        (
            json!({"retries": {"hedge": {"after": "1s", "max": "2s"}}}),
            "policies.p.retries.hedge",
        ),
        (
            json!({"retries": {"hedge": {"after": "1s"}}, "timeout": {"per_try": "1s"}}),
            "policies.p.retries.hedge",
        ),
    ] {
        let error = from_value(&json!({"version": 1, "policies": {"p": raw}})).unwrap_err();
        assert_eq!(error.path(), path, "{error}");
    }
}

#[test]
fn off_and_on_are_read_as_a_yaml_1_1_parser_hands_them_over() {
    assert_eq!(
        policy(json!({"breaker": {"mode": false}}))
            .unwrap()
            .breaker
            .mode,
        Mode::Off
    );
    let read = policy(json!({"fallback": [{"true": ["open"], "static": {}}]})).unwrap();
    assert!(
        read.fallback
            .answers(Cause::Open, Kind::Plain)
            .next()
            .is_some()
    );
    assert!(
        read.fallback
            .answers(Cause::Failure, Kind::Plain)
            .next()
            .is_none()
    );
    refused(
        json!({"breaker": {"mode": true}}),
        "policies.p.breaker.mode: expected one of enforce, shadow, off, forced_open, got a truth value",
    );
    refused(
        json!({"scope": false}),
        "policies.p.scope: expected one of cluster, route, got a truth value",
    );
    refused(
        json!({"fallback": [{"on": ["open"], "true": ["failure"], "static": {}}]}),
        "policies.p.fallback[0].true: unknown key; known: on, cluster, stale, static",
    );
    refused(
        json!({"true": 1}),
        "policies.p.true: unknown key; known: extends, scope, timeout, outcomes, breaker, retries, bulkhead, shedding, exempt, \
         fallback, answer_headers",
    );
}

#[test]
fn the_whole_is_refused_with_its_reason() {
    for (bytes, expected) in [
        (
            "",
            "empty: write an object with \"version\" and \"policies\"",
        ),
        (
            "[]",
            "not an object: write an object with \"version\" and \"policies\"",
        ),
        (
            r#"{"version":2,"policies":{}}"#,
            "version: 2 is unknown: this Seawall reads version 1",
        ),
        (
            r#"{"version":1}"#,
            "policies: empty: write at least the policy \"default\"",
        ),
        (
            r#"{"version":1,"policies":{"a b":{}}}"#,
            "policies.a b: a name is 1 to 64 letters, digits, \"_\" and \"-\"",
        ),
        (
            r#"{"version":1,"policies":{"default":{}},"upstreams":[{"cluster":"x","policy":"defualt"}]}"#,
            "upstreams[0].policy: there is no policy \"defualt\", did you mean \"default\"?",
        ),
        (
            r#"{"version":1,"policies":{"default":{}},"upstreams":[{"cluster":"x","policy":"default","max_keys":3}]}"#,
            "upstreams[0].max_keys: needs \"key\": \"authority\" beside it",
        ),
    ] {
        assert_eq!(parse(bytes.as_bytes()).unwrap_err().to_string(), expected);
    }
    assert!(
        parse(br#""{\"version\":1,\"policies\":{\"default\":{}}}""#).is_ok(),
        "a string that holds one"
    );
    assert!(parse(&vec![b' '; BYTES_MAX + 1]).is_err());
}

/// A field with its size, in protobuf's wire format.
fn sized(tag: u8, bytes: Vec<u8>) -> Vec<u8> {
    let mut out = vec![tag];
    let mut size = bytes.len();
    while size >= 0x80 {
        out.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
    [out, bytes].concat()
}

/// A value in the wire format of `google.protobuf.Value`.
fn wire(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![0x08, 0],
        Value::Bool(truth) => vec![0x20, u8::from(*truth)],
        Value::Number(number) => {
            [vec![0x11], number.as_f64().unwrap().to_le_bytes().to_vec()].concat()
        }
        Value::String(text) => sized(0x1a, text.clone().into_bytes()),
        Value::Object(_) => sized(0x2a, wire_object(value)),
        Value::Array(items) => sized(
            0x32,
            items
                .iter()
                .flat_map(|item| sized(0x0a, wire(item)))
                .collect(),
        ),
    }
}

fn wire_object(value: &Value) -> Vec<u8> {
    let entry = |(key, value): (&String, &Value)| {
        sized(
            0x0a,
            [
                sized(0x0a, key.clone().into_bytes()),
                sized(0x12, wire(value)),
            ]
            .concat(),
        )
    };
    value.as_object().unwrap().iter().flat_map(entry).collect()
}

#[test]
fn a_struct_in_its_wire_format_is_read_as_the_same_json() {
    let written = json!({
        "version": 1,
        "policies": {"default": {
            "breaker": {"failure_rate": 12.5, "inbound": true, "window": null},
            "fallback": [{"on": ["open"], "static": {"body": "x".repeat(300)}}]
        }},
        "upstreams": []
    });
    let bytes = wire_object(&written);
    assert_eq!(parse(&bytes), from_value(&written));
    for length in 0..bytes.len() {
        let _ = parse(&bytes[..length]);
    }
    let deep = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    assert!(parse(&wire_object(&json!({"version": deep}))).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "version",
        "policies",
        "upstreams",
        "default",
        "breaker",
        "window",
        "over",
        "calls",
        "open",
        "for",
        "up_to",
        "extends",
        "fallback",
        "static",
        "headers",
        "status",
        "grpc",
        "half_open",
        "permits",
        "timeout",
        "total",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9.smh%a-z]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6).prop_map(|map| {
                map.into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<Value>()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_and_no_json_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), policy in any_json()) {
        let _ = parse(&bytes);
        let _ = from_value(&json!({"version": 1, "policies": {"default": policy}}));
        let _ = from_value(&policy);
    }
}
