//! What stands around the filter as options: names, clusters, metadata, properties.

use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use crate::host::{Known, Options, metadata};
use crate::worker::Properties;

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
        let json = |given: &Option<String>, option: &str| {
            let read = given.as_deref().map(json).transpose();
            let read = read.with_context(|| option.to_owned());
            read.map(Option::unwrap_or_default)
        };
        let node = &mut options.process.properties;
        for (part, text) in [("id", &self.node_id), ("cluster", &self.node_cluster)] {
            let path = format!("xds\0node\0{part}");
            node.insert(path, text.clone().into_bytes());
        }
        let metadata = json(&self.node_metadata, "--node-metadata")?;
        metadata::spread("xds\0node\0metadata", &metadata, node);
        let mut more = Properties::new();
        for given in &self.property {
            property(given, &mut more).with_context(|| format!("--property {given}"))?;
        }
        node.extend(more.clone());
        options.known = Known {
            route: self.route_name.clone(),
            route_metadata: json(&self.route_metadata, "--route-metadata")?,
            cluster_metadata: json(&self.cluster_metadata, "--cluster-metadata")?,
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

/// JSON itself, or a file of it: always an object.
fn json(given: &str) -> anyhow::Result<Value> {
    let text = match given.trim_start().starts_with('{') {
        true => given.to_owned(),
        false => super::super::text(Path::new(given)).with_context(|| given.to_owned())?,
    };
    let value: Value = serde_json::from_str(&text)?;
    if !value.is_object() {
        bail!(
            "this must be an object, such as {{\"filter_metadata\": {{\"a.b\": {{\"key\": \"value\"}}}}}}"
        );
    }
    Ok(value)
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
