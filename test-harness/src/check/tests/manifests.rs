//! What Istio and Envoy Gateway would not take, or would do without: words, keys, and the filter where nobody reads it.

use serde_json::json;

use super::kinds::filter;
use super::*;

fn patch(patch: Value) -> Findings {
    let document = json!({"kind": "EnvoyFilter", "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"configPatches": [patch]}});
    findings(&document.to_string())
}

#[test]
fn an_envoy_filter_that_puts_the_filter_nowhere_is_wrong() {
    let of = |target: &str, operation: &str| {
        patch(json!({"applyTo": target, "patch": {"operation": operation, "value": filter(GOOD)}}))
    };
    is_wrong(
        &of("HTTP_FITLER", "INSERT_BEFORE"),
        "applyTo",
        "did you mean HTTP_FILTER?",
    );
    is_wrong(
        &of("HTTP_FILTER", "INSERT_BEFOR"),
        "patch.operation",
        "did you mean INSERT_BEFORE?",
    );
    is_wrong(
        &of("HTTP_FILTER", "REMOVE"),
        "patch.operation",
        "puts nothing in",
    );
    assert_eq!(of("HTTP_FILTER", "INSERT_BEFORE").verdict(), Verdict::Valid);
    let slip = json!({"applyTo": "HTTP_FILTER", "ptach": {"operation": "INSERT_BEFORE", "value": filter(GOOD)}});
    is_wrong(
        &patch(slip),
        "configPatches[0].ptach",
        "did you mean \"patch\"?",
    );
    let value = json!({"operation": "INSERT_BEFORE", "vlaue": filter(GOOD)});
    is_wrong(
        &patch(json!({"applyTo": "HTTP_FILTER", "patch": value})),
        "patch.vlaue",
        "\"value\"",
    );
    let text = json!({"operation": "INSERT_BEFORE", "value": filter(GOOD).to_string()});
    is_wrong(
        &patch(json!({"applyTo": "HTTP_FILTER", "patch": text})),
        "patch.value",
        "no object",
    );
    let mut misspelt = filter(GOOD);
    misspelt["typed_config"]["config"]["vm_config"]["vmid"] = json!("a");
    misspelt["typed_config"]["config"]["vm_config"]
        .as_object_mut()
        .unwrap()
        .remove("vm_id");
    let value = json!({"operation": "INSERT_BEFORE", "value": misspelt});
    is_wrong(
        &patch(json!({"applyTo": "HTTP_FILTER", "patch": value})),
        "vm_config.vmid",
        "\"vm_id\"",
    );
}

#[test]
fn an_envoy_patch_policy_that_puts_the_filter_nowhere_is_wrong() {
    for (operation, right) in [
        ("add", true),
        ("replace", true),
        ("ad", false),
        ("remove", false),
        ("test", false),
    ] {
        let document = json!({"kind": "EnvoyPatchPolicy", "metadata": {"name": "a"}, "spec": {"jsonPatches": [
            {"operation": {"op": operation, "path": "/http_filters/0", "value": filter(GOOD)}}]}});
        let found = findings(&document.to_string());
        match right {
            true => assert_eq!(found.verdict(), Verdict::Valid, "{operation}: {found:#?}"),
            false => is_wrong(&found, "operation.op", operation),
        }
    }
}

const PLUGIN: &str = "kind: WasmPlugin\nmetadata: {name: seawall, namespace: shop}\nspec: {url: a, failStrategy: FAIL_RELOAD, \
                      pluginConfig: {version: 1, policies: {default: {retries: {}, timeout: {total: 10s}}}}}\n---\n";

fn beside(kind: &str, spec: Value) -> Findings {
    let other = json!({"kind": kind, "metadata": {"name": "a", "namespace": "shop"}, "spec": spec});
    findings(&format!("{PLUGIN}{other}\n"))
}

#[test]
fn misspelt_keys_of_the_rules_beside_the_filter_are_wrong() {
    let pool = |key: &str| json!({"connectionPool": {"http": {key: 3}}});
    for (kind, spec, path, right) in [
        (
            "DestinationRule",
            json!({"host": "b", "trafficPolicy": pool("maxRetrys")}),
            "http.maxRetrys",
            "maxRetries",
        ),
        (
            "DestinationRule",
            json!({"host": "b", "subsets": [{"name": "c", "trafficPolicy": pool("maxretries")}]}),
            "subsets[0].trafficPolicy.connectionPool.http.maxretries",
            "maxRetries",
        ),
        (
            "DestinationRule",
            json!({"host": "b", "trafficPolcy": pool("maxRetries")}),
            "spec.trafficPolcy",
            "trafficPolicy",
        ),
        (
            "VirtualService",
            json!({"http": [{"timeOut": "2s", "route": []}]}),
            "http[0].timeOut",
            "timeout",
        ),
        (
            "VirtualService",
            json!({"http": [{"retrys": {}, "route": []}]}),
            "http[0].retrys",
            "retries",
        ),
        (
            "VirtualService",
            json!({"http": [{"retries": {"attempt": 3}, "route": []}]}),
            "retries.attempt",
            "attempts",
        ),
    ] {
        is_wrong(
            &beside(kind, spec),
            path,
            &format!("did you mean \"{right}\"?"),
        );
    }
}

#[test]
fn limits_of_istios_routes_beside_a_total_are_warned_of() {
    let merged = json!({"configPatches": [{"applyTo": "HTTP_ROUTE", "patch": {"operation": "MERGE", "value": {"route": {"timeout": "2s"}}}}]});
    let service = |limit: &str| json!({"hosts": ["b"], "http": [{"timeout": limit, "route": [{"destination": {"host": "b"}}]}]});
    for (kind, spec, path, words) in [
        (
            "EnvoyFilter",
            merged,
            "value.route.timeout",
            "2s does not hold",
        ),
        (
            "VirtualService",
            service("2s"),
            "http[0].timeout",
            "2s does not hold",
        ),
        (
            "VirtualService",
            service("1m"),
            "http[0].timeout",
            "60s does not hold",
        ),
    ] {
        let found = beside(kind, spec);
        assert_eq!(found.errors, vec![]);
        let mut warnings = found.warnings.iter();
        assert!(
            warnings.any(|found| found.path.ends_with(path) && found.problem.contains(words)),
            "{:#?}",
            found.warnings
        );
    }
}
