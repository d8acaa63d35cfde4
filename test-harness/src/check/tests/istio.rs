//! What is found in Istio's manifests.

use super::*;

#[test]
fn a_wasm_plugin_is_checked_among_other_documents() {
    let plugin = |config: &str, strategy: &str| {
        format!(
            "kind: Service\n---\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: seawall}}\n\
             spec:\n  url: oci://a/seawall\n  failStrategy: {strategy}\n  match: [{{mode: CLIENT}}]\n  pluginConfig: {config}\n"
        )
    };
    let good = findings(&plugin(GOOD, "FAIL_RELOAD"));
    assert_eq!(
        (good.configurations, good.errors, good.warnings),
        (1, vec![], vec![])
    );
    let bad = findings(&plugin(
        r#"{"version":1,"policies":{"default":{"timeout":{"total":3}}}}"#,
        "FAIL_OPEN",
    ));
    assert_eq!(
        paths(&bad.errors),
        ["document 2.spec.pluginConfig: policies.default.timeout.total"]
    );
    assert_eq!(paths(&bad.warnings), ["document 2.spec.failStrategy"]);
}

#[test]
fn a_wasm_plugin_with_keys_or_values_that_istio_does_not_know_is_no_plugin() {
    let text = "kind: WasmPlugin\nmetadata: {name: seawall}\nspec: {failStrateyg: FAIL_RELOAD, phase: LAST, match: [{mode: CLIENT}], \
                pluginConfig: {version: 1, policies: {default: {}}}}\n";
    let found = findings(text);
    assert_eq!(
        paths(&found.errors),
        ["spec.failStrateyg", "spec.phase", "spec.url"]
    );
}

#[test]
fn a_wasm_plugin_that_keeps_answers_comes_after_istios_own_filters() {
    let warned = |phase: &str, rung: &str| {
        let text = format!(
            "kind: WasmPlugin\nmetadata: {{name: seawall}}\nspec: {{url: oci://a/seawall, failStrategy: FAIL_RELOAD, {phase}\
             match: [{{mode: CLIENT}}], pluginConfig: {{version: 1, policies: {{default: {{fallback: [{rung}]}}}}}}}}\n"
        );
        let found = findings(&text);
        assert_eq!(found.errors, vec![]);
        found
            .warnings
            .into_iter()
            .map(|found| found.path)
            .collect::<Vec<_>>()
    };
    for phase in ["AUTHN", "AUTHZ"] {
        let phase = format!("phase: {phase}, ");
        assert_eq!(warned(&phase, "{stale: {}}"), ["spec.phase"]);
        assert_eq!(warned(&phase, "{static: {}}"), Vec::<String>::new());
    }
    assert_eq!(warned("", "{stale: {}}"), Vec::<String>::new());
    assert_eq!(
        warned("phase: STATS, ", "{stale: {}}"),
        Vec::<String>::new()
    );
}

/// An EnvoyFilter that puts Seawall behind the router, with this in the place of its VM's id and of what comes after it.
fn envoy_filter(policy: &str, vm_id: &str, after: &str) -> String {
    format!(
        r#"
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: upstream}}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    patch:
      operation: MERGE
      value:
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          upstream_http_filters:
          - {}
          {after}
"#,
        seawall(
            policy,
            &format!(", failure_policy: FAIL_RELOAD, vm_config: {{{vm_id}}}")
        )
    )
}

const CODEC: &str = "- {name: envoy.filters.http.upstream_codec}";

#[test]
fn an_envoy_filter_that_puts_the_filter_behind_the_router_is_checked() {
    let good = findings(&envoy_filter(GOOD, "", CODEC));
    assert_eq!(
        (good.configurations, good.errors, good.warnings),
        (1, vec![], vec![])
    );
    let at = "spec.configPatches[0].patch.value.typed_config.upstream_http_filters";
    let config = format!("{at}[0].typed_config.config");
    let bad = GOOD.replace("{}", r#"{"retries":{"atempts":2}}"#);
    let bad = findings(&envoy_filter(&bad, "", CODEC));
    let path = format!("{config}.configuration: policies.default.retries.atempts");
    assert_eq!(paths(&bad.errors), [path]);
    let no_codec = findings(&envoy_filter(GOOD, "", ""));
    assert_eq!(paths(&no_codec.errors), [at]);
    let other_vm = findings(&envoy_filter(GOOD, "vm_id: seawall", CODEC));
    let path = format!("{config}.vm_config.vm_id");
    assert_eq!(paths(&other_vm.warnings), [path]);
    let open = envoy_filter(GOOD, "", CODEC).replace("FAIL_RELOAD", "FAIL_OPEN");
    let path = format!("{config}.failure_policy");
    assert_eq!(paths(&findings(&open).warnings), [path]);
}

#[test]
fn an_envoy_filter_cannot_raise_what_istio_has_set() {
    let cluster = "  - applyTo: CLUSTER\n    patch: {operation: MERGE, value: {circuit_breakers: {thresholds: \
                   [{max_retries: 1000}]}}}\n";
    let found = findings(&format!("{}{cluster}", envoy_filter(GOOD, "", CODEC)));
    let path = "spec.configPatches[1].patch.value.circuit_breakers.thresholds";
    assert_eq!((found.errors, paths(&found.warnings)), (vec![], vec![path]));
}

#[test]
fn an_envoy_filter_without_the_filter_is_none_of_ours() {
    let text = "kind: EnvoyFilter\nspec: {configPatches: [{applyTo: BOOTSTRAP, patch: {value: {stats_config: {}}}}]}\n";
    let found = findings(text);
    assert_eq!((found.configurations, found.errors.len()), (0, 1));
}
