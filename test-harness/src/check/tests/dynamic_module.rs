//! Seawall's second body: what is found where the filter is a dynamic module.

use super::*;

const MODULE: &str =
    ", dynamic_module_config: {name: seawall, do_not_close: true, metrics_namespace: seawall}";
const NAMES: &str = "layered_runtime: {layers: [{name: a, static_layer: {envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix: true}}]}\n";
const AT: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config";

fn module(policy: &str, more: &str) -> String {
    let policy = policy.replace('"', "\\\"");
    format!(
        r#"{{name: seawall, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter,
        filter_name: seawall-down, filter_config: {{"@type": type.googleapis.com/google.protobuf.StringValue, value: "{policy}"}}{more}}}}}"#
    )
}

fn found(filter: &str) -> Findings {
    findings(&format!(
        "{NAMES}{}",
        bootstrap(&format!("{filter}, {ROUTER}"))
    ))
}

#[test]
fn a_dynamic_module_is_checked_as_the_other_body() {
    let good = found(&module(GOOD, MODULE));
    assert_eq!(
        (good.configurations, good.errors, good.warnings),
        (1, vec![], vec![])
    );
    let bad = GOOD.replace("{}", r#"{"breaker":{"ramp":1}}"#);
    let path = format!("{AT}.filter_config: policies.default.breaker.ramp");
    assert_eq!(paths(&found(&module(&bad, MODULE)).errors), [path]);
}

#[test]
fn what_a_dynamic_module_must_say_is_asked_for() {
    let row = |more: &str| found(&module(GOOD, more));
    let is = |found: &[Finding], key: &str| paths(found) == [format!("{AT}.{key}")];
    assert!(is(&row("").errors, "dynamic_module_config.name"));
    for (key, less) in [
        ("do_not_close", "do_not_close: true, "),
        ("metrics_namespace", ", metrics_namespace: seawall"),
    ] {
        let found = row(&MODULE.replace(less, ""));
        assert!(
            is(&found.warnings, &format!("dynamic_module_config.{key}")),
            "{found:?}"
        );
    }
    let terminal = row(&format!("{MODULE}, terminal_filter: true"));
    assert!(is(&terminal.errors, "terminal_filter"), "{terminal:?}");
    let unnamed = findings(&bootstrap(&format!("{}, {ROUTER}", module(GOOD, MODULE))));
    assert_eq!(paths(&unnamed.warnings), ["layered_runtime"]);
}

#[test]
fn two_bodies_on_one_way_share_no_state() {
    let router = |behind: &str| {
        let kind = "type.googleapis.com/envoy.extensions.filters.http";
        format!(
            "{{name: router, typed_config: {{\"@type\": {kind}.router.v3.Router, upstream_http_filters: [{behind}, {{name: codec, typed_config: {{\"@type\": {kind}.upstream_codec.v3.UpstreamCodec}}}}]}}}}"
        )
    };
    let one = module(GOOD, MODULE);
    let with = |behind: &str| {
        let text = bootstrap(&format!("{one}, {}", router(behind)));
        findings(&format!("{NAMES}{text}"))
    };
    assert_eq!(with(&one).warnings, vec![]);
    let both = with(&seawall(GOOD, RELOAD));
    let problems: Vec<_> = both.warnings.iter().map(|found| &found.problem).collect();
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("another body")),
        "{problems:?}"
    );
}

#[test]
fn envoy_gateways_policy_may_name_a_dynamic_module() {
    let policy = |config: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {{name: edge}}\nspec:\n  dynamicModule:\n  - {{name: seawall, filterName: seawall-down, config: {config}}}\n"
        )
    };
    let good = findings(&policy("{version: 1, policies: {default: {}}}"));
    assert_eq!(
        (good.configurations, good.errors, good.warnings),
        (1, vec![], vec![])
    );
    let bad = findings(&policy("{version: 1, policies: {default: {breakr: {}}}}"));
    assert_eq!(
        paths(&bad.errors),
        ["spec.dynamicModule[0].config: policies.default.breakr"]
    );
}
