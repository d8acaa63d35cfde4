//! Envoy Gateway's resources: an EnvoyExtensionPolicy holds the filter's configuration, an EnvoyPatchPolicy holds Envoy's.

use serde_json::Value;

use super::filter::{Extensions, Met, discovered, holds_policies, walk};
use super::manifest::{Seat, namespace, of_kind};
use super::{Findings, body, bootstrap, joined, list, read, rules, shape, spelling, text};

/// The kinds that are read here, or named where they are not.
pub(super) const KINDS: [&str; 5] = [
    "BackendTrafficPolicy",
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "GRPCRoute",
    "HTTPRoute",
];

/// The resources that hold the filter.
pub(super) fn holders(
    findings: &mut Findings,
    manifests: &[(String, Value)],
    seats: &mut Vec<Seat>,
) {
    for (at, document) in of_kind(manifests, "EnvoyExtensionPolicy") {
        extension(findings, at, document, seats);
    }
    for (at, document) in of_kind(manifests, "EnvoyPatchPolicy") {
        patches(findings, at, document, seats);
    }
}

fn extension(findings: &mut Findings, at: &str, document: &Value, seats: &mut Vec<Seat>) {
    for (index, plugin) in listed(findings, at, document, "wasm") {
        let path = joined(at, &format!("spec.wasm[{index}]"));
        if !is_ours(document, plugin) {
            continue;
        }
        written(findings, &path, (document, plugin), seats);
        let consequence = match plugin["failOpen"].as_bool() {
            Some(true) => "the filter would be passed by",
            _ => "every request would get 503",
        };
        let problem = format!(
            "after a trap {consequence} for good: an EnvoyExtensionPolicy has no FAIL_RELOAD; an EnvoyPatchPolicy that \
             sets failure_policy has"
        );
        findings.warning(&joined(&path, "failOpen"), problem);
    }
    if !document["spec"].is_object() {
        return;
    }
    for (index, module) in listed(findings, at, document, "dynamicModule") {
        let path = joined(at, &format!("spec.dynamicModule[{index}]"));
        if !is_ours(document, module) {
            continue;
        }
        written(findings, &path, (document, module), seats);
        if module["terminalFilter"].as_bool() == Some(true) {
            let problem = "is true: no request would reach a backend; take it out";
            findings.error(&joined(&path, "terminalFilter"), problem);
        }
    }
}

/// The entries under a key of a policy, with their numbers.
fn listed<'a>(
    findings: &mut Findings,
    at: &str,
    document: &'a Value,
    key: &str,
) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    let items = items(findings, at, document, key);
    items.into_iter().flatten().enumerate()
}

/// By a name, by what it runs, or by its configuration.
fn is_ours(document: &Value, plugin: &Value) -> bool {
    const NAMES: [&str; 5] = [
        "/name",
        "/rootID",
        "/filterName",
        "/code/image/url",
        "/code/http/url",
    ];
    let names = NAMES.iter().map(|pointer| text(plugin, pointer));
    let mut names = names.chain([text(document, "/metadata/name")]);
    names.any(|name| name.contains("seawall"))
        || plugin.pointer("/config/policies").is_some()
        || holds_policies(text(plugin, "/config"))
}

/// Seawall's own configuration in an entry of a policy.
fn written(
    findings: &mut Findings,
    path: &str,
    (document, plugin): (&Value, &Value),
    seats: &mut Vec<Seat>,
) {
    let here = joined(path, "config");
    let Some(config) = plugin.get("config") else {
        findings.configurations += 1;
        findings.error(&here, "missing: write Seawall's configuration there");
        return;
    };
    // The filter gets it as it is written: a text with its quotes, which it takes off.
    let read = match config {
        Value::String(_) => seawall_config::check(config.to_string().as_bytes()),
        other => seawall_config::check_value(other),
    };
    let routing = findings.configuration(&here, read, read::is_template(config));
    seats.extend(routing.map(|routing| Seat {
        namespace: namespace(document).to_owned(),
        routing,
    }));
}

fn patches(findings: &mut Findings, at: &str, document: &Value, seats: &mut Vec<Seat>) {
    let Some(patches) = items(findings, at, document, "jsonPatches") else {
        return;
    };
    for (index, patch) in patches.iter().enumerate() {
        let path = joined(at, &format!("spec.jsonPatches[{index}].operation.value"));
        let Some(value) = patch.pointer("/operation/value") else {
            continue;
        };
        let target = [
            text(patch, "/operation/path"),
            text(patch, "/operation/jsonPath"),
        ]
        .concat();
        if target.contains("configuration") {
            if let Some(routing) = alone(findings, &path, value, &target) {
                seats.push(Seat {
                    namespace: namespace(document).to_owned(),
                    routing,
                });
            }
            continue;
        }
        let before = findings.configurations;
        let value = spelling::message(findings, &path, value.clone());
        let is_filter = target.contains("http_filters") || target.contains("httpFilters");
        let none = Extensions::default();
        walk(&path, &value, is_filter, &none, &mut |met| match met {
            Met::Behind(list) => bootstrap::position::codec(findings, &list),
            Met::Discovered(path, given) => discovered(findings, &path, given),
            Met::Filter(filter, is_http) => {
                if let Some(why) = filter.unread(is_http) {
                    findings.unread(&filter.path, why);
                }
                if filter.is_seawall() {
                    let routing = bootstrap::configuration(findings, &filter);
                    body::check(findings, &filter);
                    body::state(findings, &filter);
                    seats.extend(routing.map(|routing| Seat {
                        namespace: namespace(document).to_owned(),
                        routing,
                    }));
                }
            }
        });
        if findings.configurations > before {
            operation(findings, &path, patch);
            shape::any(findings, &path, &value);
        }
    }
}

/// What a patch with the filter in it does.
fn operation(findings: &mut Findings, at: &str, patch: &Value) {
    const WORDS: [&str; 6] = ["add", "copy", "move", "remove", "replace", "test"];
    let path = joined(at.trim_end_matches(".value"), "op");
    match text(patch, "/operation/op") {
        "add" | "replace" => {}
        word if WORDS.contains(&word) => {
            let problem = format!("{word} puts nothing in: write add");
            findings.error(&path, problem);
        }
        word => {
            let problem = format!("\"{word}\" is none of {}", WORDS.join(", "));
            findings.error(&path, problem);
        }
    }
}

/// A configuration that is put into the place of another one: the whole of it, or a part.
fn alone(
    findings: &mut Findings,
    at: &str,
    value: &Value,
    target: &str,
) -> Option<seawall_policy::route::Routing> {
    let inner = match value {
        Value::Object(map) if map.contains_key("value") => &value["value"],
        other => other,
    };
    let (read, is_whole) = match inner {
        Value::String(text) => (
            seawall_config::check(text.as_bytes()),
            text.contains("\"policies\""),
        ),
        other => (
            seawall_config::check_value(other),
            other.get("policies").is_some(),
        ),
    };
    if !is_whole {
        let problem =
            format!("changes a part of a configuration ({target}): check what comes of it");
        findings.unread(at, problem);
        return None;
    }
    findings.configuration(at, read, read::is_template(inner))
}

/// Resources beside the filter that set limits and retries: Envoy Gateway's own ways are not followed.
pub(super) fn neighbours(findings: &mut Findings, manifests: &[(String, Value)], seats: &[Seat]) {
    let mut policies = seats.iter().flat_map(|seat| &seat.routing.policies);
    let asks = policies.any(|policy| {
        rules::repeats(policy) || policy.time.total.is_some() || policy.time.per_try.is_some()
    });
    if !asks {
        return;
    }
    let problem = "is not judged beside the filter's own limits and retries: check what Envoy's /config_dump says";
    for (at, document) in of_kind(manifests, "BackendTrafficPolicy") {
        for key in ["circuitBreaker", "retry", "timeout"] {
            if document["spec"].get(key).is_some() {
                findings.unread(&joined(at, &format!("spec.{key}")), problem);
            }
        }
    }
    for kind in ["GRPCRoute", "HTTPRoute"] {
        for (at, document) in of_kind(manifests, kind) {
            let given = list(&document["spec"]["rules"]).iter().enumerate();
            for (index, rule) in given {
                for key in ["retry", "timeouts"] {
                    if rule.get(key).is_some() {
                        let path = joined(at, &format!("spec.rules[{index}].{key}"));
                        findings.unread(&path, problem);
                    }
                }
            }
        }
    }
}

/// A list of a resource's spec; what should be one and is not is named.
fn items<'a>(
    findings: &mut Findings,
    at: &str,
    document: &'a Value,
    key: &str,
) -> Option<&'a [Value]> {
    match document["spec"].get(key) {
        Some(Value::Array(items)) => Some(items),
        None if document["spec"].is_object() => None,
        _ => {
            findings.unread(&joined(at, &format!("spec.{key}")), "is no list");
            None
        }
    }
}
