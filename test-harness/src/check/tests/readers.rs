//! How texts are read: as Envoy reads them, and with words that are not meant for programmers where they cannot be.

use super::*;

/// A bootstrap in YAML, with a configuration as it stands.
fn yaml(policy: &str) -> Findings {
    let configuration = format!(
        r#"{{name: seawall, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,
        config: {{configuration: {{"@type": type.googleapis.com/google.protobuf.Struct,
        value: {{version: 1, policies: {policy}}}}}{RELOAD}}}}}}}"#
    );
    findings(&bootstrap(&format!("{configuration}, {ROUTER}")))
}

#[test]
fn a_struct_in_yaml_is_judged_as_envoy_reads_it() {
    for (policy, right) in [
        ("{default: {breaker: {consecutive: 10}}}", true),
        ("{default: {breaker: {failure_rate: 12.5}}}", true),
        ("{default: {breaker: {consecutive: 0x14}}}", true),
        ("{default: {breaker: {consecutive: 08}}}", false),
        ("{default: {breaker: {consecutive: 0o12}}}", false),
        ("{default: {breaker: {consecutive: 1_0}}}", false),
        ("{default: {breaker: {consecutive: 1e1}}}", false),
        ("{default: &a {scope: route}, b: *a}", true),
        ("{default: &a {scope: route}, b: {<<: *a}}", false),
    ] {
        let found = yaml(policy);
        assert_eq!(found.errors.is_empty(), right, "{policy}: {found:#?}");
        // A resource of Kubernetes and a policy file are read by others.
        let file = check(&format!("version: 1\npolicies: {policy}\n")).unwrap();
        assert_eq!(file.errors, vec![], "{policy}");
    }
}

#[test]
fn no_words_of_a_library_are_told() {
    let mut bomb = "a0: &a0 [seawall, seawall, seawall]\n".to_owned();
    for level in 1..40 {
        let before = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let deep = "[".repeat(300);
    for (text, words) in [
        (
            "policies: {default: {}}\npolicies: {}\n",
            "a key may stand only once",
        ),
        ("a: .inf\n", "is no number of JSON's"),
        (&bomb, "more than a million values by aliases"),
        (&deep, "levels"),
    ] {
        let said = check(text).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        for word in [
            "Options",
            "budget breached",
            "RecordedAnchor",
            "policy",
            "recursion",
        ] {
            assert!(
                !said.contains(word) || text.contains(word),
                "{word}: {said}"
            );
        }
    }
    let ident = findings(&bootstrap(&format!(
        "{}, {ROUTER}",
        seawall(r#"{"version": nope}"#, RELOAD)
    )));
    let said = &ident.errors[0].problem;
    assert!(
        said.contains("expected a value") && !said.contains("ident"),
        "{said}"
    );
    let nameless = findings("version: 1\npolicies: {default: {}}\nupstreams: [{cluster: a}]\n");
    assert_eq!(paths(&nameless.errors), ["upstreams[0].policy"]);
    assert!(
        nameless.errors[0].problem.starts_with("missing"),
        "{nameless:?}"
    );
    let short = findings("version: 1\npolicies: {default: {timeout: {total: 0s}}}\n");
    assert_eq!(paths(&short.errors), ["policies.default.timeout.total"]);
}
