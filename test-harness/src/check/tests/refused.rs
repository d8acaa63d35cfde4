//! What Envoy refuses is not valid here, wherever around the filter it stands. A real Envoy says the same of such files
//! (`live/tests/e2e/check.rs`).

use serde_json::json;

use super::kinds::{bootstrap, filter};
use super::*;

const LISTENER: &str = "/static_resources/listeners/0";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
const PLUGIN: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
const ROUTE: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0";

/// Puts something into an object of a bootstrap that is valid.
fn with(pointer: &str, key: &str, value: Value) -> Findings {
    let mut document = bootstrap(filter(GOOD));
    document.pointer_mut(pointer).unwrap()[key] = value;
    findings(&document.to_string())
}

/// Gives a key another name.
fn renamed(pointer: &str, key: &str, other: &str) -> Findings {
    let mut document = bootstrap(filter(GOOD));
    let map = document
        .pointer_mut(pointer)
        .unwrap()
        .as_object_mut()
        .unwrap();
    let value = map.remove(key).unwrap_or_else(|| json!({}));
    map.insert(other.to_owned(), value);
    findings(&document.to_string())
}

#[test]
fn a_misspelt_key_anywhere_around_the_filter_is_named_with_the_right_one() {
    let thresholds = json!({"max_retrys": 1000});
    for (pointer, key, slip) in [
        ("", "static_resources", "static_resource"),
        ("/static_resources", "listeners", "listener"),
        (LISTENER, "filter_chains", "filter_chain"),
        (LISTENER, "traffic_direction", "trafic_direction"),
        (MANAGER, "request_timeout", "request_timeuot"),
        (PLUGIN, "failure_policy", "failurepolicy"),
        (PLUGIN, "root_id", "rootid"),
        (&format!("{PLUGIN}/vm_config"), "vm_id", "vmid"),
        (&format!("{PLUGIN}/vm_config/code"), "local", "locl"),
        (ROUTE, "route", "ruote"),
        (&format!("{ROUTE}/route"), "retry_policy", "retry_polcy"),
        (&format!("{ROUTE}/route"), "timeout", "timeuot"),
        (
            "/static_resources/clusters/0",
            "circuit_breakers",
            "circuit_breaker",
        ),
    ] {
        let found = renamed(pointer, key, slip);
        is_wrong(&found, slip, &format!("did you mean \"{key}\"?"));
    }
    let found = with(
        "/static_resources/clusters/0",
        "circuit_breakers",
        json!({"thresholds": [thresholds]}),
    );
    is_wrong(
        &found,
        "thresholds[0].max_retrys",
        "did you mean \"max_retries\"?",
    );
}

#[test]
fn a_key_that_is_near_no_other_may_be_a_later_envoys_and_is_not_read() {
    for (pointer, key) in [
        ("", "something_new"),
        (MANAGER, "something_new"),
        (PLUGIN, "something_new"),
        (ROUTE, "something_new"),
    ] {
        let found = with(pointer, key, json!({"version": 1, "policies": {}}));
        assert_eq!(found.verdict(), Verdict::Incomplete, "{found:#?}");
        assert!(found.unread[0].path.ends_with(key), "{found:#?}");
    }
    // What Envoy says itself it has taken.
    let mut document = bootstrap(filter(GOOD));
    document["something_new"] = json!(1);
    let dump = json!({"configs": [{"bootstrap": document}]});
    assert_eq!(findings(&dump.to_string()).verdict(), Verdict::Valid);
}

#[test]
fn words_and_lengths_of_time_are_envoys() {
    let action = format!("{ROUTE}/route");
    for (pointer, key, value, words) in [
        (
            PLUGIN,
            "failure_policy",
            json!("FAIL_RELAOD"),
            "did you mean FAIL_RELOAD?",
        ),
        (
            LISTENER,
            "traffic_direction",
            json!("OUTBOUD"),
            "did you mean OUTBOUND?",
        ),
        (&action, "timeout", json!(2), "\"2s\""),
        (&action, "timeout", json!("2"), "\"2s\""),
        (&action, "timeout", json!("2000ms"), "\"2s\""),
        (&action, "timeout", json!("1m"), "\"60s\""),
        (&action, "max_grpc_timeout", json!("never"), "in seconds"),
        (MANAGER, "request_timeout", json!(60), "\"60s\""),
        (PLUGIN, "vm_config", json!("seawall"), "an object"),
    ] {
        is_wrong(&with(pointer, key, value), key, words);
    }
    for (pointer, key, value) in [
        (&*action, "timeout", json!("2s")),
        (&action, "timeout", json!("0.25s")),
        (&action, "timeout", json!({"seconds": 2})),
        (LISTENER, "traffic_direction", json!(2)),
        (PLUGIN, "failure_policy", json!(1)),
    ] {
        let found = with(pointer, key, value);
        assert_eq!(found.verdict(), Verdict::Valid, "{found:#?}");
        assert_eq!(paths(&found.warnings), Vec::<&str>::new(), "{key}");
    }
    let template = with(&action, "timeout", json!("${TIMEOUT}"));
    assert_eq!(template.verdict(), Verdict::Incomplete, "{template:#?}");
}

#[test]
fn a_configuration_has_the_form_that_its_type_says() {
    let kind = |name: &str| format!("type.googleapis.com/google.protobuf.{name}");
    for (name, value, words) in [
        ("StringValue", parsed(), "a text"),
        ("Struct", json!(GOOD), "an object"),
        ("StringValue", json!(3), "a text"),
    ] {
        let found = with(
            PLUGIN,
            "configuration",
            json!({"@type": kind(name), "value": value}),
        );
        is_wrong(&found, "configuration.value", words);
    }
    let found = with(
        PLUGIN,
        "configuration",
        json!({"@type": kind("Struct"), "value": parsed()}),
    );
    assert_eq!(found.verdict(), Verdict::Valid, "{found:#?}");
}

fn parsed() -> Value {
    serde_json::from_str(GOOD).unwrap()
}

#[test]
fn a_plugin_that_envoy_does_not_start_is_named() {
    let vm = format!("{PLUGIN}/vm_config");
    is_wrong(
        &with(PLUGIN, "fail_open", json!(true)),
        "fail_open",
        "leave fail_open out",
    );
    is_wrong(&with(&vm, "code", json!({})), "vm_config.code", "missing");
    is_wrong(&with(&vm, "code", Value::Null), "vm_config.code", "missing");
    is_wrong(
        &with(&vm, "runtime", json!("envoy.wasm.runtime.v9")),
        "runtime",
        "runtime.v8",
    );
    let other = with(&vm, "runtime", json!("envoy.wasm.runtime.wamr"));
    assert_eq!(other.verdict(), Verdict::Incomplete, "{other:#?}");
    let known = with(&vm, "runtime", json!("envoy.wasm.runtime.v8"));
    assert_eq!(known.verdict(), Verdict::Valid, "{known:#?}");
    let mut document = bootstrap(filter(GOOD));
    let filters = document.pointer_mut(MANAGER).unwrap()["http_filters"].as_array_mut();
    filters.unwrap().pop();
    is_wrong(
        &findings(&document.to_string()),
        "http_filters[0]",
        "no router",
    );
}

#[test]
fn a_number_with_its_message_written_out_is_a_number() {
    let retries = r#"{"version":1,"policies":{"default":{"retries":{}}}}"#;
    for (limit, warned) in [
        (json!({"value": 1000}), false),
        (json!({"value": 7}), true),
        (json!("1000"), false),
    ] {
        let mut document = bootstrap(filter(retries));
        document["static_resources"]["clusters"][0]["circuit_breakers"] =
            json!({"thresholds": [{"max_retries": limit}]});
        let found = findings(&document.to_string());
        let is = found
            .warnings
            .iter()
            .any(|found| found.path.ends_with("thresholds"));
        assert_eq!((is, found.errors.len()), (warned, 0), "{found:#?}");
    }
}
