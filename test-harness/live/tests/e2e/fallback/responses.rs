//! What the user gets in the upstream's place, and what the operator sees of it.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{self, Envoy};
use seawall_live::load::{Client, Kind};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::raw;
use seawall_live::upstream::{Knobs, Upstream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Stand, WORKERS, anywhere, beside_others, edge, policy, until};

const PATIENCE: Duration = Duration::from_secs(3);

fn with_fallback(breaker: Value) -> Value {
    let mut whole = policy(breaker);
    whole["policies"]["default"]["fallback"] = json!([{"static": {
        "content_type": "application/json", "body": "{\"items\":[]}", "headers": {"x-from": "seawall"},
        "grpc": {"status": 5, "message": "nothing today"}
    }}]);
    whole
}

async fn text(stand: &Stand, request: &str) -> anyhow::Result<String> {
    let answer = raw::exchange(stand.address, request.as_bytes(), PATIENCE).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const PLAIN: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const GRPC: &str = "POST /grpc HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/grpc\r\n\
                    content-length: 0\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_why_and_when_to_come_again() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(policy(
        json!({"mode": "forced_open", "open": {"for": "7s", "up_to": "7s"}}),
    ))
    .await?;
    let refused = text(&stand, PLAIN).await?;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    for line in [
        "retry-after: 7",
        "x-seawall-reason: breaker_forced_open",
        "cache-control: no-store",
    ] {
        assert!(refused.contains(line), "{line} in {refused}");
    }
    let refused = text(&stand, GRPC).await?;
    assert!(refused.starts_with("HTTP/1.1 200 "), "{refused}");
    for line in ["grpc-status: 14", "grpc-retry-pushback-ms: 7000"] {
        assert!(refused.contains(line), "{line} in {refused}");
    }
    assert_eq!(stand.upstream.snapshot().requests, 0);
    let labels = [
        "wasmcustom.seawall_decisions",
        "policy=default",
        "upstream=upstream",
        "reason=breaker_forced_open",
    ];
    stand.envoy.wait_for(&labels, 2).await?;
    until("the access log", async || {
        stand
            .envoy
            .access_log()
            .contains("seawall_breaker_forced_open refused breaker_forced_open")
    })
    .await?;
    let prometheus = stand.envoy.admin("/stats/prometheus").await?;
    let line = prometheus
        .lines()
        .find(|line| line.contains("breaker_forced_open"))
        .unwrap_or_default();
    for label in [
        r#"policy="default""#,
        r#"upstream="upstream""#,
        r#"decision="refused""#,
    ] {
        assert!(line.contains(label), "{label} in {line}");
    }
    Ok(())
}

/// Who is shed is told to come again at different times, so that not all come at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_are_shed_are_told_different_times() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let shedding = json!({"limit": "fixed", "max": 10, "retry_after": "8s"});
    let stand = Stand::start(json!({"version": 1, "policies": {"default": {
        "breaker": {"mode": "off"}, "shedding": shedding
    }}}))
    .await?;
    stand.upstream.set(Knobs::hanging());
    let mut held = JoinSet::new();
    until("one is shed", async || {
        let client = stand.client(1);
        held.spawn(async move { client.get(0, "/").await.1 });
        matches!(held.try_join_next(), Some(Ok(Kind::Refused)))
    })
    .await?;
    let pool = Pool::new(stand.address, Protocol::Http1);
    let mut told = BTreeSet::new();
    for _ in 0..40 {
        let refused = pool.send(&Method::GET, "/", &[]).await?;
        assert_eq!(refused.headers["x-seawall-reason"], "shed_limit");
        let seconds: u64 = refused.headers["retry-after"].to_str()?.parse()?;
        assert!((1..=8).contains(&seconds), "{seconds}");
        told.insert(seconds);
    }
    assert!(told.len() >= 3, "{told:?}");
    stand.upstream.set(Knobs::default());
    held.join_all().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ladder_answers_when_open_and_in_the_place_of_a_failure() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let open = json!({"consecutive": 3, "open": {"for": "30s", "up_to": "30s"}});
    let stand = Stand::start(with_fallback(open)).await?;
    stand.upstream.set(Knobs::failing(1.0));
    for round in 0..6 {
        let answer = text(&stand, PLAIN).await?;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"items\":[]}"),
            "{round}: {answer}"
        );
        for line in [
            "x-seawall-degraded: static",
            "content-type: application/json",
            "x-from: seawall",
        ] {
            assert!(answer.contains(line), "{line} in {answer}");
        }
    }
    assert_eq!(
        stand.upstream.snapshot().requests,
        3,
        "the first three were replaced failures"
    );
    let answer = text(&stand, GRPC).await?;
    assert!(
        answer.contains("grpc-status: 5") && answer.contains("nothing today"),
        "{answer}"
    );
    let head = text(
        &stand,
        "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await?;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    stand
        .envoy
        .wait_for(
            &[
                "wasmcustom.seawall_fallbacks",
                "rung=static",
                "reason=failure",
            ],
            3,
        )
        .await?;
    stand
        .envoy
        .wait_for(
            &["wasmcustom.seawall_fallbacks", "rung=static", "reason=open"],
            5,
        )
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tunnel_stands_that_nobody_built() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upgrades = json!({"upgrade_configs": [{"upgrade_type": "websocket"}]});
    let open = with_fallback(json!({"mode": "forced_open"}));
    let closed = with_fallback(json!({"mode": "off"}));
    for whole in [open, closed] {
        let stand = Stand::with(whole, upgrades.clone(), json!({})).await?;
        stand.upstream.set(Knobs::failing(1.0));
        let upgrade =
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        let answer = text(&stand, upgrade).await?;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let answer = text(&stand, PLAIN).await?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_in_front_see_a_refusal_and_no_replaced_failure() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream.address()],
        more: json!({}),
        http2: false,
    };
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(with_fallback(
            json!({"consecutive": 2, "open": {"for": "30s", "up_to": "30s"}}),
        )),
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            policy: None,
            action: json!({}),
            ..Route::default()
        }],
        filters: vec![json!({
            "name": "envoy.filters.http.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {"response_mutations": [{"append": {"header": {"key": "x-front", "value": "1"}}}]}
            }
        })],
        ..Listener::default()
    };
    let file = bootstrap(&envoy::filter()?, &[listener], &[cluster]);
    let envoy = Envoy::start(&file, WORKERS).await?;
    let address = envoy.listener("edge")?;
    let stand = Stand {
        envoy,
        upstream,
        address,
    };
    assert!(text(&stand, PLAIN).await?.contains("x-front: 1"));
    stand.upstream.set(Knobs::failing(1.0));
    // Two in the place of a failure, then the breaker is open.
    for seen in [false, false, true, true] {
        let answer = text(&stand, PLAIN).await?;
        assert!(answer.contains("x-seawall-degraded: static"), "{answer}");
        assert_eq!(answer.contains("x-front: 1"), seen, "{answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_ends_a_request_that_hangs_and_a_refused_connection_is_replaced()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let mut whole = with_fallback(json!({}));
    whole["policies"]["default"]["timeout"] = json!({"total": "200ms"});
    let stand = Stand::start(whole).await?;
    stand.upstream.set(Knobs {
        hang: true,
        ..Knobs::default()
    });
    let begin = seawall_live::clock::now();
    let answer = text(&stand, PLAIN).await?;
    let took = seawall_live::clock::now().duration_since(begin);
    assert!(answer.contains("x-seawall-degraded: static"), "{answer}");
    assert!(
        took < Duration::from_secs(2),
        "the route's own limit is 15 s: {took:?}"
    );
    stand.upstream.set(Knobs::down());
    let answer = text(&stand, PLAIN).await?;
    assert!(answer.contains("x-seawall-degraded: static"), "{answer}");
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_outcomes", "outcome=failure"], 2)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_is_judged_by_its_status_wherever_it_stands_and_broken_bodies_count()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (path, counted) in [
        ("/grpc?status=14", 4),
        ("/grpc?status=14&trailers", 4),
        ("/broken", 4),
    ] {
        // A break after the headers is one more verdict beside the success at the headers, so the row never grows; the
        // rate does: half of the verdicts are failures.
        let breaker =
            json!({"minimum_calls": 8, "failure_rate": 50, "open": {"for": "30s", "up_to": "30s"}});
        let upstream = Upstream::start("upstream", anywhere()).await?;
        let cluster = Cluster {
            name: "upstream".to_owned(),
            hosts: vec![upstream.address()],
            http2: true,
            ..Cluster::default()
        };
        let envoy = edge(policy(breaker), Value::Null, cluster).await?;
        let mut client = Client::new(envoy.listener("edge")?, 1, PATIENCE);
        if path.starts_with("/grpc") {
            client = client
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        }
        for _ in 0..12 {
            client.get(0, path).await;
        }
        envoy
            .wait_for(&["wasmcustom.seawall_outcomes", "outcome=failure"], counted)
            .await?;
        assert_eq!(
            crate::support::transitions(&envoy),
            ["closed -> open"],
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_refuses_nothing_and_says_what_it_would_have_refused() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(policy(
        json!({"mode": "shadow", "open": {"for": "30s", "up_to": "30s"}}),
    ))
    .await?;
    stand.upstream.set(Knobs::failing(1.0));
    let client = stand.client(2);
    for number in 0..30 {
        assert_eq!(client.get(number, "/").await.1, Kind::Failed);
    }
    stand.upstream.set(Knobs::default());
    for number in 0..10 {
        assert_eq!(client.get(number, "/").await.1, Kind::Good);
    }
    assert_eq!(stand.upstream.snapshot().requests, 40);
    stand
        .envoy
        .wait_for(
            &["wasmcustom.seawall_decisions", "decision=shadow_refused"],
            20,
        )
        .await?;
    stand
        .envoy
        .wait_for(
            &["wasmcustom.seawall_shadow_outcomes", "outcome=success"],
            10,
        )
        .await?;
    assert_eq!(stand.transitions(), ["closed -> open"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direction_and_metadata_choose_who_is_governed() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let forced = json!({"version": 1, "policies": {
        "default": {"breaker": {"mode": "off"}}, "closed-shop": {"breaker": {"mode": "forced_open"}}
    }});
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let cluster = |name: &str| Cluster {
        name: name.to_owned(),
        hosts: vec![upstream.address()],
        ..Cluster::default()
    };
    let route = |prefix: &str, cluster: &str, policy: Option<&str>| Route {
        prefix: prefix.to_owned(),
        cluster: cluster.to_owned(),
        policy: policy.map(str::to_owned),
        ..Route::default()
    };
    let routes = vec![
        route("/many", "PassthroughCluster", Some("closed-shop")),
        route("/shop", "upstream", Some("closed-shop")),
        route("/typo", "upstream", Some("closed-shpo")),
        route("/", "upstream", None),
    ];
    let listener = |name: &str, direction| Listener {
        name: name.to_owned(),
        policy: Some(forced.clone()),
        routes: routes.clone(),
        direction: Some(direction),
        ..Listener::default()
    };
    let listeners = [listener("out", "OUTBOUND"), listener("in", "INBOUND")];
    let clusters = [cluster("upstream"), cluster("PassthroughCluster")];
    let envoy = Envoy::start(
        &bootstrap(&envoy::filter()?, &listeners, &clusters),
        WORKERS,
    )
    .await?;
    for (listener, path, expected) in [
        ("out", "/shop", 503),
        ("out", "/", 200),
        ("out", "/typo", 200),
        ("out", "/many", 200),
        ("in", "/shop", 200),
    ] {
        let client = Client::new(envoy.listener(listener)?, 1, PATIENCE);
        assert_eq!(client.get(0, path).await.0, expected, "{listener} {path}");
    }
    envoy
        .wait_for(&["wasmcustom.seawall_unknown_policy"], 1)
        .await?;
    Ok(())
}
