//! Who is to blame: what a client does is no evidence against an upstream, and an upstream's silence is.
//!
//! All with the default policy and, unless a test says otherwise, a route without a limit (`timeout: 0s`), as Istio writes
//! it. Good requests come once a second beside each attack.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use seawall_live::clock;
use seawall_live::load::{Client, Kind, count};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Stand, beside_others, frames, until};

/// The length of the default window.
const WINDOW: Duration = Duration::from_secs(10);

fn defaults() -> Value {
    json!({"version": 1, "policies": {"default": {}}})
}

async fn stand(action: Value) -> anyhow::Result<Stand> {
    let mut whole = json!({"timeout": "0s"});
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), action.as_object()) {
        whole.extend(more.clone());
    }
    Stand::with(defaults(), whole, json!({})).await
}

async fn grpc_stand(action: Value) -> anyhow::Result<Stand> {
    let http2 = json!({"typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}
        }
    }});
    let mut whole = json!({"timeout": "0s"});
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), action.as_object()) {
        whole.extend(more.clone());
    }
    Stand::with(defaults(), whole, http2).await
}

async fn ignored(stand: &Stand, reason: &str, least: u64) -> anyhow::Result<u64> {
    let reason = format!("reason={reason}");
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_ignored", &reason], least)
        .await
}

/// Sends a request and leaves the connection open without reading.
async fn send(address: SocketAddr, request: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// A good request each second, all of which are answered.
async fn good_ones(stand: &Stand, length: Duration) -> anyhow::Result<()> {
    let client = stand.client(2);
    let samples = client.run("/", 1.0, length).await;
    assert_eq!(count(&samples, Kind::Good), samples.len(), "{samples:?}");
    Ok(())
}

/// Opens within two windows: the time of the first refusal.
async fn opens(stand: &Stand) -> anyhow::Result<()> {
    opens_within(stand, 2 * WINDOW).await
}

async fn opens_within(stand: &Stand, span: Duration) -> anyhow::Result<()> {
    let deadline = clock::now() + span;
    while !stand.transitions().contains(&"closed -> open".to_owned()) {
        anyhow::ensure!(
            clock::now() < deadline,
            "it did not open within {span:?}: {:#?}",
            stand.envoy.stats("seawall").await?
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_opens_the_breaker_though_all_clients_leave_and_the_same_clients_never_open_a_healthy_one()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = stand(json!({})).await?;
    let leaving = Client::new(stand.address, 60, Duration::from_secs(3));
    // As long as a client waits at most, and a client that would leave if it had to.
    stand.upstream.set(Knobs::slow(100));
    let samples = leaving.run("/", 10.0, Duration::from_secs(3)).await;
    assert_eq!(count(&samples, Kind::Good), samples.len());
    let hasty = Client::new(stand.address, 40, Duration::from_millis(30));
    let samples = hasty.run("/", 20.0, Duration::from_secs(3)).await;
    assert_eq!(count(&samples, Kind::Good), 0);
    ignored(&stand, "client_gone", 50).await?;
    stand.assert_quiet().await?;

    stand.upstream.set(Knobs {
        hang: true,
        ..Knobs::default()
    });
    let load = tokio::spawn(async move { leaving.run("/", 10.0, 2 * WINDOW).await });
    opens(&stand).await?;
    load.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_opens_the_breaker_though_all_callers_bring_deadlines() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    // Seawall enforces the deadline, or Envoy does, in either of its ways.
    for action in [
        json!({}),
        json!({"max_grpc_timeout": "0s"}),
        json!({"max_stream_duration": {"grpc_timeout_header_max": "0s"}}),
    ] {
        let stand = grpc_stand(action.clone()).await?;
        let pool = Arc::new(Pool::new(stand.address, Protocol::Http2));
        let call = |limit: &'static str| {
            let pool = Arc::clone(&pool);
            async move { pool.grpc("/grpc", &[("grpc-timeout", limit)]).await }
        };
        // A healthy one that takes 300 ms, and callers that give it 100 ms.
        stand.upstream.set(Knobs::slow(300));
        let mut calls = JoinSet::new();
        for _ in 0..40 {
            calls.spawn(call("100m"));
        }
        calls.join_all().await;
        // On a busy machine some have no time left when they come.
        ignored(&stand, "caller_limit", 30).await?;
        let late = [
            "wasmcustom.seawall_decisions",
            "decision=refused",
            "reason=deadline",
        ];
        let late = stand.envoy.sum(&late).await?;
        stand.assert_quiet_but(late).await?;

        stand.upstream.set(Knobs {
            hang: true,
            ..Knobs::default()
        });
        let mut calls = JoinSet::new();
        let begin = clock::now();
        while !stand.transitions().contains(&"closed -> open".to_owned()) {
            assert!(clock::now() < begin + 2 * WINDOW, "{action}");
            calls.spawn(call("3S"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_slower_than_their_deadline_are_slow_and_never_failures()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = grpc_stand(json!({"max_grpc_timeout": "0s"})).await?;
    stand.upstream.set(Knobs::slow(2_600));
    let pool = Arc::new(Pool::new(stand.address, Protocol::Http2));
    let mut calls = JoinSet::new();
    for _ in 0..15 {
        let pool = Arc::clone(&pool);
        calls.spawn(async move { pool.grpc("/grpc", &[("grpc-timeout", "2100m")]).await });
    }
    calls.join_all().await;
    let outcomes = |outcome: &'static str| {
        let stand = &stand;
        async move {
            let outcome = format!("outcome={outcome}");
            stand
                .envoy
                .sum(&["wasmcustom.seawall_outcomes", &outcome])
                .await
        }
    };
    until("all are counted", async || {
        outcomes("slow").await.unwrap_or(0) == 15
    })
    .await?;
    assert_eq!(outcomes("failure").await?, 0);
    stand.assert_quiet().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_open_nothing() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = stand(json!({"timeout": "4s"})).await?;
    let mut readers = Vec::new();
    for _ in 0..30 {
        readers.push(send(stand.address, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await?);
    }
    // One connection with ten streams whose windows stay shut.
    let _shut = shut_streams(stand.address).await?;
    good_ones(&stand, Duration::from_secs(7)).await?;
    ignored(&stand, "stalled_after_headers", 30).await?;
    stand.assert_quiet().await
}

/// An HTTP/2 connection with a window of no bytes, and ten requests on it.
async fn shut_streams(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let mut bytes = frames::preface(true);
    bytes.extend((0..10).flat_map(frames::get));
    stream.write_all(&bytes).await?;
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_hang_after_their_headers_for_everybody_open_the_breaker()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    // Envoy's own default is 15 s: the headers' good verdicts have left the window by then.
    let mut all = JoinSet::new();
    for (timeout, bytes) in [(4, 0), (4, 1_024), (15, 0), (15, 1_024)] {
        all.spawn(async move {
            let stand = stand(json!({"timeout": format!("{timeout}s")})).await?;
            let client = Client::new(stand.address, 200, Duration::from_secs(20));
            let path = format!("/stall?bytes={bytes}");
            let load = tokio::spawn(async move { client.run(&path, 8.0, 4 * WINDOW).await });
            opens_within(&stand, 2 * WINDOW + Duration::from_secs(timeout)).await?;
            load.abort();
            anyhow::Ok(())
        });
    }
    for opened in all.join_all().await {
        opened?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_closes_are_no_failures() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = stand(json!({})).await?;
    for _ in 0..30 {
        let request = "GET /ws-close HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut session = send(stand.address, request).await?;
        let mut buffer = [0; 1_024];
        let read = session.read(&mut buffer).await?;
        assert!(buffer[..read].starts_with(b"HTTP/1.1 101"));
        session.write_all(b"hello").await?;
        while session.read(&mut buffer).await? > 0 {}
    }
    ignored(&stand, "tunnel_end", 30).await?;
    stand.assert_quiet().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_uploads_are_not_slow_calls() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = stand(json!({})).await?;
    let mut uploads = JoinSet::new();
    for _ in 0..40 {
        let address = stand.address;
        uploads.spawn(async move {
            let head =
                "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nconnection: close\r\n\r\n";
            let mut stream = send(address, head).await?;
            tokio::time::sleep(Duration::from_millis(2_300)).await;
            stream.write_all(b"0123456789").await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::Ok(answer.starts_with(b"HTTP/1.1 200"))
        });
    }
    for answered in uploads.join_all().await {
        assert!(answered?);
    }
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_outcomes", "outcome=success"], 40)
        .await?;
    stand.assert_quiet().await
}

/// Long polls, each on a connection of its own, until the breaker opens or all of them are over.
async fn poll(policy: Value, action: Value, knobs: Knobs) -> anyhow::Result<Stand> {
    let stand = Stand::with(policy, action, json!({})).await?;
    stand.upstream.set(knobs);
    let client = Client::new(stand.address, 60, Duration::from_secs(20));
    client
        .run("/poll?since=4", 12.0, Duration::from_secs(5))
        .await;
    Ok(stand)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_polls_that_are_marked_open_nothing_by_their_silence() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let marked = json!({"version": 1, "policies": {"default": {
        "breaker": {"slow_call": {"long_poll": [{"path": "/poll"}]}}
    }}});
    let endless = json!({"timeout": "0s"});
    let slow = || Knobs::slow(4_000);
    let hangs = Knobs {
        hang: true,
        ..Knobs::default()
    };
    let (quiet, unmarked, limited) = tokio::try_join!(
        poll(marked.clone(), endless.clone(), slow()),
        poll(defaults(), endless, slow()),
        // Nothing came from the upstream before the route's own limit, but nothing had to.
        poll(marked, json!({"timeout": "1s"}), hangs),
    )?;
    quiet
        .envoy
        .wait_for(&["wasmcustom.seawall_outcomes", "outcome=success"], 60)
        .await?;
    quiet.assert_quiet().await?;
    limited
        .envoy
        .wait_for(&["wasmcustom.seawall_ignored", "reason=tunnel_end"], 60)
        .await?;
    limited.assert_quiet().await?;
    opens(&unmarked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_in_the_trailers_open_the_breaker() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = grpc_stand(json!({})).await?;
    let pool = Arc::new(Pool::new(stand.address, Protocol::Http2));
    for number in 0..60 {
        let path = match number % 10 {
            0 => "/grpc?status=0&trailers",
            _ => "/grpc?status=14&trailers",
        };
        pool.grpc(path, &[]).await?;
    }
    opens(&stand).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_are_cut_together_open_nothing() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    // By a reset of each stream over HTTP/2, and by the end of each connection.
    for http2 in [true, false] {
        let stand = match http2 {
            true => grpc_stand(json!({})).await?,
            false => stand(json!({})).await?,
        };
        let pool = Arc::new(Pool::new(stand.address, Protocol::Http1));
        let mut watches = JoinSet::new();
        for _ in 0..50 {
            let pool = Arc::clone(&pool);
            watches.spawn(async move { pool.send(&Method::GET, "/stall?bytes=10", &[]).await });
        }
        good_ones(&stand, WINDOW + Duration::from_secs(2)).await?;
        stand.upstream.set(Knobs {
            cut: true,
            ..Knobs::default()
        });
        watches.join_all().await;
        stand.upstream.set(Knobs::default());
        good_ones(&stand, Duration::from_secs(2)).await?;
        stand.assert_quiet().await?;
    }
    Ok(())
}
