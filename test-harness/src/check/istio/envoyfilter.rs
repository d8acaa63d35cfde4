//! An EnvoyFilter: the way to the router's upstream filters in Istio, where a WasmPlugin does not reach.

use serde_json::Value;

use crate::check::bootstrap::place::{List, Place, place};
use crate::check::bootstrap::{self, position};
use crate::check::{Findings, joined};

pub(super) fn check(findings: &mut Findings, at: &str, document: &Value) {
    let patches = document.pointer("/spec/configPatches");
    let patches = patches.and_then(Value::as_array).into_iter().flatten();
    for (index, patch) in patches.enumerate() {
        let at = joined(at, &format!("spec.configPatches[{index}]"));
        let (path, value) = (joined(&at, "patch.value"), &patch["patch"]["value"]);
        walk(findings, &path, value);
        let merges = patch.pointer("/patch/operation").and_then(Value::as_str) == Some("MERGE");
        let thresholds = value.pointer("/circuit_breakers/thresholds");
        if patch["applyTo"].as_str() == Some("CLUSTER") && merges && thresholds.is_some() {
            let problem = "has no effect: Istio appends it to the thresholds of its own, of which Envoy takes the first; \
                           those let 4294967295 retries through, unless a DestinationRule sets \
                           connectionPool.http.maxRetries";
            findings.warning(&joined(&path, "circuit_breakers.thresholds"), problem);
        }
    }
}

/// Every Seawall in a patch, wherever it is put.
fn walk(findings: &mut Findings, at: &str, value: &Value) {
    if let Some(place) = place(at, value) {
        plugin(findings, &place);
        return;
    }
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = joined(at, key);
                if key == "upstream_http_filters" {
                    position::codec(findings, &List::of(&path, inner));
                }
                walk(findings, &path, inner);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                walk(findings, &format!("{at}[{index}]"), inner);
            }
        }
        _ => {}
    }
}

fn plugin(findings: &mut Findings, place: &Place<'_>) {
    let path = place.config_path();
    bootstrap::configuration(findings, &path, place.config());
    bootstrap::failure_policy(findings, place);
    if !place.vm_id().is_empty() {
        let problem = "must be empty, as Istio leaves it for a WasmPlugin: under another id it shares no state with that \
                       one, so that retries are paid from an account into which nothing is paid";
        findings.warning(&joined(&path, "vm_config.vm_id"), problem);
    }
}
