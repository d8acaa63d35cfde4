//! Policies that govern nothing of a trace, which is seldom what was meant.

use std::collections::BTreeMap;

use seawall_policy::glob;
use seawall_policy::route::Routing;

/// Clusters that are named in a warning.
const SHOWN: usize = 5;

/// A warning for each entry of `upstreams` that no request comes to, and for each cluster that no policy governs.
pub(super) fn unmatched(routing: &Routing, clusters: &BTreeMap<&str, u64>) -> Vec<String> {
    let mut warnings = Vec::new();
    let entry_of = |cluster: &str| {
        let mut entries = routing.upstreams.iter();
        entries.position(|entry| glob::matches(&entry.cluster, cluster))
    };
    for (index, entry) in routing.upstreams.iter().enumerate() {
        if clusters
            .keys()
            .any(|cluster| entry_of(cluster) == Some(index))
        {
            continue;
        }
        let policy = routing.policies.get(entry.policy);
        let policy = policy.map_or("", |policy| policy.name.as_str());
        let elsewhere = clusters
            .keys()
            .filter_map(|cluster| routing.select(cluster, None).0)
            .any(|(governing, _)| governing.name == policy);
        let what = match elsewhere {
            true => format!("no request of the trace comes to upstreams[{index}]"),
            false => format!(
                "policy \"{policy}\" governs no request of the trace: none comes to upstreams[{index}]"
            ),
        };
        warnings.push(format!(
            "{what} (cluster \"{}\"); the trace has {}; --cluster NAME is the cluster of requests that name none",
            entry.cluster,
            names(clusters)
        ));
    }
    let governed = |cluster: &str| routing.select(cluster, None).0.is_some();
    for (cluster, count) in clusters
        .iter()
        .filter(|(cluster, _)| !governed(cluster))
        .take(SHOWN)
    {
        let what = match count {
            1 => "1 request of the trace passes".to_owned(),
            count => format!("{count} requests of the trace pass"),
        };
        warnings.push(format!(
            "no policy governs cluster \"{cluster}\": {what} by the filter"
        ));
    }
    warnings
}

/// The clusters that the most requests come to.
fn names(clusters: &BTreeMap<&str, u64>) -> String {
    let mut all: Vec<(&str, u64)> = clusters
        .iter()
        .map(|(cluster, count)| (*cluster, *count))
        .collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown = all
        .iter()
        .take(SHOWN)
        .map(|(cluster, _)| format!("\"{cluster}\""));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
