//! A manifest of Istio: a WasmPlugin's `pluginConfig` is the same object as in Envoy; an EnvoyFilter holds Envoy's own.

mod envoyfilter;

use serde_json::Value;

use seawall_policy::config;
use seawall_policy::route::Routing;

use super::bootstrap::callers::keeping;
use super::{Findings, joined};

/// The keys of a WasmPlugin's `spec` (extensions.istio.io/v1alpha1); the API server drops others without a word.
const KEYS: [&str; 16] = [
    "failStrategy",
    "imagePullPolicy",
    "imagePullSecret",
    "match",
    "phase",
    "pluginConfig",
    "pluginName",
    "priority",
    "selector",
    "sha256",
    "targetRef",
    "targetRefs",
    "type",
    "url",
    "verificationKey",
    "vmConfig",
];
/// Values of a key that takes no others.
const VALUES: [(&str, &[&str]); 2] = [
    ("failStrategy", &["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]),
    ("phase", &["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]),
];

pub(super) fn check(findings: &mut Findings, at: &str, document: &Value) {
    match document["kind"].as_str() {
        Some("WasmPlugin") => plugin(findings, at, document),
        Some("EnvoyFilter") => envoyfilter::check(findings, at, document),
        Some("List") => {
            for (index, item) in document["items"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                check(findings, &joined(at, &format!("items[{index}]")), item);
            }
        }
        _ => {}
    }
}

fn plugin(findings: &mut Findings, at: &str, document: &Value) {
    let name = document
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let spec = &document["spec"];
    let text = |key: &str| spec[key].as_str().unwrap_or_default();
    if !name.contains("seawall")
        && !text("url").contains("seawall")
        && !text("pluginName").contains("seawall")
    {
        return;
    }
    shape(findings, at, spec);
    let path = joined(at, "spec.pluginConfig");
    match spec.get("pluginConfig") {
        Some(given) => {
            if let Some(routing) = findings.configuration(&path, config::from_value(given)) {
                before_callers_are_known(findings, at, text("phase"), &routing);
            }
        }
        None => {
            findings.configurations += 1;
            findings.error(&path, "missing: write Seawall's configuration there");
        }
    }
    if text("failStrategy") != "FAIL_RELOAD" {
        let problem = "is not FAIL_RELOAD: after a trap every request would get 503 (FAIL_CLOSE) or pass by the filter \
                       (FAIL_OPEN) until the pod starts again";
        findings.warning(&joined(at, "spec.failStrategy"), problem);
    }
    let modes: Vec<&str> = spec["match"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["mode"].as_str())
        .collect();
    if !modes.contains(&"CLIENT") {
        let problem = "has no mode CLIENT: the filter belongs on a sidecar's outbound side, where calls are made";
        findings.warning(&joined(at, "spec.match"), problem);
    }
}

/// A plugin that keeps answers, in a phase that comes before Istio knows who asks, or whether they may.
fn before_callers_are_known(findings: &mut Findings, at: &str, phase: &str, routing: &Routing) {
    let Some(policy) = keeping(routing) else {
        return;
    };
    if ["AUTHN", "AUTHZ"].contains(&phase) {
        let problem = format!(
            "policies.{policy} has a stale rung, and in this phase the filter stands before Istio's own: whom they \
             would not let in could be given a kept answer; leave the phase out"
        );
        findings.warning(&joined(at, "spec.phase"), problem);
    }
}

/// Keys and values that Istio's definition does not know.
fn shape(findings: &mut Findings, at: &str, spec: &Value) {
    let keys = spec.as_object().into_iter().flat_map(|spec| spec.keys());
    for key in keys.filter(|key| !KEYS.contains(&key.as_str())) {
        let problem = format!("a WasmPlugin has no such key; it has {}", KEYS.join(", "));
        findings.error(&joined(at, &format!("spec.{key}")), problem);
    }
    for (key, known) in VALUES {
        let unknown = spec[key].as_str().filter(|value| !known.contains(value));
        if let Some(value) = unknown {
            let problem = format!("\"{value}\" is none of {}", known.join(", "));
            findings.error(&joined(at, &format!("spec.{key}")), problem);
        }
    }
    if spec["url"].as_str().unwrap_or_default().is_empty() {
        findings.error(
            &joined(at, "spec.url"),
            "missing: where the filter is published",
        );
    }
}
