//! A WasmPlugin, or the TrafficExtension that comes after it: the same keys, one level deeper.

use serde_json::Value;

use seawall_policy::route::Routing;

use crate::check::bootstrap::callers::keeping;
use crate::check::manifest::{Seat, namespace};
use crate::check::{Findings, joined, list, read, text};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `extensions.istio.io/v1alpha1`, `kind: WasmPlugin`.
    WasmPlugin,
    /// `extensions.istio.io/v1alpha1`, `kind: TrafficExtension`.
    TrafficExtension,
}

/// Keys of what says how the filter is fetched and run; the API server drops others without a word.
const WASM: [&str; 10] = [
    "failStrategy",
    "imagePullPolicy",
    "imagePullSecret",
    "pluginConfig",
    "pluginName",
    "sha256",
    "type",
    "url",
    "verificationKey",
    "vmConfig",
];
/// Keys of what says where it stands.
const STANDS: [&str; 5] = ["match", "phase", "priority", "selector", "targetRefs"];
const STRATEGIES: [&str; 3] = ["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"];
const MODES: [&str; 4] = ["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::WasmPlugin => "WasmPlugin",
            Self::TrafficExtension => "TrafficExtension",
        }
    }

    /// Where the keys of the filter stand.
    fn wasm(self) -> &'static str {
        match self {
            Self::WasmPlugin => "spec",
            Self::TrafficExtension => "spec.wasm",
        }
    }

    fn phases(self) -> [&'static str; 4] {
        let none = match self {
            Self::WasmPlugin => "UNSPECIFIED_PHASE",
            Self::TrafficExtension => "UNSPECIFIED",
        };
        [none, "AUTHN", "AUTHZ", "STATS"]
    }

    fn keys(self) -> Vec<&'static str> {
        let mut keys = STANDS.to_vec();
        match self {
            Self::WasmPlugin => {
                keys.extend(WASM);
                keys.push("targetRef");
            }
            Self::TrafficExtension => keys.extend(["lua", "wasm"]),
        }
        keys.sort_unstable();
        keys
    }
}

pub(super) fn check(
    findings: &mut Findings,
    at: &str,
    document: &Value,
    kind: Kind,
    seats: &mut Vec<Seat>,
) {
    let spec = &document["spec"];
    let wasm = match kind {
        Kind::WasmPlugin => spec,
        Kind::TrafficExtension => &spec["wasm"],
    };
    let names = [
        text(document, "/metadata/name"),
        text(wasm, "/url"),
        text(wasm, "/pluginName"),
    ];
    let is_ours = names.iter().any(|name| name.contains("seawall"));
    if !is_ours && wasm.pointer("/pluginConfig/policies").is_none() {
        return;
    }
    if spec.get("lua").is_some() {
        return findings.unread(&joined(at, "spec.lua"), "is a script, not Seawall");
    }
    let under = |key: &str| joined(at, &format!("{}.{key}", kind.wasm()));
    shape(findings, at, kind, spec, wasm);
    let path = under("pluginConfig");
    match wasm.get("pluginConfig") {
        Some(given) => {
            let read = seawall_config::check_value(given);
            if let Some(routing) = findings.configuration(&path, read, read::is_template(given)) {
                before_callers_are_known(findings, at, text(spec, "/phase"), &routing);
                seats.push(Seat {
                    namespace: namespace(document).to_owned(),
                    routing,
                });
            }
        }
        None => {
            findings.configurations += 1;
            findings.error(&path, "missing: write Seawall's configuration there");
        }
    }
    if text(wasm, "/failStrategy") != "FAIL_RELOAD" {
        let problem = "is not FAIL_RELOAD: after a trap every request would get 503 (FAIL_CLOSE) or pass by the filter \
                       (FAIL_OPEN) until the pod starts again";
        findings.warning(&under("failStrategy"), problem);
    }
    if text(wasm, "/type") == "NETWORK" {
        findings.error(&under("type"), "Seawall is an HTTP filter: leave it out");
    }
    sides(findings, at, &spec["match"]);
}

/// Where nothing is said, a plugin stands on both sides.
fn sides(findings: &mut Findings, at: &str, given: &Value) {
    let entries = list(given);
    let is_client = |entry: &Value| {
        matches!(
            text(entry, "/mode"),
            "" | "UNDEFINED" | "CLIENT" | "CLIENT_AND_SERVER"
        )
    };
    if !entries.is_empty() && !entries.iter().any(is_client) {
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
fn shape(findings: &mut Findings, at: &str, kind: Kind, spec: &Value, wasm: &Value) {
    keys(findings, &joined(at, "spec"), kind, spec, &kind.keys());
    let wasm_path = joined(at, kind.wasm());
    if kind == Kind::TrafficExtension {
        keys(findings, &wasm_path, kind, wasm, &WASM);
    }
    word(findings, &wasm_path, wasm, "failStrategy", &STRATEGIES);
    word(findings, &joined(at, "spec"), spec, "phase", &kind.phases());
    match &spec["match"] {
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                let path = joined(at, &format!("spec.match[{index}]"));
                word(findings, &path, entry, "mode", &MODES);
            }
        }
        Value::Null => {}
        _ => findings.error(&joined(at, "spec.match"), "is no list"),
    }
    if text(wasm, "/url").is_empty() {
        findings.error(
            &joined(&wasm_path, "url"),
            "missing: where the filter is published",
        );
    }
}

fn keys(findings: &mut Findings, at: &str, kind: Kind, given: &Value, known: &[&str]) {
    let keys = given.as_object().into_iter().flat_map(|given| given.keys());
    for key in keys.filter(|key| !known.contains(&key.as_str())) {
        let problem = format!(
            "a {} has no such key; it has {}",
            kind.name(),
            known.join(", ")
        );
        findings.error(&joined(at, key), problem);
    }
}

/// A key that takes some words alone.
fn word(findings: &mut Findings, at: &str, given: &Value, key: &str, known: &[&str]) {
    match &given[key] {
        Value::Null => {}
        Value::String(value) if known.contains(&value.as_str()) => {}
        other => {
            let problem = format!("{other} is none of {}", known.join(", "));
            findings.error(&joined(at, key), problem);
        }
    }
}
