//! What a check tells: all errors at once, each once, and none that follows from another.

use serde_json::{Value, json};

use crate::{ERRORS_MAX, check_value, from_value};

/// The paths of all errors. The filter tells the first of them.
fn paths(file: Value) -> Vec<String> {
    let all = check_value(&file).unwrap_err();
    assert_eq!(from_value(&file).unwrap_err(), all[0]);
    all.iter().map(|error| error.path().to_owned()).collect()
}

#[test]
fn errors_of_every_kind_are_told_together() {
    let file = json!({
        "version": 1,
        "polices": {},
        "policies": {
            "a": {
                "brekaer": {},
                "retries": {"on": ["5xx", 7, "x", true]},
                "outcomes": {"failure": {"status": [500, "6xx", 503, 99]}},
                "timeout": {"total": "5"}
            },
            "b": {"breaker": {"minimum_calls": 0, "open": {"for": "90s", "up_to": "60s"}}},
            "c": {"scope": "world"}
        },
        "upstreams": [
            {"cluster": "x", "policy": "a"},
            {"cluster": "", "policy": "d"}
        ]
    });
    assert_eq!(
        paths(file),
        [
            "polices",
            "policies.a.brekaer",
            "policies.a.outcomes.failure.status[1]",
            "policies.a.outcomes.failure.status[3]",
            "policies.a.retries.on[1]",
            "policies.a.retries.on[3]",
            "policies.a.timeout.total",
            "policies.c.scope",
            "policies.b.breaker.minimum_calls",
            "policies.b.breaker.open.up_to",
            "upstreams[1].policy",
            "upstreams[1].cluster",
        ]
    );
}

#[test]
fn what_is_inherited_is_told_where_it_was_written() {
    let policies = |policies: Value| json!({"version": 1, "policies": policies});
    // The parent comes last by name, and first by fault.
    let bounds = json!({
        "a": {"extends": "z", "breaker": {"ramp": "1s"}},
        "b": {"extends": "a"},
        "z": {"breaker": {"minimum_calls": 0}}
    });
    assert_eq!(
        paths(policies(bounds)),
        ["policies.z.breaker.minimum_calls"]
    );
    let kinds =
        json!({"a": {"extends": "z", "bulkhead": {}}, "z": {"bulkhead": {"max_concurrent": "x"}}});
    assert_eq!(
        paths(policies(kinds)),
        ["policies.z.bulkhead.max_concurrent"]
    );
    let missing = json!({"a": {"extends": "b", "bulkhead": {}}, "b": {"extends": "c"}});
    assert_eq!(paths(policies(missing)), ["policies.b.extends"]);
    let skipped = json!({"a": {"extends": "b"}, "b": 5});
    let mut skipped = policies(skipped);
    skipped["upstreams"] = json!([{"cluster": "x", "policy": "b"}]);
    assert_eq!(paths(skipped), ["policies.b"]);
    let circle = json!({"a": {"extends": "b"}, "b": {"extends": "a"}});
    assert_eq!(
        paths(policies(circle)),
        ["policies.b.extends", "policies.a.extends"]
    );
}

#[test]
fn errors_have_a_bound() {
    let keys: serde_json::Map<_, _> = (0..500).map(|key| (format!("x{key}"), json!(0))).collect();
    let file = json!({"version": 1, "policies": {"p": keys}});
    assert_eq!(paths(file).len(), ERRORS_MAX);
    let statuses = vec![json!(0); 500];
    let file =
        json!({"version": 1, "policies": {"p": {"outcomes": {"failure": {"status": statuses}}}}});
    assert_eq!(paths(file).len(), ERRORS_MAX);
    assert_eq!(paths(json!([])), [""]);
}

#[test]
fn a_wrong_version_or_no_policy_is_told_once() {
    assert_eq!(
        paths(json!({"version": "one", "policies": {"p": {}}})),
        ["version"]
    );
    let upstreams = json!([{"cluster": "x", "policy": "a"}]);
    let file = json!({"version": 1, "policies": [], "upstreams": upstreams});
    assert_eq!(paths(file), ["policies"]);
    assert_eq!(paths(json!({})), ["version", "policies"]);
}
