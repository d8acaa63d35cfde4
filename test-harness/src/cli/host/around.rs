//! What stands around the filter as options: names, clusters, metadata, properties.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Map, Value};

use crate::host::{Known, Options, metadata};
use crate::process::Properties;

/// Names, clusters, metadata and properties.
#[derive(Debug, Args)]
pub(super) struct Around {
    /// One more cluster that the filter may call, beside `upstream`; may be repeated.
    #[arg(long, value_name = "NAME")]
    cluster: Vec<String>,
    /// The plugin's name.
    #[arg(long, value_name = "NAME", default_value = "filter")]
    plugin_name: String,
    /// The VM's id: under it stand shared queues.
    #[arg(long, value_name = "ID", default_value = "vm")]
    vm_id: String,
    /// The node's id, as the property xds.node.id.
    #[arg(long, value_name = "ID", default_value = "")]
    node_id: String,
    /// The node's cluster, as the property xds.node.cluster.
    #[arg(long, value_name = "NAME", default_value = "")]
    node_cluster: String,
    /// The node's metadata, under xds.node.metadata: a file of JSON, or JSON itself.
    #[arg(long, value_name = "FILE|JSON")]
    node_metadata: Option<String>,
    /// The route's name.
    #[arg(long, value_name = "NAME", default_value = "upstream")]
    route_name: String,
    /// The route's metadata as Envoy has it, {"filter_metadata": {...}}: a file of JSON, or JSON itself.
    #[arg(long, value_name = "FILE|JSON")]
    route_metadata: Option<String>,
    /// The same of the cluster that the route names.
    #[arg(long, value_name = "FILE|JSON")]
    cluster_metadata: Option<String>,
    /// A property, such as source.address=10.0.0.1:80, or with := and JSON, such as xds.listener_direction:=1. A dot
    /// within a part is \. ; may be repeated, and wins over what the host says.
    #[arg(long, value_name = "PATH=VALUE")]
    property: Vec<String>,
    /// So long may a stream stand still.
    #[arg(long, value_name = "TIME", value_parser = super::super::nanos, default_value = "5m")]
    idle_timeout: u64,
}

impl Around {
    /// Tells the host.
    pub(super) fn tell(&self, options: &mut Options) -> anyhow::Result<()> {
        let json =
            |given: &Option<String>, option: &str, check: fn(&Value) -> anyhow::Result<()>| {
                let read = given.as_deref().map(|given| {
                    let value = json(given)?;
                    check(&value).map(|()| value)
                });
                let read = read.transpose().with_context(|| option.to_owned());
                read.map(Option::unwrap_or_default)
            };
        let node = &mut options.process.properties;
        for (part, text) in [("id", &self.node_id), ("cluster", &self.node_cluster)] {
            let path = format!("xds\0node\0{part}");
            node.insert(path, text.clone().into_bytes());
        }
        let metadata = json(&self.node_metadata, "--node-metadata", |_| Ok(()))?;
        metadata::spread("xds\0node\0metadata", &metadata, node);
        let mut more = Properties::new();
        for (number, given) in self.property.iter().enumerate() {
            let path = |given: &String| {
                let path = given.split('=').next().unwrap_or_default();
                path.trim_end_matches(':').to_owned()
            };
            let mut before = self.property.iter().take(number);
            ensure!(
                !before.any(|other| path(other) == path(given)),
                "--property {}: given twice",
                path(given)
            );
            property(given, &mut more).with_context(|| format!("--property {given}"))?;
        }
        node.extend(more.clone());
        options.known = Known {
            route: self.route_name.clone(),
            route_metadata: json(
                &self.route_metadata,
                "--route-metadata",
                metadata_of_filters,
            )?,
            cluster_metadata: json(
                &self.cluster_metadata,
                "--cluster-metadata",
                metadata_of_filters,
            )?,
            more,
        };
        options.clusters.clone_from(&self.cluster);
        options.idle_timeout = self.idle_timeout;
        self.plugin_name
            .clone_into(&mut options.process.plugin_name);
        self.vm_id.clone_into(&mut options.process.vm_id);
        Ok(())
    }
}

/// How metadata of a route or a cluster is written.
const METADATA: &str = r#"{"filter_metadata": {"a.b": {"key": "value"}}}"#;

/// JSON itself, or a file of it: always an object.
fn json(given: &str) -> anyhow::Result<Value> {
    if given.trim_start().starts_with('{') {
        return Ok(serde_json::from_str(given)?);
    }
    let read = || -> anyhow::Result<Value> {
        let text = super::super::text(Path::new(given))?;
        let value: Value = serde_json::from_str(&text)?;
        ensure!(
            value.is_object(),
            "this must be an object, such as {METADATA}"
        );
        Ok(value)
    };
    read().with_context(|| given.to_owned())
}

/// What Envoy takes for metadata of a route or a cluster, and a filter can see: objects by the names of filters.
fn metadata_of_filters(value: &Value) -> anyhow::Result<()> {
    let keys = value.as_object().into_iter().flat_map(Map::keys);
    let mut others =
        keys.filter(|key| !["filter_metadata", "typed_filter_metadata"].contains(&key.as_str()));
    if let Some(other) = others.next() {
        bail!("\"{other}\" is no key of metadata: write {METADATA}");
    }
    let Some(filters) = value.get("filter_metadata").and_then(Value::as_object) else {
        bail!("there is no object filter_metadata: write {METADATA}");
    };
    if let Some((name, _)) = filters.iter().find(|(_, filter)| !filter.is_object()) {
        bail!("filter_metadata.{name} is no object: write {METADATA}");
    }
    Ok(())
}

fn property(given: &str, into: &mut Properties) -> anyhow::Result<()> {
    let Some((path, value)) = given.split_once('=') else {
        bail!("this has no value: write it as in source.address=10.0.0.1:80");
    };
    let (path, is_json) = match path.strip_suffix(':') {
        Some(path) => (path, true),
        None => (path, false),
    };
    if path.is_empty() {
        bail!("this has no path: write it as in source.address=10.0.0.1:80");
    }
    // A dot with a backslash is none between parts.
    let path = path
        .replace("\\.", "\u{1}")
        .replace('.', "\0")
        .replace('\u{1}', ".");
    if is_json {
        let value: Value = serde_json::from_str(value)?;
        metadata::attributes(&path, &value, into);
    } else {
        into.insert(path, value.as_bytes().to_vec());
    }
    Ok(())
}
