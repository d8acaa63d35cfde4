//! What a Wasm filter says beside its configuration: what follows a trap, which VM it shares, what it runs.

use serde_json::Value;

use super::filter::Filter;
use super::shape::near;
use super::{Findings, joined, text};

/// The runtime that Envoy's releases have.
const V8: &str = "envoy.wasm.runtime.v8";
/// Runtimes that an Envoy may have been built with.
const OTHERS: [&str; 3] = [
    "envoy.wasm.runtime.null",
    "envoy.wasm.runtime.wamr",
    "envoy.wasm.runtime.wasmtime",
];

/// What any filter says.
pub(super) fn check(findings: &mut Findings, place: &Filter<'_>) {
    failure_policy(findings, place);
}

/// What a filter says that is whole as it stands, so that what it does not say is missing.
pub(super) fn whole(findings: &mut Findings, place: &Filter<'_>) {
    let vm = joined(&place.config_path(), "vm_config");
    let is_nothing = |code: &&Value| code.as_object().is_some_and(serde_json::Map::is_empty);
    let code = place.config().pointer("/vm_config/code");
    if code.filter(|code| !is_nothing(code)).is_none() {
        let problem = "missing, so that Envoy does not start: say where the filter lies, such as \
                       {local: {filename: /etc/envoy/seawall.wasm}}";
        findings.error(&joined(&vm, "code"), problem);
    }
    let path = joined(&vm, "runtime");
    match text(place.config(), "/vm_config/runtime") {
        "" | V8 => {}
        other if OTHERS.contains(&other) => {
            let problem =
                format!("{other}: Envoy's releases have {V8} alone, and Seawall is made for that");
            findings.unread(&path, problem);
        }
        other => {
            let problem = format!("there is no runtime \"{other}\": write {V8}");
            findings.error(&path, problem);
        }
    }
}

fn failure_policy(findings: &mut Findings, place: &Filter<'_>) {
    const WORDS: [&str; 4] = ["UNSPECIFIED", "FAIL_RELOAD", "FAIL_CLOSED", "FAIL_OPEN"];
    let config = place.config();
    let opens = config["fail_open"].as_bool() == Some(true);
    let given = config.get("failure_policy");
    let word = match given {
        Some(Value::String(word)) => word.as_str(),
        Some(Value::Number(number)) => {
            let number = number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            number
                .and_then(|number| WORDS.get(number))
                .copied()
                .unwrap_or_default()
        }
        _ => "UNSPECIFIED",
    };
    let path = place.config_path();
    if opens && word != "UNSPECIFIED" {
        let problem = "stands beside failure_policy, which Envoy refuses: leave fail_open out";
        findings.error(&joined(&path, "fail_open"), problem);
    }
    let consequence = match word {
        "FAIL_RELOAD" => return,
        // Another word is no word of Envoy's, and told as such.
        word if near(word, &WORDS).is_some() && !WORDS.contains(&word) => return,
        "FAIL_OPEN" => "after a trap the filter would be passed by for good",
        _ if opens => "with fail_open the filter would be passed by for good after a trap",
        _ => "after a trap every request would get 503 for good",
    };
    let problem = format!("is not FAIL_RELOAD: {consequence}");
    findings.warning(&joined(&path, "failure_policy"), problem);
}

/// Without an id of its VM each listener has a state of its own, where no control plane leaves it out everywhere.
pub(super) fn vm_id(findings: &mut Findings, place: &Filter<'_>) {
    if place.vm_id().is_empty() {
        findings.warning(
            &joined(&place.config_path(), "vm_config.vm_id"),
            "not set: set it to \"seawall\", so that all listeners share one state",
        );
    }
}
