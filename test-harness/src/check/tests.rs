//! What is found in each kind of file.

use super::*;

fn findings(text: &str) -> Findings {
    check(text).unwrap()
}

fn paths(findings: &[Finding]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding.path.as_str())
        .collect()
}

const POLICY: &str =
    "version: 1\npolicies:\n  default:\n    breaker: {mode: shadow, open: {for: 5s}}\n";

fn bootstrap(filters: &str) -> String {
    format!(
        r#"
static_resources:
  clusters: [{{name: users}}]
  listeners:
  - name: edge
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          http_filters: [{filters}]
"#
    )
}

fn seawall(policy: &str, more: &str) -> String {
    let policy = policy.replace('"', "\\\"");
    format!(
        r#"{{name: seawall, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,
        config: {{configuration: {{"@type": x, value: "{policy}"}}{more}}}}}}}"#
    )
}

const GOOD: &str = r#"{"version":1,"policies":{"default":{}}}"#;
const RELOAD: &str = ", failure_policy: FAIL_RELOAD, vm_config: {vm_id: seawall}";
const ROUTER: &str = "{name: envoy.filters.http.router}";

#[test]
fn a_policy_file_is_valid_or_its_path_is_named() {
    assert_eq!(findings(POLICY).errors, vec![]);
    let wrong = findings(&POLICY.replace("for:", "fro:"));
    assert_eq!(paths(&wrong.errors), ["policies.default.breaker.open.fro"]);
    assert!(check("a: 1\na: 2\n").is_err(), "a key that stands twice");
    assert!(check("{").is_err());
    assert_eq!(findings("kind: Deployment\n").errors.len(), 1);
}

#[test]
fn a_bootstrap_is_checked_where_the_filter_stands() {
    let good = bootstrap(&format!("{}, {ROUTER}", seawall(GOOD, RELOAD)));
    let found = findings(&good);
    assert_eq!((found.configurations, found.errors), (1, vec![]));
    assert_eq!(paths(&found.warnings), ["stats_config.stats_tags"]);

    let at = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters";
    let after = findings(&bootstrap(&format!("{ROUTER}, {}", seawall(GOOD, RELOAD))));
    assert_eq!(paths(&after.errors), [format!("{at}[1]")]);

    let bad = GOOD.replace("{}", r#"{"breaker":{"ramp":1}}"#);
    let bad = findings(&bootstrap(&format!("{}, {ROUTER}", seawall(&bad, RELOAD))));
    let path = format!("{at}[0].typed_config.config.configuration: policies.default.breaker.ramp");
    assert_eq!(paths(&bad.errors), [path]);

    let closed = findings(&bootstrap(&format!("{}, {ROUTER}", seawall(GOOD, ""))));
    let warned = paths(&closed.warnings);
    assert!(
        warned.iter().any(|path| path.ends_with("failure_policy")),
        "{warned:?}"
    );
    assert!(
        warned.iter().any(|path| path.ends_with("vm_config.vm_id")),
        "{warned:?}"
    );

    let typo = GOOD.replace(
        "}}}",
        r#"}},"upstreams":[{"cluster":"usres","policy":"default"}]}"#,
    );
    let typo = findings(&bootstrap(&format!("{}, {ROUTER}", seawall(&typo, RELOAD))));
    assert!(
        typo.warnings
            .iter()
            .any(|found| found.problem.contains("fits no cluster")),
        "{typo:?}"
    );
}

#[test]
fn the_router_is_known_by_its_type_and_not_by_a_name() {
    let router = "{name: last, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
    let other = "{name: my-router, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}";
    let found = findings(&bootstrap(&format!(
        "{other}, {}, {router}",
        seawall(GOOD, RELOAD)
    )));
    assert_eq!(found.errors, vec![]);
    assert_eq!(paths(&found.warnings), ["stats_config.stats_tags"]);
}

#[test]
fn one_policy_name_with_two_meanings_under_one_vm_is_found() {
    let other = GOOD.replace("{}", r#"{"breaker":{"ramp":"1s"}}"#);
    let both = |more: &str| {
        let first = seawall(GOOD, RELOAD);
        let found = findings(&bootstrap(&format!(
            "{first}, {}, {ROUTER}",
            seawall(&other, more)
        )));
        assert_eq!(found.errors, vec![]);
        let warned = found.warnings.iter();
        warned
            .filter(|found| found.problem.contains("shares its state"))
            .count()
    };
    assert_eq!(both(RELOAD), 1);
    assert_eq!(both(&RELOAD.replace("seawall", "other")), 0);
}

#[test]
fn a_key_that_stands_twice_in_a_string_value_is_found() {
    let twice = GOOD.replace("{}", r#"{"breaker":{"ramp":"1s","ramp":"2s"}}"#);
    let found = findings(&bootstrap(&format!(
        "{}, {ROUTER}",
        seawall(&twice, RELOAD)
    )));
    let first = &found.warnings[0];
    assert!(
        first.path.ends_with("typed_config.config.configuration"),
        "{first:?}"
    );
    assert_eq!(
        first.problem,
        "a key stands twice (line 1, column 60): the filter takes the last one"
    );
}

#[test]
fn plain_off_and_on_are_words() {
    let text = "version: 1\npolicies:\n  default:\n    breaker: {mode: off}\n    fallback: [{on: [open], static: {}}]\n";
    assert_eq!(findings(text).errors, vec![]);
}

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
fn the_schema_that_ships_is_the_types_own() {
    let shipped = include_str!("../../../docs/policy.schema.json");
    assert!(
        shipped.trim() == schema().trim(),
        "run: seawall check --schema > docs/policy.schema.json"
    );
    let validator = jsonschema::validator_for(&serde_json::from_str(shipped).unwrap()).unwrap();
    assert!(validator.is_valid(&parse(POLICY).unwrap()[0]));
    assert!(!validator.is_valid(&parse(&POLICY.replace("for:", "fro:")).unwrap()[0]));
}

#[test]
fn the_shipped_policies_are_valid() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/policies");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let found = findings(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(
            (found.errors, found.warnings),
            (vec![], vec![]),
            "{}",
            path.display()
        );
        count += 1;
    }
    assert!(count >= 3);
}
