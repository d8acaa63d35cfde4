//! What is found in each kind of file.

mod answers;
mod bootstrap;
mod dynamic_module;
mod every_kind;
mod failover;
mod hostile;
mod idle;
mod istio;
mod kinds;
mod load;
mod manifests;
mod mesh;
mod readers;
mod refused;
mod retries;
mod silence;
mod size;
mod unread;

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

/// It is not valid, for an error there that says so.
#[track_caller]
fn is_wrong(found: &Findings, path: &str, words: &str) {
    assert_eq!(found.verdict(), Verdict::Invalid, "{path}: {found:#?}");
    let mut errors = found.errors.iter();
    assert!(
        errors.any(|error| error.path.ends_with(path) && error.problem.contains(words)),
        "{path}: {:#?}",
        found.errors
    );
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
const RELOAD: &str = ", failure_policy: FAIL_RELOAD, vm_config: {vm_id: seawall, code: {local: {filename: seawall.wasm}}}";
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
fn plain_off_and_on_are_words() {
    let text = "version: 1\npolicies:\n  default:\n    breaker: {mode: off}\n    fallback: [{on: [open], static: {}}]\n";
    assert_eq!(findings(text).errors, vec![]);
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
