//! One Envoy with a route and a cluster for each case, and the filters behind Seawall that some of them need.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::Method;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::pool::{Pool, Protocol};
use serde_json::{Value, json};

use super::Played;
use super::cases::Does;
use crate::support::anywhere;

/// The listener of most cases, and the one with a filter whose configuration never comes.
pub(super) const EDGE: &str = "edge";
pub(super) const UNCONFIGURED: &str = "unconfigured";
/// A cluster that answers well.
pub(super) const WELL: &str = "well";
/// The path of a request that takes the only token of the local limit.
const TOKEN: &str = "/token/";

/// The file that holds the pressure.
const PRESSURE: &str = "pressure";
const TYPES: &str = "type.googleapis.com";

/// Starts it. One worker, so that what was counted before a request is known where that request is. `closed` is a port
/// where nobody listens; `direction` is that of both listeners; `files` is a directory of the test.
pub(super) async fn start(
    played: &[Arc<Played>],
    (closed, well): (SocketAddr, SocketAddr),
    direction: &'static str,
    files: &Path,
) -> anyhow::Result<Envoy> {
    let mut routes = vec![route(WELL, json!({}))];
    let mut clusters = vec![cluster(WELL, well), cluster("dead", closed)];
    for Played { case, host, .. } in played.iter().map(AsRef::as_ref) {
        let mut action = json!({"timeout": "0s"});
        merge(&mut action, &case.route);
        routes.push(route(case.name, action));
        let mut cluster = cluster(case.name, *host);
        match case.does {
            Does::Nobody => cluster.hosts.clear(),
            does => cluster.http2 = does.is_http2(),
        }
        clusters.push(cluster);
    }
    // By default a breaker leaves inbound requests alone.
    let policy = match direction {
        "INBOUND" => json!({"breaker": {"inbound": true}}),
        _ => json!({}),
    };
    let listener = |name: &str| Listener {
        name: name.to_owned(),
        policy: Some(json!({"version": 1, "policies": {"default": policy}})),
        routes: routes.clone(),
        direction: Some(direction),
        ..Listener::default()
    };
    let listeners = [listener(EDGE), listener(UNCONFIGURED)];
    let mut whole = bootstrap(&filter()?, &listeners, &clusters);
    merge(&mut whole, &process(files)?);
    let resources = &mut whole["static_resources"];
    for (number, Played { case, .. }) in played.iter().map(AsRef::as_ref).enumerate() {
        let cluster = &mut resources["clusters"][number + 2];
        merge(cluster, &case.cluster);
        if case.filters.contains(&"names") {
            merge(cluster, &named_cluster(closed));
        }
    }
    for (number, more) in [behind(closed), vec![unconfigured(files)?]]
        .into_iter()
        .enumerate()
    {
        let manager =
            &mut resources["listeners"][number]["filter_chains"][0]["filters"][0]["typed_config"];
        extend_manager(manager, more, played);
    }
    Envoy::start(&whole, 1).await
}

/// Takes the only token of the local limit: what asks after this is refused. Behind the limit nobody listens.
pub(super) async fn use_token_up(envoy: &Envoy) -> anyhow::Result<()> {
    let pool = Pool::new(envoy.listener(EDGE)?, Protocol::Http1);
    let answer = pool.send(&Method::GET, TOKEN, &[]).await?;
    anyhow::ensure!(
        answer.status == 503,
        "it did not pass the limit: {answer:?}"
    );
    Ok(())
}

fn route(name: &str, action: Value) -> Route {
    Route {
        prefix: format!("/{name}/"),
        cluster: name.to_owned(),
        action,
        ..Route::default()
    }
}

fn cluster(name: &str, host: SocketAddr) -> Cluster {
    Cluster {
        name: name.to_owned(),
        hosts: vec![host],
        ..Cluster::default()
    }
}

/// A merge patch (RFC 7396): `null` takes away.
fn merge(whole: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *whole = patch.clone();
        return;
    };
    if !whole.is_object() {
        *whole = json!({});
    }
    for (name, value) in patch {
        match (value, whole.as_object_mut()) {
            (Value::Null, Some(whole)) => {
                whole.remove(name);
            }
            _ => merge(&mut whole[name], value),
        }
    }
}

/// Puts the process under pressure, or takes it away. Envoy resets streams at the change.
pub(super) fn press(files: &Path, on: bool) -> anyhow::Result<()> {
    let new = files.join("pressure.new");
    std::fs::write(&new, if on { "1" } else { "0" })?;
    // Envoy watches for moves, and must not read half of it.
    Ok(std::fs::rename(new, files.join(PRESSURE))?)
}

/// An overload manager that resets whatever holds 16 KiB and more when pressure comes; HTTP/1 upstreams that may end before
/// their request does.
fn process(files: &Path) -> anyhow::Result<Value> {
    press(files, false)?;
    let monitor = "envoy.resource_monitors.injected_resource";
    let full =
        json!({"name": monitor, "scaled": {"scaling_threshold": 0.1, "saturation_threshold": 0.2}});
    Ok(json!({
        "node": {"id": "flags", "cluster": "flags"},
        "layered_runtime": {"layers": [{"name": "half close", "static_layer": {
            "envoy.reloadable_features.allow_multiplexed_upstream_half_close": true
        }}]},
        "overload_manager": {
            "refresh_interval": "0.1s",
            "resource_monitors": [{"name": monitor, "typed_config": {
                "@type": format!("{TYPES}/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig"),
                "filename": files.join(PRESSURE)
            }}],
            "actions": [{"name": "envoy.overload_actions.reset_high_memory_stream", "triggers": [full]}],
            "buffer_factory_config": {"minimum_account_to_track_power_of_two": 14}
        }
    }))
}

fn extend_manager(manager: &mut Value, more: Vec<Value>, played: &[Arc<Played>]) {
    let log = &mut manager["access_log"][0]["typed_config"]["log_format"]["text_format_source"];
    log["inline_string"] =
        json!("%REQ(X-CASE)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n");
    manager["route_config"]["validate_clusters"] = json!(false);
    let filters = manager["http_filters"].as_array_mut();
    if let Some((filters, mut router)) = filters.and_then(|all| all.pop().map(|last| (all, last))) {
        router["typed_config"]["strict_check_headers"] = json!(["x-envoy-upstream-rq-timeout-ms"]);
        filters.extend(more);
        filters.push(router);
    }
    let routes = manager.pointer_mut("/route_config/virtual_hosts/0/routes");
    let Some(routes) = routes.and_then(Value::as_array_mut) else {
        return;
    };
    let on = json!({"@type": format!("{TYPES}/envoy.config.route.v3.FilterConfig"), "config": {}});
    for (route, one) in routes.iter_mut().skip(1).zip(played) {
        for filter in one.case.filters {
            route["typed_per_filter_config"][*filter] = on.clone();
        }
    }
    let missing = json!({"cluster": "missing"});
    routes.push(json!({"match": {"prefix": "/missing"}, "route": missing}));
    routes.push(json!({
        "match": {"prefix": TOKEN}, "route": {"cluster": "dead"},
        "typed_per_filter_config": {"local_limit": on}
    }));
}

fn other(name: &str, kind: &str, config: Value) -> Value {
    let mut whole = json!({"name": name, "disabled": true, "typed_config": {
        "@type": format!("{TYPES}/envoy.extensions.filters.http.{kind}")
    }});
    merge(&mut whole["typed_config"], &config);
    whole
}

fn names(closed: SocketAddr) -> Value {
    let resolver = json!({"socket_address": {"address": "127.0.0.1", "port_value": closed.port()}});
    json!({"dns_cache_config": {
        "name": "names",
        "dns_lookup_family": "V4_ONLY",
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": format!("{TYPES}/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"),
                "resolvers": [resolver]
            }
        }
    }})
}

fn named_cluster(closed: SocketAddr) -> Value {
    let mut config = names(closed);
    config["@type"] = json!(format!(
        "{TYPES}/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"
    ));
    json!({
        "type": null, "load_assignment": null, "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": config}
    })
}

/// The filters between Seawall and the router. All but the first are off where a route does not ask for them.
fn behind(closed: SocketAddr) -> Vec<Value> {
    const REWRITE: &str = r#"
        function envoy_on_request(handle)
            local headers = handle:headers()
            local path, strict = headers:get("x-rewrite"), headers:get("x-strict")
            if strict then headers:replace("x-envoy-upstream-rq-timeout-ms", strict) end
            if path then headers:replace(":path", path); handle:clearRouteCache() end
        end"#;
    let always = json!({"numerator": 100});
    let grpc = json!({"envoy_grpc": {"cluster_name": "dead"}});
    let mut rewrite = other(
        "rewrite",
        "lua.v3.Lua",
        json!({"default_source_code": {"inline_string": REWRITE}}),
    );
    rewrite["disabled"] = json!(false);
    let bucket = json!({
        "@type": format!("{TYPES}/envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaBucketSettings"),
        "bucket_id_builder": {"bucket_id_builder": {"name": {"string_value": "all"}}},
        "reporting_interval": "60s",
        "no_assignment_behavior": {"fallback_rate_limit": {"blanket_rule": "DENY_ALL"}}
    });
    let store = json!({
        "@type": format!("{TYPES}/envoy.extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig")
    });
    let server = json!({"uri": format!("http://{closed}"), "cluster": "dead", "timeout": "1s"});
    let lh = json!({"name": ":path", "string_match": {"prefix": "/lh/"}});
    vec![
        rewrite,
        other(
            "health_check",
            "health_check.v3.HealthCheck",
            json!({"pass_through_mode": false, "headers": [lh]}),
        ),
        other(
            "names",
            "dynamic_forward_proxy.v3.FilterConfig",
            names(closed),
        ),
        other(
            "delay",
            "fault.v3.HTTPFault",
            json!({"delay": {"fixed_delay": "0.1s", "percentage": always}}),
        ),
        other(
            "abort",
            "fault.v3.HTTPFault",
            json!({"abort": {"http_status": 503, "percentage": always}}),
        ),
        // Envoy 1.36 takes no bucket without a token.
        other(
            "local_limit",
            "local_ratelimit.v3.LocalRateLimit",
            json!({
                "stat_prefix": "local_limit", "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"},
                "filter_enabled": {"default_value": always}, "filter_enforced": {"default_value": always}
            }),
        ),
        other(
            "authorization",
            "ext_authz.v3.ExtAuthz",
            json!({"http_service": {"server_uri": server}}),
        ),
        other(
            "limit",
            "ratelimit.v3.RateLimit",
            json!({
                "domain": "all", "failure_mode_deny": true,
                "rate_limit_service": {"transport_api_version": "V3", "grpc_service": grpc}
            }),
        ),
        other(
            "quota",
            "rate_limit_quota.v3.RateLimitQuotaFilterConfig",
            json!({
                "domain": "all", "rlqs_server": grpc,
                "bucket_matchers": {"on_no_match": {"action": {"name": "all", "typed_config": bucket}}}
            }),
        ),
        other(
            "cache",
            "cache.v3.CacheConfig",
            json!({"typed_config": store}),
        ),
        other(
            "buffer",
            "buffer.v3.Buffer",
            json!({"max_request_bytes": 1_000_000}),
        ),
    ]
}

/// A filter whose configuration Envoy waits for in vain.
fn unconfigured(files: &Path) -> anyhow::Result<Value> {
    let empty = files.join("filters.json");
    std::fs::write(&empty, r#"{"resources": []}"#)?;
    Ok(json!({"name": "nothing", "config_discovery": {
        "config_source": {
            "path_config_source": {"path": empty},
            "initial_fetch_timeout": "0.1s",
            "resource_api_version": "V3"
        },
        "type_urls": [format!("{TYPES}/envoy.extensions.filters.http.buffer.v3.Buffer")]
    }}))
}

/// A port where nobody listens, for as long as this is kept.
pub(super) fn closed_port() -> anyhow::Result<(tokio::net::TcpSocket, SocketAddr)> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(anywhere())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
