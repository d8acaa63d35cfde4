//! A manifest of Istio: a WasmPlugin's `pluginConfig` is the same object as in Envoy.

use serde_json::Value;

use seawall_policy::config;

use super::{Findings, joined};

pub(super) fn check(findings: &mut Findings, at: &str, document: &Value) {
    match document["kind"].as_str() {
        Some("WasmPlugin") => plugin(findings, at, document),
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
    let path = joined(at, "spec.pluginConfig");
    match spec.get("pluginConfig") {
        Some(given) => {
            let checked = config::from_value(given).map(drop);
            findings.configuration(&path, checked);
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
