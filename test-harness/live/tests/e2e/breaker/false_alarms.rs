//! No false alarm: what is no failure of the upstream opens nothing and refuses nothing.

use std::time::Duration;

use seawall_live::load::{Kind, count};
use seawall_live::upstream::{Knobs, Upstream};
use seawall_live::{clock, raw};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use seawall_live::envoy::bootstrap::Cluster;
use seawall_live::load::Client;

use crate::support::{Stand, anywhere, beside_others, edge, transitions};

/// The shipped defaults.
fn defaults() -> Value {
    json!({"version": 1, "policies": {"default": {"timeout": {"total": "5s"}}}})
}

async fn quiet_under(knobs: Knobs) -> anyhow::Result<()> {
    let stand = Stand::start(defaults()).await?;
    stand.upstream.set(knobs);
    let samples = stand
        .client(20)
        .run("/", 200.0, Duration::from_secs(3))
        .await;
    assert_eq!(count(&samples, Kind::Refused), 0);
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_decisions", "decision=admitted"], 600)
        .await?;
    stand.assert_quiet().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    quiet_under(Knobs::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_percent_errors() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    quiet_under(Knobs::failing(0.05)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ninety_five_percent_not_found() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let knobs = Knobs {
        not_found_rate: 0.95,
        ..Knobs::default()
    };
    quiet_under(knobs).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_give_up() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(defaults()).await?;
    stand.upstream.set(Knobs::slow(500));
    let impatient = Client::new(stand.address, 40, Duration::from_millis(50));
    let samples = impatient.run("/", 100.0, Duration::from_secs(2)).await;
    assert_eq!(count(&samples, Kind::Good), 0, "everybody gave up");
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_outcomes", "outcome=ignored"], 150)
        .await?;
    stand.assert_quiet().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_websockets_and_event_streams() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let slow = json!({"version": 1, "policies": {"default": {
        "timeout": {"total": "300ms"},
        "breaker": {"minimum_calls": 5, "slow_call": {"over": "20ms", "rate": 10}, "half_open": {"wait": "20s"}}
    }}});
    let stand = Stand::start(slow).await?;
    stand.upstream.set(Knobs::slow(60));
    let mut streams = Vec::new();
    for number in 0..20 {
        let mut stream = TcpStream::connect(stand.address).await?;
        let request = match number % 2 {
            0 => {
                "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
            _ => "GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n",
        };
        stream.write_all(request.as_bytes()).await?;
        streams.push(stream);
    }
    // Twice the total: what is open ended must outlive it.
    let begin = clock::now();
    let mut buffer = [0; 4_096];
    while clock::now().duration_since(begin) < Duration::from_millis(700) {
        for (number, stream) in streams.iter_mut().enumerate() {
            if number % 2 == 0 {
                stream.write_all(b"ping").await?;
            }
            let read =
                tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await??;
            assert!(read > 0, "stream {number} was cut");
        }
    }
    drop(streams);
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_outcomes", "outcome=success"], 20)
        .await?;
    stand.assert_quiet().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_and_one_dead_host_of_ten_with_outlier_detection() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let mut upstreams = Vec::new();
    for number in 0..10 {
        upstreams.push(Upstream::start(&format!("host{number}"), anywhere()).await?);
    }
    let cluster = Cluster {
        name: "ten".to_owned(),
        hosts: upstreams.iter().map(Upstream::address).collect(),
        more: json!({"outlier_detection": {"consecutive_5xx": 3, "interval": "0.5s", "base_ejection_time": "5s"}}),
        http2: false,
    };
    let envoy = edge(defaults(), Value::Null, cluster).await?;
    let client = Client::new(envoy.listener("edge")?, 20, Duration::from_secs(5));

    // One after the other goes down for a moment and comes back.
    let load = tokio::spawn({
        let client = client.clone();
        async move { client.run("/", 200.0, Duration::from_secs(4)).await }
    });
    for upstream in &upstreams {
        upstream.set(Knobs::down());
        tokio::time::sleep(Duration::from_millis(150)).await;
        upstream.set(Knobs::default());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let rolling = load.await?;
    upstreams[0].set(Knobs::down());
    let dead = client.run("/", 200.0, Duration::from_secs(3)).await;

    for samples in [&rolling, &dead] {
        assert_eq!(count(samples, Kind::Refused), 0);
        assert!(count(samples, Kind::Good) * 10 > samples.len() * 8);
    }
    assert!(
        rolling.len() == 800 && count(&dead, Kind::Failed) > 0,
        "the host was missed"
    );
    assert_eq!(transitions(&envoy), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_open_the_breaker_by_headers_of_its_own() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(defaults()).await?;
    stand.upstream.set(Knobs::slow(30));
    for _ in 0..40 {
        let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n\
                       x-envoy-max-retries: 9\r\nx-envoy-retry-on: 5xx\r\nx-seawall-retry: 1\r\nx-seawall-reason: x\r\n\r\n";
        let answer =
            raw::exchange(stand.address, request.as_bytes(), Duration::from_secs(3)).await?;
        assert_eq!(raw::status(&answer), Some(200));
    }
    let arrivals = stand.upstream.snapshot().arrivals;
    assert_eq!(arrivals.len(), 40, "nothing was retried");
    let ours = |arrival: &seawall_live::upstream::Arrival| {
        arrival
            .headers
            .iter()
            .any(|name| name.starts_with("x-seawall"))
    };
    assert!(
        !arrivals.iter().any(ours),
        "our own headers reach no upstream"
    );
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_control_headers_removed"], 40)
        .await?;
    stand.assert_quiet().await
}
