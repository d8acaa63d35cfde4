//! The clusters of an Envoy, and Envoy's own limit on retries to them.

use std::collections::HashMap;

use serde_json::Value;

use crate::check::layers::{Envoy, Kind};
use crate::check::{joined, list};

/// How many retries at a time Envoy lets through where nobody says.
pub(super) const MAX_RETRIES_DEFAULT: u64 = 3;

/// The name of a cluster's HTTP options.
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The clusters that are known.
pub(super) struct Clusters<'a> {
    names: Vec<&'a str>,
    all: HashMap<&'a str, (String, &'a Value)>,
    /// Whether there may be others.
    pub(super) dynamic: bool,
}

impl<'a> Clusters<'a> {
    /// Reads them.
    pub(super) fn of(envoy: &'a Envoy) -> Self {
        let mut clusters = Self {
            names: Vec::new(),
            all: HashMap::new(),
            dynamic: false,
        };
        let mut others = false;
        for part in envoy.of(Kind::Bootstrap) {
            let at = joined(&part.path, "static_resources.clusters");
            let fixed = part.value.pointer("/static_resources/clusters");
            for (index, cluster) in fixed.map_or(&[][..], list).iter().enumerate() {
                clusters.add(format!("{at}[{index}]"), cluster);
            }
            others |= part
                .value
                .pointer("/dynamic_resources/cds_config")
                .is_some();
        }
        for part in envoy.of(Kind::Cluster) {
            clusters.add(part.path.clone(), &part.value);
        }
        clusters.dynamic = others && !envoy.has(Kind::Cluster);
        clusters
    }

    fn add(&mut self, path: String, cluster: &'a Value) {
        let Some(name) = cluster["name"].as_str() else {
            return;
        };
        self.names.push(name);
        // Of two of one name the first counts.
        self.all.entry(name).or_insert((path, cluster));
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.names.iter().copied()
    }

    /// Whether there is a cluster of this name.
    pub(super) fn is_known(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Where this cluster has HTTP filters of its own, if it has any.
    pub(super) fn own_filters(&self, name: &str) -> Option<String> {
        let (path, cluster) = self.all.get(name)?;
        let filters = &cluster["typed_extension_protocol_options"][OPTIONS]["http_filters"];
        (!list(filters).is_empty()).then(|| {
            let path = joined(path, "typed_extension_protocol_options");
            format!("{path}.{OPTIONS}.http_filters")
        })
    }

    /// Where this cluster takes the host of each request for the name of the server, and asks its certificate for it.
    pub(super) fn asks_by_host(&self, name: &str) -> Option<String> {
        let (path, cluster) = self.all.get(name)?;
        let options = cluster["typed_extension_protocol_options"][OPTIONS]
            .get("upstream_http_protocol_options")?;
        let is = |key: &str| options[key].as_bool() == Some(true);
        (is("auto_sni") && is("auto_san_validation")).then(|| path.clone())
    }

    /// Envoy's limit on retries to this cluster, and where it stands; `None` where a budget of Envoy's takes its place,
    /// or where there is no such cluster.
    pub(super) fn max_retries(&self, name: &str) -> Option<(String, Option<u64>)> {
        let (path, cluster) = self.all.get(name)?;
        let path = joined(path, "circuit_breakers.thresholds");
        let thresholds = cluster.pointer("/circuit_breakers/thresholds");
        let mut thresholds = thresholds.map_or(&[][..], list).iter();
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
        // The message around a number may be written out.
        let given = given.get("value").unwrap_or(given);
        let text = || given.as_str().and_then(|text| text.parse().ok());
        Some((path, given.as_u64().or_else(text)))
    }
}
