//! What belongs to an Envoy and was not read: what comes from elsewhere, and filters in places that no rule knows.

use std::collections::HashSet;

use serde_json::Value;

use super::cluster::Clusters;
use super::configuration;
use super::place::{Chain, Direction};
use super::retries::Governor;
use crate::check::filter::{Extensions, Met, discovered, source, walk};
use crate::check::layers::{Envoy, Kind};
use crate::check::{Findings, body, joined, rules};

pub(super) fn check<'a>(
    findings: &mut Findings,
    envoy: &'a Envoy,
    extensions: &Extensions<'a>,
    chains: &[Chain<'a>],
    governors: &[Governor<'_>],
    clusters: &Clusters<'_>,
) {
    for chain in chains {
        let behind = chain.behind().map_or(&[][..], |behind| &behind.filters);
        for filter in chain.filters().iter().chain(behind) {
            if let Some(why) = filter.unread(true) {
                findings.unread(&filter.path, why);
            }
        }
        if chain.places().next().is_some() {
            routes(findings, chain);
        }
    }
    strays(findings, envoy, extensions, chains);
    listeners(findings, envoy);
    if governors.iter().any(|governor| asks_clusters(governor)) {
        clusters_elsewhere(findings, envoy, clusters);
    }
}

/// Routes that come from elsewhere, in whole or in part.
fn routes(findings: &mut Findings, chain: &Chain<'_>) {
    if let Some((path, routes)) = &chain.routes {
        if routes.get("vhds").is_some() {
            let problem = "virtual hosts come from elsewhere: their routes are not judged";
            findings.unread(&joined(path, "vhds"), problem);
        }
        return;
    }
    for key in ["rds", "scoped_routes"] {
        if let Some(given) = chain.owner.get(key) {
            let from = match given.get("config_source") {
                Some(given) => source(given),
                None => source(&given["rds_config_source"]),
            };
            let problem = format!(
                "routes come from elsewhere ({from}): their limits and retries are not judged; check them together with \
                 this, or what Envoy's /config_dump says"
            );
            findings.unread(&joined(&chain.owner_path, key), problem);
        }
    }
}

/// Filters that stand in no chain: by a matcher, for a route, in a listener of another kind.
fn strays<'a>(
    findings: &mut Findings,
    envoy: &'a Envoy,
    extensions: &Extensions<'a>,
    chains: &[Chain<'a>],
) {
    let mut judged: HashSet<&str> = HashSet::new();
    for chain in chains {
        let behind = chain.behind().map_or(&[][..], |behind| &behind.filters);
        for filter in chain.filters().iter().chain(behind) {
            judged.insert(&filter.path);
            judged.insert(filter.message_path.trim_end_matches(".value"));
        }
    }
    for part in &envoy.parts {
        let is_extension = part.kind == Kind::Extension;
        walk(
            &part.path,
            &part.value,
            is_extension,
            extensions,
            &mut |met| {
                let (filter, is_http) = match met {
                    Met::Filter(filter, is_http) => (filter, is_http),
                    Met::Discovered(path, given) => return discovered(findings, &path, given),
                    Met::Behind(_) => return,
                };
                let own = joined(&filter.path, "typed_config");
                if judged.contains(filter.path.as_str())
                    || (is_extension && judged.contains(own.as_str()))
                {
                    return;
                }
                if let Some(why) = filter.unread(is_http) {
                    findings.unread(&filter.path, why);
                }
                if !filter.is_seawall() {
                    return;
                }
                configuration(findings, &filter);
                body::check(findings, &filter);
                body::state(findings, &filter);
                if !is_extension {
                    let problem = "the filter stands outside of a list of HTTP filters: whether and where it runs is not judged";
                    findings.unread(&filter.path, problem);
                }
            },
        );
    }
}

/// Listeners that come from elsewhere may have the filter too.
fn listeners(findings: &mut Findings, envoy: &Envoy) {
    if envoy.has(Kind::Listener) {
        return;
    }
    for part in envoy.of(Kind::Bootstrap) {
        if let Some(given) = part.value.pointer("/dynamic_resources/lds_config") {
            let problem = format!(
                "listeners come from elsewhere ({}): check them together with this, or what Envoy's /config_dump says",
                source(given)
            );
            findings.unread(&joined(&part.path, "dynamic_resources.lds_config"), problem);
        }
    }
}

fn asks_clusters(governor: &Governor<'_>) -> bool {
    let routing = &governor.routing;
    governor.chain.direction != Direction::Inbound && routing.policies.iter().any(rules::repeats)
}

/// Clusters whose own limit on retries is not known.
fn clusters_elsewhere(findings: &mut Findings, envoy: &Envoy, clusters: &Clusters<'_>) {
    let problem = "their max_retries is not judged; check them together with this, or what Envoy's /config_dump says";
    let mut bootstraps = envoy.of(Kind::Bootstrap).peekable();
    if bootstraps.peek().is_none() && clusters.names().next().is_none() {
        findings.unread(&envoy.at, format!("there are no clusters here: {problem}"));
    }
    if !clusters.dynamic {
        return;
    }
    for part in bootstraps {
        let given = part.value.pointer("/dynamic_resources/cds_config");
        let path = joined(&part.path, "dynamic_resources.cds_config");
        let from = source(given.unwrap_or(&Value::Null));
        findings.unread(
            &path,
            format!("clusters come from elsewhere ({from}): {problem}"),
        );
    }
}
