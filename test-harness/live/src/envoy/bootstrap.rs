//! Envoy bootstraps, built from what a test or the demo needs to say.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::body::Body;

/// A listener with one route for each path prefix.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The configuration of the filter; none without it.
    pub policy: Option<Value>,
    /// Routes, first match wins.
    pub routes: Vec<Route>,
    /// `INBOUND` or `OUTBOUND`.
    pub direction: Option<&'static str>,
    /// HTTP filters before Seawall's.
    pub filters: Vec<Value>,
    /// The same filter once more, in the router's upstream filters, where it sees each attempt.
    pub upstream: bool,
    /// Whether the filter's `root_id` says in which position it stands.
    pub named_roots: bool,
    /// Where it listens; a free port of this machine without it.
    pub address: Option<SocketAddr>,
    /// More of its virtual host, such as `include_request_attempt_count`.
    pub virtual_host: Value,
}

/// A route.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Paths that begin so.
    pub prefix: String,
    /// CONNECT requests, which have no path, in the place of those paths.
    pub connect: bool,
    /// Go to this cluster.
    pub cluster: String,
    /// The policy its metadata names.
    pub policy: Option<String>,
    /// More of its `route` action, such as `timeout` or `retry_policy`.
    pub action: Value,
    /// Its `typed_per_filter_config`: what a filter of the listener does on this route.
    pub filters: Value,
}

/// A cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<SocketAddr>,
    /// More of its configuration, such as `outlier_detection`.
    pub more: Value,
    /// HTTP/2 to the hosts, as gRPC needs it.
    pub http2: bool,
}

/// The labels in the filter's metric names, as the shipped bootstrap takes them apart.
pub fn stats_tags() -> Value {
    let names = [
        "policy", "upstream", "decision", "reason", "outcome", "from", "to", "rung", "call",
    ];
    let tags = names.map(|name| {
        json!({"tag_name": name, "regex": format!(r"^wasmcustom\.seawall_.*?(\.\.{name}=(.*?))(?:\.\.|$)")})
    });
    json!(tags)
}

/// The filter as an HTTP filter, in the body that the file is: a module of WebAssembly, or a shared library.
pub fn seawall(file: &Path, policy: &Value) -> Value {
    match Body::of(file) {
        Body::Wasm => wasm(file, policy),
        Body::Module => dynamic_module(file, policy),
    }
}

/// The dynamic module: its file stands where `ENVOY_DYNAMIC_MODULES_SEARCH_PATH` says, and its name goes without `lib` and `.so`.
fn dynamic_module(file: &Path, policy: &Value) -> Value {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    json!({
        "name": "seawall",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {
                "name": stem.trim_start_matches("lib"),
                "do_not_close": true,
                "metrics_namespace": "seawall"
            },
            "filter_name": "seawall",
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": policy.to_string()
            }
        }
    })
}

/// One VM for each worker, state shared by `vm_id`, alive again after a trap.
fn wasm(wasm: &Path, policy: &Value) -> Value {
    json!({
        "name": "seawall",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "seawall",
                "root_id": "seawall",
                "failure_policy": "FAIL_RELOAD",
                "reload_config": {"backoff": {"base_interval": "0.1s"}},
                "vm_config": {
                    "vm_id": "seawall",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": wasm}}
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": policy.to_string()
                }
            }
        }
    })
}

/// A whole bootstrap on free ports.
pub fn bootstrap(wasm: &Path, listeners: &[Listener], clusters: &[Cluster]) -> Value {
    let listeners: Vec<Value> = listeners
        .iter()
        .map(|listener| self::listener(wasm, listener))
        .collect();
    let clusters: Vec<Value> = clusters.iter().map(cluster).collect();
    let mut whole = json!({
        "admin": {"address": address(free_port())},
        "stats_config": {"stats_tags": stats_tags()},
        "static_resources": {"listeners": listeners, "clusters": clusters}
    });
    if Body::of(wasm) == Body::Module {
        // Metrics have the names that those of the other body have.
        let same_names = json!({"envoy": {"reloadable_features": {"dynamic_modules_strip_custom_stat_prefix": true}}});
        whole["layered_runtime"] =
            json!({"layers": [{"name": "seawall", "static_layer": same_names}]});
    }
    whole
}

fn listener(wasm: &Path, listener: &Listener) -> Value {
    let mut filters = listener.filters.clone();
    let policy = listener.policy.as_ref();
    filters.extend(policy.map(|policy| rooted(seawall(wasm, policy), listener, "seawall-down")));
    filters.push(router(wasm, listener));
    let routes: Vec<Value> = listener.routes.iter().map(route).collect();
    let mut virtual_host = json!({"name": "all", "domains": ["*"], "routes": routes});
    extend(&mut virtual_host, &listener.virtual_host);
    json!({
        "name": listener.name,
        "address": address(listener.address.unwrap_or_else(free_port)),
        "traffic_direction": listener.direction.unwrap_or("OUTBOUND"),
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": listener.name,
                "max_request_headers_kb": 96,
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "generate_request_id": true,
                "route_config": {"virtual_hosts": [virtual_host]},
                "http_filters": filters,
                "access_log": [access_log(Body::of(wasm))]
            }
        }]}]
    })
}

/// The filter with this root, where the listener wants roots with names.
fn rooted(mut filter: Value, listener: &Listener, root_id: &str) -> Value {
    if listener.named_roots {
        let config = &mut filter["typed_config"];
        match config.get("filter_name") {
            Some(_) => config["filter_name"] = json!(root_id),
            None => config["config"]["root_id"] = json!(root_id),
        }
    }
    filter
}

/// The router; with the filter in the upstream position too, if the listener wants that. The codec must be the last there.
fn router(wasm: &Path, listener: &Listener) -> Value {
    let mut router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    });
    if let (true, Some(policy)) = (listener.upstream, &listener.policy) {
        router["typed_config"]["upstream_http_filters"] = json!([
            rooted(seawall(wasm, policy), listener, "seawall-up"),
            {
                "name": "envoy.filters.http.upstream_codec",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
                }
            }
        ]);
    }
    router
}

/// An access log that says what Seawall did, beside what Envoy did.
fn access_log(body: Body) -> Value {
    // Envoy puts `wasm.` before the filter state that a module of WebAssembly sets.
    let key = match body {
        Body::Wasm => "wasm.seawall",
        Body::Module => "seawall",
    };
    let format = format!(
        "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %FILTER_STATE({key}.decision:PLAIN)% %FILTER_STATE({key}.reason:PLAIN)%\n"
    );
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string": format}}
        }
    })
}

fn route(route: &Route) -> Value {
    let mut action = json!({"cluster": route.cluster, "timeout": "15s"});
    extend(&mut action, &route.action);
    let matches = match route.connect {
        true => json!({"connect_matcher": {}}),
        false => json!({"prefix": route.prefix}),
    };
    let mut whole = json!({"match": matches, "route": action, "name": route.prefix});
    if !route.filters.is_null() {
        whole["typed_per_filter_config"] = route.filters.clone();
    }
    if let Some(policy) = &route.policy {
        whole["metadata"] = json!({"filter_metadata": {"seawall": {"policy": policy}}});
    }
    whole
}

fn cluster(cluster: &Cluster) -> Value {
    let hosts: Vec<Value> = cluster
        .hosts
        .iter()
        .map(|host| json!({"endpoint": {"address": address(*host)}}))
        .collect();
    let mut whole = json!({
        "name": cluster.name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [
            {"max_connections": 10_000, "max_pending_requests": 10_000, "max_requests": 10_000, "max_retries": 1_000}
        ]},
        "load_assignment": {"cluster_name": cluster.name, "endpoints": [{"lb_endpoints": hosts}]}
    });
    if cluster.http2 {
        whole["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}
            }
        });
    }
    extend(&mut whole, &cluster.more);
    whole
}

/// Puts what is given on top of what there is.
fn extend(whole: &mut Value, more: &Value) {
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), more.as_object()) {
        whole.extend(more.clone());
    }
}

fn free_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn address(socket: SocketAddr) -> Value {
    json!({"socket_address": {"address": socket.ip().to_string(), "port_value": socket.port()}})
}
