//! An EnvoyFilter: the way to the router's upstream filters in Istio, where a WasmPlugin does not reach, and the way of
//! those who came before WasmPlugins. It holds Envoy's own messages.

use std::collections::HashSet;

use serde_json::Value;

use crate::check::bootstrap::{self, position};
use crate::check::filter::{Extensions, Filter, Met, discovered, walk};
use crate::check::manifest::{Seat, namespace, of_kind};
use crate::check::{Findings, joined, list, spelling, text};

/// One patch, whose value is in the spelling of Envoy's definitions.
struct Patch<'a> {
    /// Where its value stands.
    path: String,
    document: &'a Value,
    patch: &'a Value,
    value: Value,
}

impl Patch<'_> {
    fn applies_to(&self, what: &str) -> bool {
        text(self.patch, "/applyTo") == what
    }

    fn is_inbound(&self) -> bool {
        text(self.patch, "/match/context") == "SIDECAR_INBOUND"
    }

    /// Whether it puts what it has after the router.
    fn is_after_router(&self) -> bool {
        let beside = "/match/listener/filterChain/filter/subFilter/name";
        let beside = text(self.patch, beside);
        text(self.patch, "/patch/operation") == "INSERT_AFTER" && beside.ends_with("http.router")
    }
}

/// All EnvoyFilters: one may refer to what stands in another. `beside` says whether there is a WasmPlugin too.
pub(super) fn check(
    findings: &mut Findings,
    manifests: &[(String, Value)],
    beside: bool,
    seats: &mut Vec<Seat>,
) {
    let patches = patches(findings, manifests);
    let mut extensions = Extensions::default();
    let (named, others): (Vec<_>, Vec<_>) = patches
        .iter()
        .partition(|patch| patch.applies_to("EXTENSION_CONFIG"));
    for patch in &named {
        extensions.add(&patch.path, &patch.value);
    }
    let mut judged: HashSet<String> = HashSet::new();
    // What others refer to is judged where it runs.
    for patch in others.into_iter().chain(named) {
        thresholds(findings, patch);
        let is_filter = patch.applies_to("HTTP_FILTER") || patch.applies_to("EXTENSION_CONFIG");
        walk(
            &patch.path,
            &patch.value,
            is_filter,
            &extensions,
            &mut |met| match met {
                Met::Behind(list) => position::codec(findings, &list),
                Met::Discovered(path, given) => discovered(findings, &path, given),
                Met::Filter(filter, is_http) => {
                    if let Some(why) = filter.unread(is_http) {
                        findings.unread(&filter.path, why);
                    }
                    if !filter.is_seawall() {
                        return;
                    }
                    if filter.path == patch.path && patch.is_after_router() {
                        findings.error(
                        &filter.path,
                        "is put after the router, so it never runs: INSERT_BEFORE puts it right before it",
                    );
                    }
                    if judged.insert(filter.message_path.clone()) {
                        plugin(findings, patch, &filter, beside, seats);
                    }
                }
            },
        );
    }
}

fn patches<'a>(findings: &mut Findings, manifests: &'a [(String, Value)]) -> Vec<Patch<'a>> {
    let mut patches = Vec::new();
    for (at, document) in of_kind(manifests, "EnvoyFilter") {
        let given = &document["spec"]["configPatches"];
        if !given.is_array() {
            super::odd(findings, at, "configPatches", "is no list");
        }
        for (index, patch) in list(given).iter().enumerate() {
            let path = joined(at, &format!("spec.configPatches[{index}].patch.value"));
            let value = patch.pointer("/patch/value").cloned().unwrap_or_default();
            let value = spelling::message(findings, &path, value);
            patches.push(Patch {
                path,
                document,
                patch,
                value,
            });
        }
    }
    patches
}

fn thresholds(findings: &mut Findings, patch: &Patch<'_>) {
    let merges = text(patch.patch, "/patch/operation") == "MERGE";
    let thresholds = patch.value.pointer("/circuit_breakers/thresholds");
    if patch.applies_to("CLUSTER") && merges && thresholds.is_some() {
        let problem = "has no effect: Istio appends it to the thresholds of its own, of which Envoy takes the first; \
                       those let 4294967295 retries through, unless a DestinationRule sets \
                       connectionPool.http.maxRetries";
        findings.warning(&joined(&patch.path, "circuit_breakers.thresholds"), problem);
    }
}

fn plugin(
    findings: &mut Findings,
    patch: &Patch<'_>,
    place: &Filter<'_>,
    beside: bool,
    seats: &mut Vec<Seat>,
) {
    let path = place.config_path();
    let routing = bootstrap::configuration(findings, &path, place.config());
    bootstrap::failure_policy(findings, place);
    let is_behind = place.path.contains("upstream_http_filters");
    if !place.vm_id().is_empty() && (beside || is_behind) {
        let problem = "must be empty, as Istio leaves it for a WasmPlugin: under another id it shares no state with that \
                       one, so that retries are paid from an account into which nothing is paid";
        findings.warning(&joined(&path, "vm_config.vm_id"), problem);
    }
    // Before its own application nothing is retried, and no limit takes the place of a route's.
    if let Some(routing) = routing.filter(|_| !patch.is_inbound()) {
        seats.push(Seat {
            namespace: namespace(patch.document).to_owned(),
            routing,
        });
    }
}
