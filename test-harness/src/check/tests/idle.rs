//! What is written and does nothing, or not what its owner expects.

use serde_json::json;

use super::kinds::{bootstrap, filter};
use super::*;

#[track_caller]
fn warns(found: &Findings, path: &str, words: &str) {
    assert_eq!(found.errors, vec![], "{path}");
    let mut warnings = found.warnings.iter();
    assert!(
        warnings.any(|found| found.path.ends_with(path) && found.problem.contains(words)),
        "{path}: {:#?}",
        found.warnings
    );
}

#[test]
fn a_policy_file_with_something_that_does_nothing_is_warned_of() {
    let fixed = "{on: [open], static: {body: a}}";
    for (policy, path, words) in [
        ("policies: {Default: {}}", "policies.Default", "\"default\""),
        (
            "policies: {default: {}, a: {}}\nupstreams: [{cluster: '*', policy: a}, {cluster: b, policy: a}]",
            "upstreams[1]",
            "upstreams[0]",
        ),
        (
            "policies: {default: {}, a: {}}\nupstreams: [{cluster: 'b*', policy: a}, {cluster: 'b*c', policy: a}]",
            "upstreams[1]",
            "never asked",
        ),
        (
            &format!("policies: {{default: {{fallback: [{fixed}, {{on: [open], cluster: b}}]}}}}"),
            "fallback[1]",
            "never reached",
        ),
        (
            "policies: {default: {retries: {on: []}}}",
            "retries.on",
            "nothing is ever repeated",
        ),
        (
            "policies: {default: {outcomes: {failure: {status: [200, 503]}}}}",
            "outcomes.failure.status",
            "200",
        ),
        (
            "policies: {default: {timeout: {total: 1s}, breaker: {slow_call: {over: 5s, rate: 10}}}}",
            "slow_call.over",
            "timeout.total (1s)",
        ),
    ] {
        warns(&findings(&format!("version: 1\n{policy}\n")), path, words);
    }
}

#[test]
fn what_does_something_is_not_warned_of() {
    for policy in [
        "policies: {payments: {}}",
        "policies: {Default: {}}\nupstreams: [{cluster: '*', policy: Default}]",
        "policies: {default: {}, a: {}}\nupstreams: [{cluster: 'b*', policy: a}, {cluster: '*', policy: a}]",
        "policies: {default: {fallback: [{on: [open], static: {body: a}}, {on: [shed], static: {body: b}}]}}",
        "policies: {default: {fallback: [{on: [open], cluster: b}, {on: [open], static: {body: b}}]}}",
        "policies: {default: {retries: {}, timeout: {total: 5s}}}",
        "policies: {default: {outcomes: {failure: {status: [500]}}}}",
    ] {
        let found = findings(&format!("version: 1\n{policy}\n"));
        assert_eq!((found.errors, found.warnings), (vec![], vec![]), "{policy}");
    }
}

const ROUTE: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0";

fn with(policy: &str, pointer: &str, key: &str, value: Value) -> Findings {
    let mut document = bootstrap(filter(policy));
    document.pointer_mut(pointer).unwrap()[key] = value;
    findings(&document.to_string())
}

#[test]
fn what_a_routes_metadata_says_is_judged() {
    let of = |metadata: Value| {
        with(
            GOOD,
            ROUTE,
            "metadata",
            json!({"filter_metadata": metadata}),
        )
    };
    for (metadata, path, words) in [
        (
            json!({"seawall": {"policy": "nope"}}),
            "seawall.policy",
            "no policy \"nope\"",
        ),
        (
            json!({"seawall": {"polcy": "default"}}),
            "seawall.polcy",
            "did you mean \"policy\"?",
        ),
        (
            json!({"seawall": {"timeout": 15}}),
            "seawall.timeout",
            "\"15s\"",
        ),
        (
            json!({"seawall": {"timeout": "15"}}),
            "seawall.timeout",
            "\"15s\"",
        ),
        (
            json!({"seawall": {"priority": "high"}}),
            "seawall.priority",
            "critical_plus",
        ),
        (
            json!({"seawall": "default"}),
            "filter_metadata.seawall",
            "no object",
        ),
        (
            json!({"Seawall": {"policy": "default"}}),
            "filter_metadata.Seawall",
            "\"seawall\"",
        ),
    ] {
        warns(&of(metadata), path, words);
    }
    for metadata in [
        json!({"seawall": {"policy": "default", "timeout": "15s", "priority": "sheddable"}}),
        json!({"other": {"policy": "nope"}}),
        json!({"seawall": {"policy": "${POLICY}"}}),
    ] {
        assert_eq!(of(metadata).warnings, vec![]);
    }
}

#[test]
fn a_policy_that_nothing_in_an_envoy_names_is_warned_of() {
    let policy = r#"{"version":1,"policies":{"base":{},"default":{"extends":"base"},"a":{},"b":{},"c":{}},
        "upstreams":[{"cluster":"users","policy":"a"}]}"#;
    let found = with(
        policy,
        ROUTE,
        "metadata",
        json!({"filter_metadata": {"seawall": {"policy": "b"}}}),
    );
    warns(&found, "policies.c", "governs nothing");
    assert_eq!(found.warnings.len(), 1, "{found:#?}");
    // Routes from elsewhere may name any.
    let manager = ROUTE.split("/route_config").next().unwrap();
    let elsewhere = json!({"route_config_name": "a", "config_source": {"ads": {}}});
    let mut document = bootstrap(filter(policy));
    let manager = document
        .pointer_mut(manager)
        .unwrap()
        .as_object_mut()
        .unwrap();
    manager.remove("route_config");
    manager.insert("rds".to_owned(), elsewhere);
    assert_eq!(findings(&document.to_string()).warnings, vec![]);
}

#[test]
fn a_breaker_that_was_written_for_inbound_listeners_alone_is_warned_of() {
    let of = |policy: &str, direction: &str| {
        let policy = format!(r#"{{"version":1,"policies":{{"default":{policy}}}}}"#);
        with(
            &policy,
            "/static_resources/listeners/0",
            "traffic_direction",
            json!(direction),
        )
    };
    let enforce = r#"{"breaker":{"mode":"enforce"}}"#;
    warns(
        &of(enforce, "INBOUND"),
        "policies.default.breaker.inbound",
        "INBOUND",
    );
    for (policy, direction) in [
        (enforce, "OUTBOUND"),
        (
            r#"{"breaker":{"mode":"enforce","inbound":true}}"#,
            "INBOUND",
        ),
        (r#"{"breaker":{"mode":"off"}}"#, "INBOUND"),
        ("{}", "INBOUND"),
    ] {
        assert_eq!(of(policy, direction).warnings, vec![], "{policy}");
    }
}

#[test]
fn limits_that_are_longer_than_a_total_and_filters_that_do_not_run_are_warned_of() {
    let total = r#"{"version":1,"policies":{"default":{"timeout":{"total":"10s"}}}}"#;
    let action = format!("{ROUTE}/route");
    warns(
        &with(total, &action, "timeout", json!("60s")),
        "route.timeout",
        "60s does not hold",
    );
    assert_eq!(
        with(total, &action, "timeout", json!("10s")).warnings,
        vec![]
    );
    assert_eq!(
        with(total, &action, "timeout", json!("0s")).warnings,
        vec![]
    );
    let filters =
        "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let disabled = with(GOOD, &format!("{filters}/0"), "disabled", json!(true));
    warns(&disabled, "http_filters[0].disabled", "take it out");
    let mut document = bootstrap(filter(GOOD));
    let twice = document
        .pointer_mut(filters)
        .unwrap()
        .as_array_mut()
        .unwrap();
    twice.insert(0, filter(GOOD));
    let twice = findings(&document.to_string());
    warns(&twice, "http_filters[0]", "twice");
    assert_eq!(twice.warnings.len(), 1, "{twice:#?}");
}

#[test]
fn a_state_that_strangers_can_spoil_by_the_host_they_name_is_warned_of() {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let of = |policy: &str, direction: &str, rewrite: Option<&str>| {
        let mut document = bootstrap(filter(policy));
        document["static_resources"]["listeners"][0]["traffic_direction"] = json!(direction);
        document["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({options: {
            "@type": format!("type.googleapis.com/{options}"),
            "upstream_http_protocol_options": {"auto_sni": true, "auto_san_validation": true},
            "explicit_http_config": {"http_protocol_options": {}}}});
        if let Some(host) = rewrite {
            document.pointer_mut(ROUTE).unwrap()["route"]["host_rewrite_literal"] = json!(host);
        }
        findings(&document.to_string())
    };
    warns(&of(GOOD, "UNSPECIFIED", None), "clusters[0]", "auto_sni");
    let keyed = r#"{"version":1,"policies":{"default":{}},"upstreams":[{"cluster":"users","policy":"default","key":"authority"}]}"#;
    for (policy, direction, rewrite) in [
        (GOOD, "OUTBOUND", None),
        (GOOD, "UNSPECIFIED", Some("users.example")),
        (keyed, "UNSPECIFIED", None),
    ] {
        assert_eq!(
            of(policy, direction, rewrite).warnings,
            vec![],
            "{policy} {direction}"
        );
    }
}
