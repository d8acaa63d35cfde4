//! The Envoy of a row: the same listener, routes and clusters, and only what stands before the router is another.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use seawall_harness::bench::rows::{Positions, policies};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::rows::{Row, Stands};
use crate::envoy::body::Body;
use crate::envoy::bootstrap::{Cluster, Listener, Route, bootstrap, seawall};

/// The listener's name.
pub(super) const LISTENER: &str = "bench";
/// The header that names the cluster where there are many.
pub(super) const CLUSTER_HEADER: &str = "x-cluster";
const LUA: &str = include_str!("../../../benches/breaker.lua");
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// The modules that Envoy loads.
pub(super) struct Modules {
    filter: PathBuf,
    dynamic_module: PathBuf,
    nothing: PathBuf,
    _files: TempDir,
}

impl Modules {
    pub(super) fn new() -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let nothing = files.path().join("nothing.wasm");
        std::fs::write(&nothing, seawall_harness::bench::nothing()?)?;
        let (filter, dynamic_module) = (Body::Wasm.file()?, Body::Module.file()?);
        Ok(Self {
            filter,
            dynamic_module,
            nothing,
            _files: files,
        })
    }
}

/// The name of a cluster by its number.
pub(super) fn cluster_name(number: usize) -> String {
    format!("upstream-{number}")
}

/// The bootstrap of a row, all of whose clusters are this upstream.
pub(super) fn of(row: &Row, modules: &Modules, upstream: SocketAddr) -> anyhow::Result<Value> {
    let filters = match row.stands {
        Stands::NoFilter | Stands::Native | Stands::Seawall | Stands::Module => Vec::new(),
        Stands::Nothing => vec![nothing(&modules.nothing)],
        Stands::Lua => vec![lua()],
    };
    let listener = Listener {
        name: LISTENER.to_owned(),
        policy: row.is_seawall().then(|| policy(row)).transpose()?,
        upstream: row.positions == Positions::Both,
        named_roots: true,
        routes: routes(row)?,
        filters,
        ..Listener::default()
    };
    let clusters: Vec<Cluster> = (0..row.upstreams)
        .map(|number| Cluster {
            name: cluster_name(number),
            hosts: vec![upstream],
            more: if row.stands == Stands::Native {
                native()
            } else {
                Value::Null
            },
            http2: false,
        })
        .collect();
    let filter = match row.stands {
        Stands::Module => &modules.dynamic_module,
        _ => &modules.filter,
    };
    let mut whole = bootstrap(filter, &[listener], &clusters);
    let manager = whole.pointer_mut(MANAGER).context(MANAGER)?;
    if let Some(manager) = manager.as_object_mut() {
        // What a log costs is the same for all, and no part of this.
        manager.remove("access_log");
    }
    if row.upstreams > 1 {
        let routes = manager.pointer_mut("/route_config/virtual_hosts/0/routes");
        let routes = routes.and_then(Value::as_array_mut).context("routes")?;
        for route in routes {
            let action = route["route"].as_object_mut().context("a route's action")?;
            action.remove("cluster");
            action.insert("cluster_header".to_owned(), json!(CLUSTER_HEADER));
        }
    }
    Ok(whole)
}

fn policy(row: &Row) -> anyhow::Result<Value> {
    let name = row.policy.as_deref().unwrap_or_default();
    let missing = || {
        format!(
            "row \"{}\": no policy \"{name}\" in policies.yaml",
            row.name
        )
    };
    policies()?.remove(name).with_context(missing)
}

/// As many as the row has; all but the last are for other paths.
fn routes(row: &Row) -> anyhow::Result<Vec<Route>> {
    let action = match row.positions {
        Positions::Both => json!({"retry_policy": retry_policy(&policy(row)?)}),
        Positions::Downstream => Value::Null,
    };
    let others = (1..row.routes).map(|number| format!("/other/{number}/"));
    let prefixes = others.chain(["/".to_owned()]);
    let route = |prefix| Route {
        prefix,
        cluster: cluster_name(0),
        action: action.clone(),
        ..Route::default()
    };
    Ok(prefixes.map(route).collect())
}

/// What a route says of retries: as the shipped configuration has it, without retry_on it retries nothing by itself.
fn retry_policy(policy: &Value) -> Value {
    let back_off = json!({"base_interval": "0.025s"});
    match policy.pointer("/policies/default/retries/router") {
        Some(Value::String(router)) if router == "route" => json!({
            "retry_on": "retriable-headers,reset,connect-failure,refused-stream",
            "num_retries": 1,
            "retriable_headers": [{"name": "x-seawall-retry"}],
            "retry_back_off": back_off
        }),
        _ => json!({"retry_back_off": back_off}),
    }
}

fn nothing(module: &Path) -> Value {
    let mut filter = seawall(module, &json!({}));
    filter["name"] = json!("nothing");
    let config = &mut filter["typed_config"]["config"];
    for place in ["name", "root_id"] {
        config[place] = json!("nothing");
    }
    config["vm_config"]["vm_id"] = json!("nothing");
    filter
}

fn lua() -> Value {
    json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA}
        }
    })
}

/// Envoy's own means against a sick upstream. The limits of `circuit_breakers` are on every row, since no Envoy is without. With
/// a panic threshold of 0 a cluster whose hosts are all ejected gets no requests.
fn native() -> Value {
    json!({
        "outlier_detection": {
            "consecutive_5xx": 20, "interval": "1s", "base_ejection_time": "2s", "max_ejection_percent": 100
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}}
    })
}
