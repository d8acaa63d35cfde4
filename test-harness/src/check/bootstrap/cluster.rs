//! The clusters of a bootstrap, and Envoy's own limit on retries to them.

use serde_json::Value;

use crate::check::joined;

/// How many retries at a time Envoy lets through where nobody says.
pub(super) const MAX_RETRIES_DEFAULT: u64 = 3;

/// The clusters that stand in the bootstrap itself.
pub(super) struct Clusters<'a> {
    all: Vec<(String, &'a Value)>,
    /// Whether there may be others.
    pub(super) dynamic: bool,
}

impl<'a> Clusters<'a> {
    /// Reads them.
    pub(super) fn of(at: &str, document: &'a Value) -> Self {
        let clusters = document.pointer("/static_resources/clusters");
        let clusters = clusters.and_then(Value::as_array).into_iter().flatten();
        let at = joined(at, "static_resources.clusters");
        Self {
            all: clusters
                .enumerate()
                .map(|(index, cluster)| (format!("{at}[{index}]"), cluster))
                .collect(),
            dynamic: document.pointer("/dynamic_resources/cds_config").is_some(),
        }
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.all
            .iter()
            .filter_map(|(_, cluster)| cluster["name"].as_str())
    }

    fn named(&self, name: &str) -> Option<&(String, &'a Value)> {
        let mut all = self.all.iter();
        all.find(|(_, cluster)| cluster["name"].as_str() == Some(name))
    }

    /// Where this cluster has HTTP filters of its own, if it has any.
    pub(super) fn own_filters(&self, name: &str) -> Option<String> {
        const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let (path, cluster) = self.named(name)?;
        let filters = &cluster["typed_extension_protocol_options"][OPTIONS]["http_filters"];
        let there = filters
            .as_array()
            .is_some_and(|filters| !filters.is_empty());
        there.then(|| {
            let path = joined(path, "typed_extension_protocol_options");
            format!("{path}.{OPTIONS}.http_filters")
        })
    }

    /// Envoy's limit on retries to this cluster, and where it stands; `None` where a budget of Envoy's takes its place,
    /// or where there is no such cluster.
    pub(super) fn max_retries(&self, name: &str) -> Option<(String, Option<u64>)> {
        let (path, cluster) = self.named(name)?;
        let path = joined(path, "circuit_breakers.thresholds");
        let thresholds = cluster.pointer("/circuit_breakers/thresholds");
        let mut thresholds = thresholds.and_then(Value::as_array).into_iter().flatten();
        // Of several for one priority Envoy takes the first.
        let default = thresholds.find(|entry| match entry.get("priority") {
            None => true,
            Some(priority) => priority.as_str() == Some("DEFAULT") || priority.as_u64() == Some(0),
        });
        let Some(entry) = default else {
            return Some((path, None));
        };
        if entry.get("retry_budget").is_some() {
            return None;
        }
        // Protobuf's JSON takes a number as text too.
        let given = &entry["max_retries"];
        let text = || given.as_str().and_then(|text| text.parse().ok());
        Some((path, given.as_u64().or_else(text)))
    }
}
