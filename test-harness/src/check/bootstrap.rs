//! An Envoy bootstrap: every place where the filter stands, and what it needs around it.

use serde_json::Value;

use seawall_policy::config;
use seawall_policy::route::{Routing, fits};

use super::{Findings, joined};

/// Where the filter stands in a chain of HTTP filters.
struct Place<'a> {
    path: String,
    filter: &'a Value,
    /// Its place, that of the router, and how many filters there are.
    order: (usize, Option<usize>),
}

pub(super) fn check(findings: &mut Findings, at: &str, document: &Value) {
    let mut places = Vec::new();
    find(&mut places, at, document);
    let clusters = clusters(document);
    let mut vms = Vec::new();
    let mut seen = Vec::new();
    for place in &places {
        let path = joined(&place.path, "typed_config.config");
        let config = place
            .filter
            .pointer("/typed_config/config")
            .unwrap_or(&Value::Null);
        if let Some(routing) = configuration(findings, &path, config) {
            upstreams(findings, &path, &routing, &clusters);
            let vm = config.pointer("/vm_config/vm_id").and_then(Value::as_str);
            one_meaning(findings, &path, vm.unwrap_or_default(), &routing, &seen);
            seen.push((vm.unwrap_or_default(), path.clone(), routing));
        }
        order(findings, place);
        failure_policy(findings, &path, config);
        match config.pointer("/vm_config/vm_id").and_then(Value::as_str) {
            Some(vm) if !vm.is_empty() => vms.push(vm.to_owned()),
            _ => {
                let path = joined(&path, "vm_config.vm_id");
                findings.warning(
                    &path,
                    "not set: set it to \"seawall\", so that all listeners share one state",
                );
            }
        }
    }
    vms.sort();
    vms.dedup();
    if vms.len() > 1 {
        let problem = format!(
            "the filter stands under several vm_ids ({}): each has a state of its own",
            vms.join(", ")
        );
        findings.warning(at, problem);
    }
    if !places.is_empty() {
        stats_tags(findings, at, document);
    }
}

/// Walks the whole document: chains of HTTP filters stand in many places.
fn find<'a>(places: &mut Vec<Place<'a>>, at: &str, value: &'a Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = joined(at, key);
                if let (true, Some(filters)) = (key == "http_filters", inner.as_array()) {
                    chain(places, &path, filters);
                }
                find(places, &path, inner);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                find(places, &format!("{at}[{index}]"), inner);
            }
        }
        _ => {}
    }
}

fn chain<'a>(places: &mut Vec<Place<'a>>, at: &str, filters: &'a [Value]) {
    let router = filters.iter().position(is_router);
    for (index, filter) in filters.iter().enumerate() {
        if is_seawall(filter) {
            places.push(Place {
                path: format!("{at}[{index}]"),
                filter,
                order: (index, router),
            });
        }
    }
}

/// By its type; a filter's name is free, and counts only where no type is given.
fn is_router(filter: &Value) -> bool {
    let kind = filter
        .pointer("/typed_config/@type")
        .and_then(Value::as_str);
    let name = filter["name"].as_str().unwrap_or_default();
    kind.map_or(name.ends_with("router"), |kind| {
        kind.ends_with("http.router.v3.Router")
    })
}

/// A Wasm filter that is named so, or runs a file of this name.
fn is_seawall(filter: &Value) -> bool {
    let config = filter.pointer("/typed_config/config");
    let is_wasm = filter
        .pointer("/typed_config/@type")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("http.wasm.v3.Wasm"));
    let text = |pointer: &str| {
        config
            .and_then(|config| config.pointer(pointer))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    is_wasm
        && (filter["name"]
            .as_str()
            .is_some_and(|name| name.contains("seawall"))
            || text("/name").contains("seawall")
            || text("/root_id").contains("seawall")
            || text("/vm_config/code/local/filename").contains("seawall"))
}

/// The filter's configuration: a string, a struct, or a struct as it stands.
fn configuration(findings: &mut Findings, at: &str, config: &Value) -> Option<Routing> {
    let at = joined(at, "configuration");
    let Some(given) = config.get("configuration") else {
        findings.configurations += 1;
        findings.error(
            &at,
            "missing: write a StringValue with Seawall's configuration as JSON",
        );
        return None;
    };
    let parsed = match given.get("value") {
        Some(Value::String(text)) => {
            if let Some(twice) = super::key_twice(text) {
                let problem = format!("{twice}: the filter takes the last one");
                findings.warning(&at, problem);
            }
            config::parse(text.as_bytes())
        }
        Some(value) => config::from_value(value),
        None => config::from_value(given),
    };
    let routing = parsed.as_ref().ok().cloned();
    findings.configuration(&at, parsed.map(drop));
    routing
}

/// A state is known by its policy's name, so that one name must mean one thing in all places that share a VM's id.
fn one_meaning(
    findings: &mut Findings,
    at: &str,
    vm: &str,
    routing: &Routing,
    seen: &[(&str, String, Routing)],
) {
    for policy in &routing.policies {
        let other = seen.iter().find(|(other_vm, _, other)| {
            let same_name = other
                .policies
                .iter()
                .find(|other| other.name == policy.name);
            *other_vm == vm && same_name.is_some_and(|other| other != policy)
        });
        if let Some((_, elsewhere, _)) = other {
            let path = format!("{at}.configuration: policies.{}", policy.name);
            let problem = format!(
                "is another policy than the one of this name in {elsewhere}, but shares its state"
            );
            findings.warning(&path, problem);
        }
    }
}

fn order(findings: &mut Findings, place: &Place<'_>) {
    match place.order {
        (own, Some(router)) if own > router => {
            findings.error(
                &place.path,
                "stands after the router, so it never runs: put it right before it",
            );
        }
        (own, Some(router)) if own + 1 < router => {
            let problem = "other filters stand between it and the router: what they answer themselves looks like the \
                           upstream's answer";
            findings.warning(&place.path, problem);
        }
        (_, Some(_)) => {}
        (_, None) => findings.warning(&place.path, "there is no router in its chain"),
    }
}

fn failure_policy(findings: &mut Findings, at: &str, config: &Value) {
    let policy = config.get("failure_policy").and_then(Value::as_str);
    let consequence = match policy {
        Some("FAIL_RELOAD") => return,
        Some("FAIL_OPEN") => "after a trap the filter would be passed by for good",
        _ => "after a trap every request would get 503 for good",
    };
    let problem = format!("is not FAIL_RELOAD: {consequence}");
    findings.warning(&joined(at, "failure_policy"), problem);
}

fn upstreams(findings: &mut Findings, at: &str, routing: &Routing, clusters: &[String]) {
    if clusters.is_empty() {
        return;
    }
    for (index, entry) in routing.upstreams.iter().enumerate() {
        if !clusters.iter().any(|cluster| fits(&entry.cluster, cluster)) {
            let path = format!("{at}.configuration: upstreams[{index}].cluster");
            let problem = format!("\"{}\" fits no cluster of this bootstrap", entry.cluster);
            findings.warning(&path, problem);
        }
    }
}

/// The names of the static clusters; none where clusters come from elsewhere, so that nothing can be said.
fn clusters(document: &Value) -> Vec<String> {
    if document.pointer("/dynamic_resources/cds_config").is_some() {
        return Vec::new();
    }
    let clusters = document
        .pointer("/static_resources/clusters")
        .and_then(Value::as_array);
    let names = clusters
        .into_iter()
        .flatten()
        .filter_map(|cluster| cluster["name"].as_str());
    names.map(str::to_owned).collect()
}

fn stats_tags(findings: &mut Findings, at: &str, document: &Value) {
    let tags = document
        .pointer("/stats_config/stats_tags")
        .and_then(Value::as_array);
    let has = |name: &str| {
        tags.is_some_and(|tags| {
            tags.iter()
                .any(|tag| tag["tag_name"].as_str() == Some(name))
        })
    };
    let missing: Vec<&str> = [
        "policy", "upstream", "decision", "reason", "outcome", "from", "to", "rung", "call",
    ]
    .into_iter()
    .filter(|name| !has(name))
    .collect();
    if !missing.is_empty() {
        let problem = format!(
            "no tags for {}: these labels stay in the metrics' names; copy them from envoy/seawall.yaml",
            missing.join(", ")
        );
        findings.warning(&joined(at, "stats_config.stats_tags"), problem);
    }
}
