//! A rung that goes to another cluster: the cluster must be there, and a route must lead to it.

use seawall_policy::fallback::{Fallback, Rung};
use seawall_policy::route::Routing;

use super::cluster::Clusters;
use super::place::Chain;
use super::route::routes;
use crate::check::Findings;

/// One place before a router, whose configuration stands at `at`.
pub(super) fn check(
    findings: &mut Findings,
    at: &str,
    chain: &Chain<'_>,
    routing: &Routing,
    clusters: &Clusters<'_>,
) {
    let rungs = routing
        .policies
        .iter()
        .flat_map(|policy| &policy.fallback.rungs);
    let goes = |rung: &Rung| matches!(rung.answer, Fallback::Cluster(_));
    // There may be many routes, and many chains that share them.
    if !rungs.into_iter().any(goes) {
        return;
    }
    let routes = routes(chain);
    for policy in &routing.policies {
        for (index, rung) in policy.fallback.rungs.iter().enumerate() {
            let Fallback::Cluster(cluster) = &rung.answer else {
                continue;
            };
            let path = format!(
                "{at}.configuration: policies.{}.fallback[{index}].cluster",
                policy.name
            );
            let known = clusters.is_known(cluster);
            if !clusters.dynamic && !known && clusters.names().next().is_some() {
                let problem = format!("there is no cluster \"{cluster}\" in this Envoy");
                findings.warning(&path, problem);
            }
            // Where routes come from elsewhere nothing can be said.
            let routed = routes
                .as_ref()
                .is_none_or(|routes| routes.iter().any(|route| route.fails_over_to(cluster)));
            if !routed {
                let problem = format!(
                    "no route goes there by the header x-seawall-failover: the request would get 503; put \
                     {{match: {{prefix: \"/\", headers: [{{name: x-seawall-failover, present_match: true}}]}}, route: \
                     {{cluster_header: x-seawall-failover}}, request_headers_to_remove: [x-seawall-failover]}} first in \
                     {}.route_config.virtual_hosts[].routes",
                    chain.owner_path
                );
                findings.warning(&path, problem);
            }
        }
    }
}
