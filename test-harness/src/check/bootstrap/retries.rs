//! What retries need around them, so that the budget is what decides about them.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use seawall_policy::policy::Policy;
use seawall_policy::retry::{Mode, Settings};
use seawall_policy::route::Routing;

use super::cluster::{Clusters, MAX_RETRIES_DEFAULT};
use super::metadata;
use super::place::{Chain, Direction};
use super::route::{Route, routes};
use crate::check::rules::{self, MAX_RETRIES_LEAST, repeats};
use crate::check::silence::unseen;
use crate::check::{Findings, joined};

/// A filter before a router, and what it was told.
pub(super) struct Governor<'a> {
    /// Its chain.
    pub(super) chain: &'a Chain<'a>,
    /// Where its configuration stands.
    pub(super) path: String,
    /// What it was told.
    pub(super) routing: Routing,
    /// The same as it was written.
    pub(super) written: Value,
}

impl Governor<'_> {
    /// Whether retries are steered here at all: before its own application nothing is retried.
    fn retries(&self) -> bool {
        !self.chain.is_a_clusters()
            && self.chain.direction != Direction::Inbound
            && self.routing.policies.iter().any(repeats)
    }
}

/// All that is found around all of them.
pub(super) fn check(findings: &mut Findings, governors: &[Governor<'_>], clusters: &Clusters<'_>) {
    let mut told = BTreeSet::new();
    let in_clusters: HashSet<&str> = governors
        .iter()
        .filter(|governor| governor.chain.is_a_clusters())
        .map(|governor| governor.chain.path.as_str())
        .collect();
    // Many listeners may share one set of routes: each is judged once for what the same policies say.
    let mut judged: HashMap<(&str, Direction), Vec<&Routing>> = HashMap::new();
    for governor in governors {
        if governor.retries() {
            position(findings, governor);
        }
        let shared = governor.chain.routes_path().unwrap_or_default();
        let same = judged
            .entry((shared, governor.chain.direction))
            .or_default();
        let is_known = same.iter().any(|known| **known == governor.routing);
        if is_known && !governor.chain.is_a_clusters() {
            continue;
        }
        same.push(&governor.routing);
        let routes = routes(governor.chain);
        if governor.retries() {
            for (cluster, policy) in governed(governor, routes.as_deref(), clusters) {
                overflow(findings, clusters, cluster, policy, &mut told);
                let own = clusters.own_filters(cluster);
                let own = own.filter(|path| !in_clusters.contains(path.as_str()));
                if let Some(path) = own.filter(|path| told.insert(path.clone())) {
                    let problem = "take the place of the router's upstream_http_filters for this cluster, so that Seawall \
                                   does not see its attempts: retries are accounted for each request";
                    findings.warning(&path, problem);
                }
            }
        }
        for route in routes.iter().flatten() {
            metadata::check(findings, route, &governor.routing, &mut told);
            for policy in route.policies(&governor.routing) {
                limits(findings, route, policy);
                if governor.chain.direction != Direction::Inbound || policy.breaker.inbound {
                    silence(findings, route, policy);
                }
                if governor.retries() && repeats(policy) {
                    own(findings, route, policy, &mut told);
                }
            }
        }
    }
    across(findings, governors);
}

/// Whether requests that are not safe to repeat have no retries where attempts are not seen.
fn loses_safe_repeats(policy: &Policy) -> bool {
    let retries = policy.retries.as_ref().filter(|_| repeats(policy));
    retries.is_some_and(|retries| !retries.allows_unseen(false, false))
}

fn position(findings: &mut Findings, governor: &Governor<'_>) {
    let Some(behind) = governor.chain.behind() else {
        return;
    };
    if behind.places().next().is_none() {
        let policies = governor.routing.policies.iter();
        let lost = policies.filter(|policy| loses_safe_repeats(policy)).count();
        let lost = match lost {
            0 => "",
            _ => {
                "; POST and PATCH without an Idempotency-Key are not retried at all, gRPC aside, not even after a \
                 connection that did not come about, since here the route's own conditions would decide about them; write \
                 methods: any if all may be repeated"
            }
        };
        let problem = format!(
            "there is no Seawall before envoy.filters.http.upstream_codec: retries are accounted for each request, once \
             they were made, and there is at most one for each; put this very filter there too, and they are decided and \
             paid one by one{lost}"
        );
        findings.warning(&behind.path, problem);
    }
}

/// The clusters to which a policy with retries is applied, as far as they can be known: those of the routes, or else all.
fn governed<'a>(
    governor: &'a Governor<'_>,
    routes: Option<&[Route<'a>]>,
    clusters: &Clusters<'a>,
) -> Vec<(&'a str, &'a Policy)> {
    let known = routes.and_then(|routes| {
        let each = |route: &Route<'a>| {
            let names = route.clusters()?.into_iter();
            Some(names.map(|name| (name, route.named())).collect::<Vec<_>>())
        };
        routes.iter().map(each).collect::<Option<Vec<_>>>()
    });
    let asked: Vec<(&str, Option<&str>)> = match known {
        Some(known) => known.into_iter().flatten().collect(),
        None => clusters.names().map(|name| (name, None)).collect(),
    };
    let selected = asked.into_iter().filter_map(|(cluster, named)| {
        let (policy, _) = governor.routing.select(cluster, named).0?;
        repeats(policy).then_some((cluster, policy))
    });
    selected.collect()
}

/// Envoy's own limit on retries, which is 3 at a time for a cluster that names none.
fn overflow(
    findings: &mut Findings,
    clusters: &Clusters<'_>,
    cluster: &str,
    policy: &Policy,
    told: &mut BTreeSet<String>,
) {
    let Some((path, given)) = clusters.max_retries(cluster) else {
        return;
    };
    let limit = given.unwrap_or(MAX_RETRIES_DEFAULT);
    if limit >= MAX_RETRIES_LEAST || !told.insert(path.clone()) {
        return;
    }
    let is = match given {
        Some(limit) => format!("max_retries is {limit}"),
        None => format!("max_retries is not set, which is {MAX_RETRIES_DEFAULT} in Envoy"),
    };
    rules::overflow(findings, &path, &is, cluster, policy);
}

/// Retries that a route makes of its own.
fn own(findings: &mut Findings, route: &Route<'_>, policy: &Policy, told: &mut BTreeSet<String>) {
    let retries = policy.retries.as_ref();
    if let Some(retries) =
        retries.filter(|retries| retries.by_route && retries.mode == Mode::Enforce)
    {
        return by_route(findings, route, (policy, retries), told);
    }
    let Some((path, known)) = route.retry_policy() else {
        return;
    };
    let Some(on) = known["retry_on"].as_str().filter(|on| !on.is_empty()) else {
        return;
    };
    if told.insert(format!("{path} {}", policy.name)) {
        let needs = "what Seawall needs here is retry_back_off alone";
        rules::own(findings, &joined(&path, "retry_on"), on, needs, policy);
    }
}

/// The retry policy by which a route lets the upstream position decide.
fn by_route(
    findings: &mut Findings,
    route: &Route<'_>,
    (policy, retries): (&Policy, &Settings),
    told: &mut BTreeSet<String>,
) {
    let words = retries.router_words();
    let again = retries.attempts.saturating_sub(1);
    let found = route.retry_policy();
    let known = found.as_ref().map_or(&Value::Null, |(_, known)| *known);
    let on = known["retry_on"].as_str().unwrap_or_default().split(',');
    let on: BTreeSet<&str> = on.map(str::trim).collect();
    // A matcher that says more may mean the contrary.
    let plain = [
        json!([{"name": Settings::VOTE}]),
        json!([{"name": Settings::VOTE, "present_match": true}]),
    ];
    let votes = plain.contains(&known["retriable_headers"]);
    // Envoy's num_retries is 1 where nothing is said.
    let most = match &known["num_retries"] {
        Value::Null => Some(1),
        most => most.as_u64(),
    };
    let is_so = on == words.iter().copied().collect() && votes && most == Some(u64::from(again));
    let path = found.map_or_else(
        || joined(&route.path, "route.retry_policy"),
        |(path, _)| path,
    );
    if is_so || !told.insert(format!("{path} {}", policy.name)) {
        return;
    }
    let problem = format!(
        "retries.router of the policy \"{}\" is route, which needs {{retry_on: \"{}\", num_retries: {again}, \
         retriable_headers: [{{name: {}}}]}} here: without it other requests are retried than the policy says, or none",
        policy.name,
        words.join(","),
        Settings::VOTE
    );
    findings.warning(&path, problem);
}

/// The limits of a route beside those of a policy.
fn limits(findings: &mut Findings, route: &Route<'_>, policy: &Policy) {
    let path = joined(&route.path, "route.timeout");
    if let Some(own) = route.unrepeated() {
        rules::longer_limit(findings, &path, own, policy);
        let instead =
            format!("repeat it as metadata: {{filter_metadata: {{seawall: {{timeout: {own}}}}}}}");
        rules::lost_limit(findings, &path, own, &instead, policy);
    }
    if let Some(limit) = route.limit(policy) {
        rules::per_try(findings, &path, limit, policy);
    }
}

/// Deadlines of callers that end calls before they are slow.
fn silence(findings: &mut Findings, route: &Route<'_>, policy: &Policy) {
    for (path, limit) in route.callers_limits() {
        if let Some(problem) = unseen(policy, limit) {
            findings.warning(&path, problem);
        }
    }
}

/// Marks and deadlines pass an application only where both of its sides believe somebody.
fn across(findings: &mut Findings, governors: &[Governor<'_>]) {
    let stands = |direction| {
        governors
            .iter()
            .filter(move |governor| governor.chain.direction == direction)
    };
    let calls = stands(Direction::Outbound).any(Governor::retries);
    if !calls || stands(Direction::Inbound).next().is_none() {
        return;
    }
    let sides = stands(Direction::Inbound).chain(stands(Direction::Outbound));
    for governor in sides.filter(|governor| governor.routing.trust.is_empty()) {
        let problem = "nobody is trusted: deadlines and the marks of retries are not carried from the inbound to the \
                       outbound side, so that a retry is retried again; list the callers that are believed, on both sides";
        findings.warning(&format!("{}: trust", governor.path), problem);
    }
}
