//! An EnvoyFilter: the way to the router's upstream filters in Istio, where a WasmPlugin does not reach, and the way of
//! those who came before WasmPlugins. It holds Envoy's own messages.

use std::collections::HashSet;

use seawall_policy::time::{Span, parse_duration};
use serde_json::Value;

use crate::check::bootstrap::{self, position};
use crate::check::filter::{Extensions, Filter, Met, discovered, walk};
use crate::check::manifest::{Seat, namespace, of_kind};
use crate::check::read::is_suspicious;
use crate::check::shape::near;
use crate::check::{Findings, body, joined, list, rules, shape, spelling, text};

const KIND: &str = "EnvoyFilter";
/// What a patch may apply to.
const TARGETS: [&str; 11] = [
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
];
/// What a patch may do.
const OPERATIONS: [&str; 7] = [
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
];

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
        let before = findings.configurations;
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
        if findings.configurations > before {
            shape(findings, patch);
        }
    }
}

fn patches<'a>(findings: &mut Findings, manifests: &'a [(String, Value)]) -> Vec<Patch<'a>> {
    let mut patches = Vec::new();
    for (at, document) in of_kind(manifests, "EnvoyFilter") {
        let given = &document["spec"]["configPatches"];
        if !given.is_array() {
            super::odd(findings, at, "configPatches", "is no list");
        }
        if is_suspicious(document) {
            keys(findings, at, document);
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

/// Keys of the resource, and what stands in it where nothing is read.
fn keys(findings: &mut Findings, at: &str, document: &Value) {
    const SPEC: [&str; 4] = [
        "configPatches",
        "priority",
        "targetRefs",
        "workloadSelector",
    ];
    super::keys(
        findings,
        &joined(at, "spec"),
        KIND,
        &document["spec"],
        &SPEC,
    );
    for (index, patch) in list(&document["spec"]["configPatches"]).iter().enumerate() {
        let path = joined(at, &format!("spec.configPatches[{index}]"));
        super::keys(findings, &path, KIND, patch, &["applyTo", "match", "patch"]);
        let inner = ["filterClass", "operation", "value"];
        super::keys(
            findings,
            &joined(&path, "patch"),
            KIND,
            &patch["patch"],
            &inner,
        );
        let value = &patch["patch"]["value"];
        if !value.is_object() && is_suspicious(value) {
            let problem =
                "is no object: Istio takes one of Envoy's messages here, not a text that holds one";
            findings.error(&joined(&path, "patch.value"), problem);
        }
    }
}

/// What Istio and Envoy know of a patch with the filter in it.
fn shape(findings: &mut Findings, patch: &Patch<'_>) {
    const ROUTE: &str = "envoy.config.route.v3";
    const LISTENER: &str = "envoy.config.listener.v3";
    let at = patch.path.trim_end_matches(".patch.value");
    let target = text(patch.patch, "/applyTo");
    word(findings, &joined(at, "applyTo"), target, &TARGETS);
    let operation = text(patch.patch, "/patch/operation");
    let path = joined(at, "patch.operation");
    word(findings, &path, operation, &OPERATIONS);
    if operation == "REMOVE" {
        let problem = "REMOVE takes out what fits, and puts nothing in: write INSERT_BEFORE";
        findings.error(&path, problem);
    }
    let message = match target {
        "HTTP_FILTER" => {
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter".to_owned()
        }
        "LISTENER" => format!("{LISTENER}.Listener"),
        "FILTER_CHAIN" => format!("{LISTENER}.FilterChain"),
        "NETWORK_FILTER" => format!("{LISTENER}.Filter"),
        "ROUTE_CONFIGURATION" => format!("{ROUTE}.RouteConfiguration"),
        "VIRTUAL_HOST" => format!("{ROUTE}.VirtualHost"),
        "HTTP_ROUTE" => format!("{ROUTE}.Route"),
        "CLUSTER" => "envoy.config.cluster.v3.Cluster".to_owned(),
        "EXTENSION_CONFIG" => "envoy.config.core.v3.TypedExtensionConfig".to_owned(),
        "BOOTSTRAP" => "envoy.config.bootstrap.v3.Bootstrap".to_owned(),
        _ => String::new(),
    };
    shape::message(findings, &patch.path, &patch.value, &message);
}

fn word(findings: &mut Findings, at: &str, given: &str, known: &[&str]) {
    if !known.contains(&given) {
        let near =
            near(given, known).map_or_else(String::new, |near| format!(", did you mean {near}?"));
        let problem = format!("\"{given}\" is none of {}{near}", known.join(", "));
        findings.error(at, problem);
    }
}

/// Time limits that are merged into routes, beside those of the policies.
pub(super) fn limits(findings: &mut Findings, manifests: &[(String, Value)], seats: &[Seat]) {
    // What is wrong with them was told where they were read first.
    for patch in patches(&mut Findings::default(), manifests) {
        let own = patch
            .value
            .pointer("/route/timeout")
            .and_then(Value::as_str);
        let own = own.and_then(|own| parse_duration(own).ok());
        let Some(own) = own.filter(|own| patch.applies_to("HTTP_ROUTE") && *own > Span::ZERO)
        else {
            continue;
        };
        let path = joined(&patch.path, "route.timeout");
        let mut told: Vec<&str> = Vec::new();
        for policy in seats.iter().flat_map(|seat| &seat.routing.policies) {
            if told.contains(&policy.name.as_str()) {
                continue;
            }
            told.push(&policy.name);
            let instead =
                format!("give these routes' upstreams a policy whose timeout.total is {own}");
            rules::lost_limit(findings, &path, own, &instead, policy);
        }
    }
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
    let routing = bootstrap::configuration(findings, place);
    body::check(findings, place);
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
