//! The filter in both positions of one listener: before the router, and in the router's upstream filters.

use std::time::Duration;

use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter, validate};
use seawall_live::listen;
use seawall_live::load::{Client, Kind, count};
use seawall_live::upstream::Upstream;
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others};

const ROUTER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/1/typed_config";

/// A breaker that is off, so that both positions have something to read and nothing to refuse.
fn off() -> Value {
    json!({"version": 1, "policies": {"default": {"breaker": {"mode": "off"}}}})
}

fn edge(upstream: bool) -> Listener {
    Listener {
        name: "edge".to_owned(),
        policy: Some(off()),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            ..Route::default()
        }],
        upstream,
        virtual_host: json!({"include_request_attempt_count": true}),
        ..Listener::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_positions_start_with_one_configuration_and_traffic_passes() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let wasm = filter()?;
    for in_both in [false, true] {
        let upstream = Upstream::start("upstream", anywhere()).await?;
        let cluster = Cluster {
            name: "upstream".to_owned(),
            hosts: vec![upstream.address()],
            ..Cluster::default()
        };
        let whole = bootstrap(&wasm, &[edge(in_both)], std::slice::from_ref(&cluster));
        let router = whole.pointer(ROUTER).expect("the router");
        let filters = &router["upstream_http_filters"];
        assert_eq!(filters.is_array(), in_both);
        let downstream = whole
            .pointer(&ROUTER.replace("/1/typed_config", "/0"))
            .expect("the filter");
        assert!(!in_both || &filters[0] == downstream, "one configuration");
        assert_eq!(validate(&whole)?, Ok(()));

        let envoy = Envoy::start(&whole, WORKERS).await?;
        let client = Client::new(envoy.listener("edge")?, 8, Duration::from_secs(5));
        let samples = client.flood("/", 400).await;
        assert_eq!(count(&samples, Kind::Good), 400);
        let seen = upstream.snapshot();
        assert_eq!((seen.first_attempts, seen.retries), (400, 0));
        let counted = seen.arrivals.iter().all(|arrival| {
            let names = &arrival.headers;
            names.iter().any(|name| name == "x-envoy-attempt-count")
        });
        assert!(counted, "the virtual host's own settings hold");
        assert_no_trap(&envoy);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_stands_where_it_is_told_to() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let port = listen::reserved()?;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        ..Cluster::default()
    };
    let listener = Listener {
        policy: None,
        address: Some(port),
        ..edge(false)
    };
    let envoy = Envoy::start(&bootstrap(&filter()?, &[listener], &[cluster]), WORKERS).await?;
    assert_eq!(envoy.listener("edge")?, port);
    let client = Client::new(port, 1, Duration::from_secs(5));
    assert_eq!(client.get(0, "/").await, (200, Kind::Good));
    Ok(())
}
