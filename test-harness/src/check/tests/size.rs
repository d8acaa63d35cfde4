//! Files as large as the largest Envoys tell of themselves.

use serde_json::json;

use super::kinds::{filter, listener, tags};
use super::*;

const MANY: usize = 20_000;
const RETRIES: &str = r#"{"version":1,"policies":{"default":{"retries":{}}},"upstreams":[{"cluster":"outbound*","policy":"default"}]}"#;

fn cluster(number: usize, limit: u64) -> Value {
    let name = format!("outbound|443||service-{number}.shop.svc.cluster.local");
    json!({
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}, "service_name": name},
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_connections": 4294967295_u32, "max_pending_requests": 4294967295_u32,
            "max_requests": 4294967295_u32, "max_retries": limit, "track_remaining": true}]},
        "metadata": {"filter_metadata": {"istio": {"services": [{"host": name, "name": "a", "namespace": "shop"}]}}},
        "common_lb_config": {},
        "filters": [{"name": "istio.metadata_exchange", "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
            "value": {"enable_discovery": true, "protocol": "istio-peer-exchange"}}}],
    })
}

/// Routes to all of them, which two listeners share.
fn routes() -> Value {
    let to = |number: usize| {
        let name = format!("outbound|443||service-{number}.shop.svc.cluster.local");
        json!({"domains": [number.to_string()], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s"}}]})
    };
    json!({"name": "443", "virtual_hosts": (0..MANY).map(to).collect::<Vec<_>>()})
}

fn manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// Every number of clusters is read, whatever bound the reader has for other texts; the last one is as well judged as the first.
#[test]
fn twenty_thousand_clusters_are_read_and_judged() {
    let clusters =
        || (0..MANY).map(|number| cluster(number, if number % 1_000 == 999 { 3 } else { 1_000 }));
    let mut own = listener(filter(RETRIES));
    manager(&mut own)["route_config"] = routes();
    let bootstrap = json!({
        "stats_config": tags(),
        "static_resources": {"listeners": [own], "clusters": clusters().collect::<Vec<_>>()},
    });
    let mut by_name = listener(filter(RETRIES));
    let named = manager(&mut by_name);
    named.as_object_mut().unwrap().remove("route_config");
    named["rds"] = json!({"route_config_name": "443", "config_source": {"ads": {}}});
    // Listeners that share the routes are not judged by each of them once more.
    let listeners: Vec<_> = (0..100)
        .map(|_| json!({"active_state": {"listener": by_name}}))
        .collect();
    let dump = json!({"configs": [
        {"bootstrap": {"stats_config": tags(), "dynamic_resources": {"cds_config": {"ads": {}}, "lds_config": {"ads": {}}}}},
        {"dynamic_active_clusters": clusters().map(|cluster| json!({"cluster": cluster})).collect::<Vec<_>>()},
        {"dynamic_listeners": listeners},
        {"dynamic_route_configs": [{"route_config": routes()}]},
    ]});
    for (text, configurations) in [(bootstrap.to_string(), 1), (dump.to_string(), 100)] {
        let found = findings(&text);
        assert_eq!(found.configurations, configurations);
        let limits = found
            .warnings
            .iter()
            .filter(|found| found.path.ends_with("thresholds"));
        assert_eq!(limits.count(), MANY / 1_000);
        assert_eq!(found.verdict(), Verdict::Valid, "{:?}", found.unread);
    }
}
