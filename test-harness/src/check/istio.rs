//! Istio's resources. A WasmPlugin's or a TrafficExtension's `pluginConfig` is the same object as in Envoy; an EnvoyFilter
//! holds Envoy's own messages; DestinationRules and VirtualServices set limits and retries beside them.

mod destination;
mod envoyfilter;
mod host;
mod plugin;
mod service;

use serde_json::Value;

use seawall_policy::policy::Policy;

use super::manifest::{Seat, of_kind};
use super::{Findings, joined, shape};

/// The kinds that are read here.
pub(super) const KINDS: [&str; 5] = [
    "DestinationRule",
    "EnvoyFilter",
    "TrafficExtension",
    "VirtualService",
    "WasmPlugin",
];
/// The namespace whose resources are for all others, unless an installation says otherwise.
const ROOT: &str = "istio-system";

/// The resources that hold the filter.
pub(super) fn holders(
    findings: &mut Findings,
    manifests: &[(String, Value)],
    seats: &mut Vec<Seat>,
) {
    for (at, document) in of_kind(manifests, "WasmPlugin") {
        plugin::check(findings, at, document, plugin::Kind::WasmPlugin, seats);
    }
    for (at, document) in of_kind(manifests, "TrafficExtension") {
        plugin::check(
            findings,
            at,
            document,
            plugin::Kind::TrafficExtension,
            seats,
        );
    }
    let beside = !seats.is_empty();
    envoyfilter::check(findings, manifests, beside, seats);
}

/// The resources beside the filter.
pub(super) fn neighbours(findings: &mut Findings, manifests: &[(String, Value)], seats: &[Seat]) {
    if seats.is_empty() {
        return;
    }
    for (at, document) in of_kind(manifests, "DestinationRule") {
        destination::check(findings, at, document, seats);
    }
    envoyfilter::limits(findings, manifests, seats);
    let services: Vec<_> = of_kind(manifests, "VirtualService").collect();
    for (at, document) in &services {
        service::check(findings, at, document, seats, &services);
    }
}

/// The policies that may govern calls to a cluster of such a name, each by its name once, and whether only one may.
fn governing<'s>(
    seats: &'s [Seat],
    is_seen: impl Fn(&str) -> bool,
    cluster: &str,
) -> Vec<(&'s Policy, bool)> {
    let mut found: Vec<(&Policy, bool)> = Vec::new();
    for seat in seats.iter().filter(|seat| is_seen(&seat.namespace)) {
        let policies = host::policies(&seat.routing, cluster);
        let alone = policies.len() == 1;
        for policy in policies {
            if !found.iter().any(|(known, _)| *known == policy) {
                found.push((policy, alone));
            }
        }
    }
    found
}

/// What is added where more than one policy may govern.
fn perhaps(alone: bool) -> &'static str {
    match alone {
        true => "",
        false => " (another policy governs some ports or subsets, which are not told here)",
    }
}

/// Whether resources of a namespace that are visible where `export` says may concern the proxies of another one. What is
/// not said may be any.
fn concerns(own: &str, export: &Value, other: &str) -> bool {
    let unknown = own.is_empty() || other.is_empty();
    let export: Vec<&str> = super::list(export)
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let visible = export.is_empty()
        || export
            .iter()
            .any(|to| *to == "*" || *to == other || (*to == "." && own == other));
    unknown || other == ROOT || visible
}

/// Keys that Istio's definition of a kind does not have.
fn keys(findings: &mut Findings, at: &str, kind: &str, given: &Value, known: &[&str]) {
    let Some(map) = given.as_object() else {
        return;
    };
    for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
        shape::unknown(
            findings,
            &joined(at, key),
            map,
            key,
            known,
            &format!("a {kind} of Istio"),
        );
    }
}

/// Which keys of a DestinationRule's spec are no key of Istio's.
pub(super) fn unknown_keys_of_destination_rule(spec: &Value) -> Findings {
    destination::unknown_keys(spec)
}

/// A key of a resource's spec that is not what it should be.
fn odd(findings: &mut Findings, at: &str, key: &str, what: &str) {
    findings.unread(&joined(at, &format!("spec.{key}")), what);
}
