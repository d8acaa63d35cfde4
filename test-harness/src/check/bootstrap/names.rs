//! Policies that an Envoy has and nothing in it names, breakers before an application that they do not cut off, and states
//! that callers can spoil by the host that they name.

use std::collections::HashSet;

use seawall_policy::breaker::Mode;
use seawall_policy::route::{DEFAULT, Key, Routing};
use serde_json::Value;

use super::cluster::Clusters;
use super::place::Direction;
use super::retries::Governor;
use super::route::routes;
use crate::check::Findings;

/// All filters of one Envoy.
pub(super) fn check(findings: &mut Findings, governors: &[Governor<'_>], clusters: &Clusters<'_>) {
    for (index, governor) in governors.iter().enumerate() {
        let is_same = |other: &&Governor<'_>| other.routing == governor.routing;
        if governors[..index].iter().any(|other| is_same(&other)) {
            continue;
        }
        let same: Vec<&Governor<'_>> = governors.iter().filter(is_same).collect();
        unnamed(findings, governor, &same);
        inbound(findings, governor, &same);
    }
    by_host(findings, governors, clusters);
}

/// A policy is named by an upstream, by a route, or by another policy that extends it. Where routes come from elsewhere they
/// may name any.
fn unnamed(findings: &mut Findings, governor: &Governor<'_>, same: &[&Governor<'_>]) {
    let routing: &Routing = &governor.routing;
    let extended = |name: &str| {
        let mut policies = policies(&governor.written);
        policies.any(|(_, policy)| policy["extends"].as_str() == Some(name))
    };
    let policies = routing.policies.iter().enumerate();
    let mut left: Vec<&str> = policies
        .filter(|(index, policy)| {
            policy.name != DEFAULT
                && !routing.upstreams.iter().any(|entry| entry.policy == *index)
                && !extended(&policy.name)
        })
        .map(|(_, policy)| policy.name.as_str())
        .collect();
    // Many listeners may share one set of routes.
    let mut judged: HashSet<&str> = HashSet::new();
    for governor in same {
        let is_new = judged.insert(governor.chain.routes_path().unwrap_or_default());
        if left.is_empty() || !is_new {
            continue;
        }
        let Some(routes) = routes(governor.chain) else {
            return;
        };
        for named in routes.iter().filter_map(super::route::Route::named) {
            left.retain(|name| *name != named);
        }
    }
    for name in left {
        let problem = "governs nothing: no entry of upstreams and no route's metadata names it";
        findings.warning(&format!("{}: policies.{name}", governor.path), problem);
    }
}

/// A breaker that was written for a listener on which it does nothing.
fn inbound(findings: &mut Findings, governor: &Governor<'_>, same: &[&Governor<'_>]) {
    if same
        .iter()
        .any(|governor| governor.chain.direction != Direction::Inbound)
    {
        return;
    }
    for (name, written) in policies(&governor.written) {
        let policy = governor.routing.named(name).map(|(_, policy)| policy);
        let acts = policy
            .is_some_and(|policy| policy.breaker.mode != Mode::Off && !policy.breaker.inbound);
        if acts && written["breaker"].is_object() {
            let problem = "is not true, and the filter stands on INBOUND listeners alone: there this breaker does nothing, \
                           since it would cut the application off from all of its callers";
            let path = format!("{}: policies.{name}.breaker.inbound", governor.path);
            findings.warning(&path, problem);
        }
    }
}

fn policies(written: &Value) -> impl Iterator<Item = (&String, &Value)> {
    written["policies"].as_object().into_iter().flatten()
}

/// Strangers choose the host; where a connection depends on it, they can make connections fail that count for all.
fn by_host(findings: &mut Findings, governors: &[Governor<'_>], clusters: &Clusters<'_>) {
    let mut names = clusters.names();
    if !names.any(|name| clusters.asks_by_host(name).is_some()) {
        return;
    }
    let mut told: Vec<&str> = Vec::new();
    for governor in governors {
        if governor.chain.direction != Direction::Either {
            continue;
        }
        let routes = routes(governor.chain);
        for route in routes.iter().flatten().filter(|route| route.keeps_host()) {
            for cluster in route.clusters().unwrap_or_default() {
                let Some(path) = clusters
                    .asks_by_host(cluster)
                    .filter(|_| !told.contains(&cluster))
                else {
                    continue;
                };
                let (Some((policy, Key::Cluster)), _) =
                    governor.routing.select(cluster, route.named())
                else {
                    continue;
                };
                if policy.breaker.mode.counts() {
                    told.push(cluster);
                    let problem = format!(
                        "auto_sni and auto_san_validation take the caller's host, so that whoever names another makes the \
                         connection fail, and all of it is one state of the policy \"{}\": write host_rewrite_literal at \
                         the route, or \"key\": \"authority\" at the upstream",
                        policy.name
                    );
                    findings.warning(&path, problem);
                }
            }
        }
    }
}
