//! A manifest that puts a policy in front of real traffic in shadow: it decides and counts, and refuses nothing.

use anyhow::Context;
use serde_json::{Map, Value, json};

/// What stands above the manifest.
const HEAD: &str = "\
# Seawall in shadow: it decides and counts, and refuses nothing. What it would have refused is in the metric seawall_decisions
# (decision=shadow_refused), and what became of that in seawall_shadow_outcomes.
# Time limits and fallbacks of the policy are left out: they have no shadow.
# Before you apply it: the namespace, and where the filter is published.
";

/// Parts of a policy that have a mode, if they are there. The breaker is there in every policy.
const PARTS: [&str; 3] = ["retries", "bulkhead", "shedding"];
/// Parts that change what happens to traffic and have no mode.
const WITHOUT: [&str; 2] = ["timeout", "fallback"];

/// The manifest for Istio, with this configuration of the plugin.
pub(super) fn manifest(configuration: &[u8]) -> anyhow::Result<String> {
    let configuration = serde_json::from_slice(configuration)?;
    let plugin = json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "seawall", "namespace": "default"},
        "spec": {
            "url": "oci://registry.example.com/seawall:0.1.0",
            "pluginName": "seawall",
            "match": [{"mode": "CLIENT"}],
            "failStrategy": "FAIL_RELOAD",
            "pluginConfig": shadowed(configuration),
        },
    });
    let text = serde_saphyr::to_string(&plugin).context("writing YAML")?;
    Ok(format!("{HEAD}{text}"))
}

/// The same configuration, refusing nothing.
fn shadowed(mut configuration: Value) -> Value {
    let policies = configuration
        .get_mut("policies")
        .and_then(Value::as_object_mut);
    for policy in policies.into_iter().flat_map(Map::values_mut) {
        let Some(policy) = policy.as_object_mut() else {
            continue;
        };
        WITHOUT.iter().for_each(|part| drop(policy.remove(*part)));
        let breaker = policy.entry("breaker").or_insert_with(|| json!({}));
        shadow(breaker);
        for part in PARTS {
            policy.get_mut(part).into_iter().for_each(shadow);
        }
    }
    configuration
}

/// One part in shadow, unless it is off.
fn shadow(part: &mut Value) {
    let Some(part) = part.as_object_mut() else {
        return;
    };
    part.remove("enforce");
    if part.get("mode").is_none_or(|mode| mode != "off") {
        part.insert("mode".to_owned(), json!("shadow"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    #[test]
    fn a_manifest_is_valid_and_refuses_nothing() {
        for policies in [
            json!({"default": {}}),
            json!({"default": {
                "timeout": {"total": "5s", "per_try": "1s"},
                "breaker": {"enforce": 50, "failure_rate": 30},
                "retries": {"attempts": 3},
                "bulkhead": {"max_concurrent": 50, "mode": "off"},
                "shedding": {"limit": "adaptive"},
                "fallback": [{"static": {"status": 202}}],
            }}),
        ] {
            let given = json!({"version": 1, "policies": policies});
            let text = manifest(given.to_string().as_bytes()).unwrap();
            let findings = check::check(&text).unwrap();
            assert!(findings.errors.is_empty(), "{:?}\n{text}", findings.errors);
            let document = check::parse(&text).unwrap().remove(0);
            let policy = &document["spec"]["pluginConfig"]["policies"]["default"];
            for part in policy.as_object().unwrap().values() {
                assert!(part["mode"] == "shadow" || part["mode"] == "off", "{text}");
            }
            assert_eq!(policy["breaker"]["mode"], "shadow");
        }
    }
}
