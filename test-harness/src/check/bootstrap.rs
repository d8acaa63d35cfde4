//! An Envoy: every place where the filter stands, and what it needs around it.

mod answers;
pub(super) mod callers;
mod cluster;
mod elsewhere;
mod failover;
mod load;
mod meanings;
mod metadata;
mod names;
mod peers;
mod place;
pub(super) mod position;
mod retries;
mod route;

use serde_json::Value;

use seawall_policy::control::PREFIX;
use seawall_policy::glob;
use seawall_policy::route::Routing;

use self::cluster::Clusters;
use self::meanings::Meanings;
use self::place::Chain;
use self::retries::Governor;
use super::filter::{Extensions, Filter};
use super::layers::{Envoy, Kind};
use super::{Findings, body, dynamic_module, joined, read, shape};

pub(super) fn check(findings: &mut Findings, envoy: &Envoy) {
    let before = findings.configurations;
    let mut extensions = Extensions::default();
    for part in envoy.of(Kind::Extension) {
        extensions.add(&part.path, &part.value);
    }
    let chains = place::chains(envoy, &extensions);
    let clusters = Clusters::of(envoy);
    let mut meanings = Meanings::default();
    let mut governors = Vec::new();
    let mut vms = Vec::new();
    for chain in &chains {
        for (number, place) in chain.places() {
            let path = place.config_path();
            if let Some(routing) = configuration(findings, place) {
                upstreams(findings, &path, &routing, &clusters);
                callers::check(findings, chain, number, place, &routing);
                answers::check(findings, chain, number, place, &routing);
                peers::check(findings, chain, place, &routing);
                load::check(findings, chain, place, &routing);
                failover::check(findings, &path, chain, &routing, &clusters);
                meanings.check(findings, &path, place.vm_id(), &routing);
                governors.push(Governor {
                    chain,
                    path: joined(&path, place.policies_key()),
                    routing,
                    written: written(place),
                });
            }
            position::before(findings, chain, number, place);
            body::check(findings, place);
            body::whole(findings, place);
            vms.push(place.vm_id());
        }
        behind(findings, chain);
    }
    vms.retain(|vm| !vm.is_empty());
    vms.sort_unstable();
    vms.dedup();
    if vms.len() > 1 {
        let problem = format!(
            "the filter stands under several vm_ids ({}): each has a state of its own",
            vms.join(", ")
        );
        findings.warning(&envoy.at, problem);
    }
    let stands = |module: bool| {
        let mut places = chains.iter().flat_map(Chain::places);
        places.any(|(_, place)| place.is_dynamic_module() == module)
    };
    let (has_wasm, has_module) = (stands(false), stands(true));
    for part in envoy.of(Kind::Bootstrap) {
        if has_wasm {
            stats_tags(findings, &part.path, &part.value);
        }
        if has_wasm || has_module {
            header_prefix(findings, &part.path, &part.value);
        }
    }
    if has_module {
        dynamic_module::names(findings, envoy);
    }
    retries::check(findings, &governors, &clusters);
    names::check(findings, &governors, &clusters);
    elsewhere::check(findings, envoy, &extensions, &chains, &governors, &clusters);
    // What Envoy says of itself it has taken, whatever its version is.
    if findings.configurations > before && !envoy.is_dump {
        for part in &envoy.parts {
            shape::message(findings, &part.path, &part.value, part.kind.message());
        }
    }
}

/// What stands behind the router of a chain.
fn behind(findings: &mut Findings, chain: &Chain<'_>) {
    let Some(behind) = chain.behind() else {
        return;
    };
    let before = chain.places().last().map(|(_, place)| place);
    for (_, place) in behind.places() {
        // What is written as before the router was checked there.
        let written = |place: &Filter<'_>| place.config().get(place.policies_key()).cloned();
        if before.is_none_or(|before| written(before) != written(place)) {
            configuration(findings, place);
        }
        body::check(findings, place);
        body::whole(findings, place);
    }
    position::behind(findings, behind, before);
}

/// The tree of a configuration that is right.
fn written(place: &Filter<'_>) -> Value {
    let given = &place.config()[place.policies_key()];
    match given.get("value") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(value) => value.clone(),
        None => given.clone(),
    }
}

/// The filter's configuration: a string, a struct, or a struct as it stands.
pub(super) fn configuration(findings: &mut Findings, place: &Filter<'_>) -> Option<Routing> {
    let at = joined(&place.config_path(), place.policies_key());
    let given = place.config().get(place.policies_key());
    let Some(given) = given.filter(|given| !given.is_null()) else {
        findings.configurations += 1;
        findings.error(
            &at,
            "missing: write a StringValue with Seawall's configuration as JSON",
        );
        return None;
    };
    let kind = super::text(given, "/@type");
    if kind.ends_with("google.protobuf.BytesValue") {
        findings.unread(&at, "is packed as a BytesValue: write a StringValue");
        return None;
    }
    let is_string = kind.ends_with("google.protobuf.StringValue");
    let is_struct = kind.ends_with("google.protobuf.Struct");
    let problem = match given.get("value") {
        Some(Value::String(_)) if is_struct => {
            "a Struct's value is an object: write it without quotes, or in a StringValue"
        }
        Some(Value::String(_)) => "",
        Some(_) if is_string => {
            "a StringValue's value is a text: write the JSON in quotes, or an object in a Struct"
        }
        _ => "",
    };
    if !problem.is_empty() {
        findings.configurations += 1;
        findings.error(&joined(&at, "value"), problem);
        return None;
    }
    let parsed = match given.get("value") {
        Some(Value::String(text)) => seawall_config::check(text.as_bytes()),
        Some(value) => seawall_config::check_value(value),
        None => seawall_config::check_value(given),
    };
    findings.configuration(&at, parsed, read::is_template(given))
}

fn upstreams(findings: &mut Findings, at: &str, routing: &Routing, clusters: &Clusters<'_>) {
    // Where clusters come from elsewhere nothing can be said.
    if routing.upstreams.is_empty() || clusters.dynamic || clusters.names().next().is_none() {
        return;
    }
    for (index, entry) in routing.upstreams.iter().enumerate() {
        if !clusters
            .names()
            .any(|cluster| glob::matches(&entry.cluster, cluster))
        {
            let path = format!("{at}.configuration: upstreams[{index}].cluster");
            let problem = format!("\"{}\" fits no cluster of this Envoy", entry.cluster);
            findings.warning(&path, problem);
        }
    }
}

/// With another prefix Envoy neither heeds what Seawall tells its router nor hides what clients tell it.
fn header_prefix(findings: &mut Findings, at: &str, document: &Value) {
    let prefix = document.get("header_prefix").and_then(Value::as_str);
    if let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty() && *prefix != PREFIX) {
        let problem = format!(
            "\"{prefix}\": Seawall steers Envoy's router by {PREFIX}-* headers, which this Envoy does not know: time limits and \
             retries would not hold, and clients could steer the router by {prefix}-*; leave it out"
        );
        findings.error(&joined(at, "header_prefix"), problem);
    }
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
