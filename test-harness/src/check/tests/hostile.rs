//! Texts that nobody wrote well: nothing makes the check panic, and nothing that is wrong becomes valid.

use serde_json::json;

use super::kinds::{KINDS, filter, manager};
use super::*;

/// Wrong in a way that no odd value in its place, or around it, makes right.
const BAD: &str = r#"{"version":9,"policies":{"default":{"breaker":{"open":{"for":"2s"}}}}}"#;

/// Where something stands: keys and numbers from the top.
fn places(at: &str, value: &Value, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                places(&format!("{at}/{}", escaped(key)), inner, found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                places(&format!("{at}/{index}"), inner, found);
            }
        }
        _ => {}
    }
}

fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("seawall"),
        json!("{{ x }}"),
        json!("\u{1}*|||.."),
        json!([]),
        json!([null]),
        json!([[], {}, "a", 1]),
        json!({}),
        json!({"a": null}),
        json!({"name": [], "typed_config": 1, "http_filters": {}, "items": 1}),
    ]
}

/// Beside the filter: what has rules of its own.
fn with_neighbours(document: Value) -> Value {
    let meta = json!({"name": "a", "namespace": "shop"});
    json!({"kind": "List", "items": [
        document,
        {"kind": "DestinationRule", "metadata": meta, "spec": {"host": "payments", "exportTo": ["*"],
            "trafficPolicy": {"portLevelSettings": [{"port": {"number": 443}, "connectionPool": {"http": {"maxRetries": 3}}}]},
            "subsets": [{"name": "v1", "trafficPolicy": {"connectionPool": {"http": {"maxRetries": 3}}}}]}},
        {"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["payments"], "exportTo": ["*"], "http": [
            {"timeout": "2s", "retries": {"attempts": 3, "retryOn": "5xx"}, "delegate": {"name": "a"},
             "route": [{"destination": {"host": "payments", "subset": "v1", "port": {"number": 443}}}]}]}},
        {"kind": "BackendTrafficPolicy", "spec": {"retry": {}}},
        {"kind": "HTTPRoute", "spec": {"rules": [{"timeouts": {}}]}},
    ]})
}

/// A bootstrap with everything that a rule asks for.
fn around(policy: &str) -> Value {
    let mut filters = manager(filter(policy));
    let owner = &mut filters["typed_config"];
    owner["use_remote_address"] = json!(true);
    owner["request_timeout"] = json!("1s");
    owner["http_filters"][1]["typed_config"]["upstream_http_filters"] =
        json!([filter(policy), {"name": "envoy.filters.http.upstream_codec"}]);
    owner["route_config"]["virtual_hosts"][0]["retry_policy"] = json!({"retry_on": "5xx"});
    owner["route_config"]["virtual_hosts"][0]["routes"][0] = json!({
        "match": {"prefix": "/", "headers": [{"name": "x-seawall-failover", "present_match": true}]},
        "metadata": {"filter_metadata": {"seawall": {"policy": "default", "timeout": "1s"}}},
        "response_headers_to_add": [{"header": {"key": "a"}}],
        "route": {"weighted_clusters": {"clusters": [{"name": "users"}]}, "timeout": "1s", "max_grpc_timeout": "1s",
            "max_stream_duration": {"grpc_timeout_header_max": "1s"}, "retry_policy": {"retry_on": "5xx"}},
    });
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "header_prefix": "x-envoy",
        "stats_config": {"stats_tags": [{"tag_name": "policy"}]},
        "dynamic_resources": {"cds_config": {"ads": {}}, "lds_config": {"path_config_source": {"path": "a"}}},
        "static_resources": {
            "listeners": [{"traffic_direction": "OUTBOUND", "filter_chains": [{"filters": [filters]}]}],
            "clusters": [{"name": "users",
                "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", "max_retries": 3, "retry_budget": {}}]},
                "typed_extension_protocol_options": {options: {"@type": options, "http_filters": [filter(policy)]}}}],
        },
    })
}

const ALL: &str = r#"{"version":1,"trust":{"addresses":["10.0.0.0/8"]},"policies":{"default":{"retries":{},"shedding":{},
    "timeout":{"total":"10s","per_try":"5s"},"fallback":[{"on":["open"],"cluster":"spare"},{"stale":{}}]}},
    "upstreams":[{"cluster":"outbound|443*","policy":"default"}]}"#;

#[test]
fn a_wrong_value_in_any_place_makes_nothing_valid_that_is_wrong() {
    let mut count = 0;
    for kind in KINDS {
        let document = (kind.of)(BAD);
        let mut all = Vec::new();
        places("", &document, &mut all);
        for place in all {
            for odd in odd() {
                let mut hostile = document.clone();
                *hostile.pointer_mut(&place).unwrap() = odd.clone();
                count += 1;
                let found = together(vec![(String::new(), vec![hostile])]);
                assert_ne!(
                    found.verdict(),
                    Verdict::Valid,
                    "{}: {place}: {odd}",
                    kind.name
                );
            }
        }
    }
    assert!(count > 10_000, "{count}");
}

#[test]
fn a_wrong_value_in_any_place_around_the_filter_is_no_panic() {
    let mut documents = vec![around(ALL)];
    documents.extend(KINDS.iter().map(|kind| with_neighbours((kind.of)(ALL))));
    for document in documents {
        let mut all = Vec::new();
        places("", &document, &mut all);
        for place in all {
            for odd in odd() {
                let mut hostile = document.clone();
                *hostile.pointer_mut(&place).unwrap() = odd;
                let found = together(vec![("a".to_owned(), vec![hostile])]);
                let nothing = found.configurations == 0;
                assert!(!nothing || found.verdict() != Verdict::Valid, "{place}");
            }
        }
    }
}

#[test]
fn bombs_and_depths_are_refused_within_bounds() {
    // Each line repeats the one before: all of it would be a value for each atom of the earth.
    let mut bomb = "a0: &a0 [seawall, seawall, seawall]\n".to_owned();
    for level in 1..40 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![before; 9].join(", ")
        ));
    }
    assert!(check(&bomb).is_err());
    // A long text that aliases repeat.
    let mut long = format!("a0: &a0 [{}]\n", "x".repeat(1_000_000));
    for level in 1..6 {
        let before = format!("*a{}", level - 1);
        long.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![before; 9].join(", ")
        ));
    }
    assert!(check(&long).is_err());
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        assert!(check(&deep).is_err());
        assert!(check(&open.repeat(20_000)).is_err());
    }
    for cyclic in ["&a [*a]\n", "a: &a {b: *a}\n"] {
        assert!(check(cyclic).is_err(), "{cyclic}");
    }
    // A ConfigMap in a ConfigMap, and so on.
    let mut nested = json!({"version": 1, "policies": {"default": {}}});
    for _ in 0..12 {
        nested = json!({"kind": "ConfigMap", "data": {"a.json": nested.to_string()}});
    }
    let found = findings(&nested.to_string());
    assert_eq!(found.verdict(), Verdict::Incomplete, "{found:#?}");
    for keys in [
        "1: a\n",
        "null: a\n",
        "[a]: b\n",
        "{a: b}: c\n",
        "? [a]\n: b\n",
        "~: 1e999\n",
        "true: .inf\n",
    ] {
        if let Ok(found) = check(keys) {
            assert_ne!(found.verdict(), Verdict::Valid, "{keys}");
        }
    }
}
