//! An Envoy bootstrap: every place where the filter stands, and what it needs around it.

mod answers;
pub(super) mod callers;
mod cluster;
mod failover;
mod load;
mod peers;
pub(super) mod place;
pub(super) mod position;
mod retries;
mod route;

use serde_json::Value;

use seawall_policy::config;
use seawall_policy::control::PREFIX;
use seawall_policy::route::{Routing, glob_matches};

use self::cluster::Clusters;
use self::place::Place;
use self::retries::Governor;
use super::{Findings, joined};

pub(super) fn check(findings: &mut Findings, at: &str, document: &Value) {
    let chains = place::chains(at, document);
    let clusters = Clusters::of(at, document);
    let mut vms = Vec::new();
    let mut governors: Vec<(&str, Governor<'_>)> = Vec::new();
    for chain in &chains {
        let places = chain.places();
        for (number, place) in &places {
            let path = place.config_path();
            if let Some(routing) = configuration(findings, &path, place.config()) {
                upstreams(findings, &path, &routing, &clusters);
                callers::check(findings, chain, *number, place, &routing);
                answers::check(findings, chain, *number, place, &routing);
                peers::check(findings, chain, place, &routing);
                load::check(findings, chain, place, &routing);
                failover::check(findings, &path, chain, &routing, &clusters);
                one_meaning(findings, &path, place.vm_id(), &routing, &governors);
                let path = joined(&path, "configuration");
                governors.push((
                    place.vm_id(),
                    Governor {
                        chain,
                        path,
                        routing,
                    },
                ));
            }
            position::before(findings, chain, *number, place);
            failure_policy(findings, place);
            vm_id(findings, place);
            vms.push(place.vm_id());
        }
        if let Some(behind) = chain.behind() {
            let before = places.last().map(|(_, place)| place);
            for (_, place) in behind.places() {
                // What is written as before the router was checked there.
                let written = |place: &Place<'_>| place.config().get("configuration").cloned();
                if before.is_none_or(|before| written(before) != written(&place)) {
                    configuration(findings, &place.config_path(), place.config());
                }
                failure_policy(findings, &place);
                vm_id(findings, &place);
            }
            position::behind(findings, &behind, before);
        }
    }
    vms.retain(|vm| !vm.is_empty());
    vms.sort_unstable();
    vms.dedup();
    if vms.len() > 1 {
        let problem = format!(
            "the filter stands under several vm_ids ({}): each has a state of its own",
            vms.join(", ")
        );
        findings.warning(at, problem);
    }
    if chains.iter().any(|chain| !chain.places().is_empty()) {
        stats_tags(findings, at, document);
        header_prefix(findings, at, document);
    }
    let governors: Vec<_> = governors
        .into_iter()
        .map(|(_, governor)| governor)
        .collect();
    retries::check(findings, &governors, &clusters);
}

/// The filter's configuration: a string, a struct, or a struct as it stands.
pub(super) fn configuration(findings: &mut Findings, at: &str, config: &Value) -> Option<Routing> {
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
    findings.configuration(&at, parsed)
}

/// A state is known by its policy's name, so that one name must mean one thing in all places that share a VM's id.
fn one_meaning(
    findings: &mut Findings,
    at: &str,
    vm: &str,
    routing: &Routing,
    seen: &[(&str, Governor<'_>)],
) {
    for policy in &routing.policies {
        let other = seen.iter().find(|(other_vm, other)| {
            let same_name = other
                .routing
                .policies
                .iter()
                .find(|other| other.name == policy.name);
            *other_vm == vm && same_name.is_some_and(|other| other != policy)
        });
        if let Some((_, elsewhere)) = other {
            let path = format!("{at}.configuration: policies.{}", policy.name);
            let problem = format!(
                "is another policy than the one of this name in {}, but shares its state",
                elsewhere.path
            );
            findings.warning(&path, problem);
        }
    }
}

pub(super) fn failure_policy(findings: &mut Findings, place: &Place<'_>) {
    let policy = place.config().get("failure_policy").and_then(Value::as_str);
    let consequence = match policy {
        Some("FAIL_RELOAD") => return,
        Some("FAIL_OPEN") => "after a trap the filter would be passed by for good",
        _ => "after a trap every request would get 503 for good",
    };
    let problem = format!("is not FAIL_RELOAD: {consequence}");
    findings.warning(&joined(&place.config_path(), "failure_policy"), problem);
}

fn vm_id(findings: &mut Findings, place: &Place<'_>) {
    if place.vm_id().is_empty() {
        findings.warning(
            &joined(&place.config_path(), "vm_config.vm_id"),
            "not set: set it to \"seawall\", so that all listeners share one state",
        );
    }
}

fn upstreams(findings: &mut Findings, at: &str, routing: &Routing, clusters: &Clusters<'_>) {
    // Where clusters come from elsewhere nothing can be said.
    if clusters.dynamic || clusters.names().next().is_none() {
        return;
    }
    for (index, entry) in routing.upstreams.iter().enumerate() {
        if !clusters
            .names()
            .any(|cluster| glob_matches(&entry.cluster, cluster))
        {
            let path = format!("{at}.configuration: upstreams[{index}].cluster");
            let problem = format!("\"{}\" fits no cluster of this bootstrap", entry.cluster);
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
