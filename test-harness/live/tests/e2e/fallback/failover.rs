//! The ladder's first rung on a real Envoy: the same request to another cluster, by a route that the filter picks.

use std::time::Duration;

use hyper::Method;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use seawall_live::pool::{Answer, Pool, Protocol};
use seawall_live::raw;
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others};

const ROUTES: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";

/// A primary and a standby behind one listener.
struct Stand {
    envoy: Envoy,
    primary: Upstream,
    standby: Upstream,
    pool: Pool,
}

impl Stand {
    /// `http2` to and from; `routed` says whether there is a route for the failover header.
    async fn start(http2: bool, routed: bool, more: Value) -> anyhow::Result<Self> {
        let primary = Upstream::start("primary", anywhere()).await?;
        let standby = Upstream::start("standby", anywhere()).await?;
        let breaker = json!({
            "consecutive": 3, "hosts": {"grace": "0s"}, "open": {"for": "60s", "up_to": "60s"}
        });
        let mut policy = json!({
            "breaker": breaker,
            "fallback": [
                {"cluster": "standby"},
                {"static": {
                    "status": 203, "content_type": "application/json",
                    "body": r#"{"policy":"{{policy}}","why":"{{reason}}","again":{{retry_after}}}"#,
                    "grpc": {"status": 5, "message": "{{reason}}"}
                }}
            ]
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            policy[key] = value.clone();
        }
        let cluster = |name: &str, upstream: &Upstream| Cluster {
            name: name.to_owned(),
            hosts: vec![upstream.address()],
            http2,
            ..Cluster::default()
        };
        let clusters = [cluster("primary", &primary), cluster("standby", &standby)];
        let listener = Listener {
            name: "edge".to_owned(),
            policy: Some(json!({"version": 1, "policies": {"default": policy}})),
            routes: vec![Route {
                prefix: "/".to_owned(),
                cluster: "primary".to_owned(),
                ..Route::default()
            }],
            upstream: true,
            ..Listener::default()
        };
        let mut whole = bootstrap(&filter()?, &[listener], &clusters);
        if routed {
            let routes = whole.pointer_mut(ROUTES).and_then(Value::as_array_mut);
            routes.expect("routes").insert(
                0,
                json!({
                    "match": {"prefix": "/", "headers": [{"name": "x-seawall-failover", "present_match": true}]},
                    "route": {"cluster_header": "x-seawall-failover"},
                    "request_headers_to_remove": ["x-seawall-failover"]
                }),
            );
        }
        let envoy = Envoy::start(&whole, WORKERS).await?;
        let protocol = match http2 {
            true => Protocol::Http2,
            false => Protocol::Http1,
        };
        Ok(Self {
            pool: Pool::new(envoy.listener("edge")?, protocol),
            envoy,
            primary,
            standby,
        })
    }

    async fn get(&self) -> anyhow::Result<Answer> {
        self.pool.send(&Method::GET, "/", &[]).await
    }

    /// Failures until the primary is asked no more.
    async fn trip(&self) -> anyhow::Result<()> {
        self.primary.set(Knobs::failing(1.0));
        for _ in 0..3 {
            self.get().await?;
        }
        self.primary.reset_stats();
        Ok(())
    }

    async fn fallbacks(&self, rung: &str, least: u64) -> anyhow::Result<u64> {
        let rung = format!("rung={rung}");
        let parts = [
            "wasmcustom.seawall_fallbacks",
            "upstream=primary",
            &rung,
            "reason=open",
        ];
        self.envoy.wait_for(&parts, least).await
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_no_trap(&self.envoy);
        }
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_breaker_refuses_goes_to_the_standby_with_its_body_and_without_a_trace()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(false, true, json!({})).await?;
    stand.trip().await?;
    for _ in 0..20 {
        let answer = stand.get().await?;
        assert_eq!(answer.status, 200);
        let marks = (
            header(&answer, "x-seawall-degraded"),
            header(&answer, "x-seawall-reason"),
        );
        assert_eq!(marks, ("cluster", "breaker_open"));
    }
    let body = "x".repeat(300_000);
    let request = format!(
        "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = stand.envoy.listener("edge")?;
    let answer = raw::exchange(address, request.as_bytes(), Duration::from_secs(5)).await?;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.len());
    assert_eq!(stand.primary.snapshot().requests, 0);
    let seen = stand.standby.snapshot();
    assert_eq!(seen.requests, 21);
    for arrival in seen.arrivals {
        let failover = arrival
            .headers
            .iter()
            .any(|name| name == "x-seawall-failover");
        assert!(!failover, "{arrival:?}");
    }
    assert_eq!(stand.fallbacks("cluster", 21).await?, 21);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standbys_breaker_is_asked_first_and_then_the_next_rung_answers() -> anyhow::Result<()>
{
    let _turn = beside_others().await;
    let stand = Stand::start(false, true, json!({})).await?;
    stand.trip().await?;
    stand.standby.set(Knobs::failing(1.0));
    for _ in 0..3 {
        // The first ladder answers for a failure of the standby too.
        let answer = stand.get().await?;
        assert_eq!(
            (answer.status, header(&answer, "x-seawall-reason")),
            (203, "failure")
        );
    }
    stand.standby.reset_stats();
    for _ in 0..5 {
        let answer = stand.get().await?;
        assert_eq!(answer.status, 203);
        assert_eq!(header(&answer, "x-seawall-degraded"), "static");
        let body: Value = serde_json::from_slice(&answer.body)?;
        assert_eq!(
            (&body["policy"], &body["why"]),
            (&json!("default"), &json!("breaker_open"))
        );
        assert!(
            body["again"].as_u64().is_some_and(|seconds| seconds > 50),
            "{body}"
        );
    }
    let asked = (
        stand.primary.snapshot().requests,
        stand.standby.snapshot().requests,
    );
    assert_eq!(asked, (0, 0));
    assert_eq!(stand.fallbacks("static", 5).await?, 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_the_header_itself_gets_400() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(false, true, json!({})).await?;
    for cluster in ["standby", "primary", "nobody", ""] {
        let headers = [("x-seawall-failover", cluster)];
        let answer = stand.pool.send(&Method::GET, "/", &headers).await?;
        assert_eq!(answer.status, 400, "{cluster}");
    }
    let asked = (
        stand.primary.snapshot().requests,
        stand.standby.snapshot().requests,
    );
    assert_eq!(asked, (0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_route_for_it_nothing_reaches_the_sick_cluster() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(false, false, json!({})).await?;
    stand.trip().await?;
    for _ in 0..5 {
        let answer = stand.get().await?;
        assert_eq!(answer.status, 503);
    }
    assert_eq!(stand.primary.snapshot().requests, 0);
    let misrouted = ["wasmcustom.seawall_failovers_misrouted"];
    assert_eq!(stand.envoy.wait_for(&misrouted, 5).await?, 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_goes_the_same_way() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(true, true, json!({"retries": {"attempts": 2}})).await?;
    stand.primary.set(Knobs {
        grpc_status: 14,
        ..Knobs::failing(1.0)
    });
    for _ in 0..3 {
        stand.pool.grpc("/grpc", &[]).await?;
    }
    stand.primary.reset_stats();
    for _ in 0..5 {
        let answer = stand.pool.grpc("/grpc", &[]).await?;
        assert_eq!(answer.grpc_status(), Some(0), "{answer:?}");
        assert_eq!(header(&answer, "x-seawall-degraded"), "cluster");
    }
    assert_eq!(stand.primary.snapshot().requests, 0);
    stand.standby.set(Knobs {
        grpc_status: 14,
        ..Knobs::failing(1.0)
    });
    for _ in 0..6 {
        let answer = stand.pool.grpc("/grpc", &[]).await?;
        assert_eq!(answer.grpc_status(), Some(5), "{answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_can_keep_its_reasons_to_itself() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(false, true, json!({"answer_headers": false})).await?;
    stand.trip().await?;
    let answer = stand.get().await?;
    assert_eq!(answer.status, 200);
    stand.standby.set(Knobs::failing(1.0));
    let degraded = stand.get().await?;
    assert_eq!(degraded.status, 203);
    for answer in [answer, degraded] {
        let ours = |name: &str| name.starts_with("x-seawall");
        assert!(
            !answer.headers.keys().any(|name| ours(name.as_str())),
            "{answer:?}"
        );
    }
    Ok(())
}
