//! The limits of a whole request: those that follow latency, those of the route, and what has none.

use std::time::Duration;

use hyper::Method;
use seawall_live::clock;
use seawall_live::raw;
use seawall_live::upstream::Knobs;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::trial::{Plan, Trial, assert_clean, timed};
use crate::support::{alone, beside_others, until};

/// The limit of these tests; the route's own is 15 s.
const TOTAL: Duration = Duration::from_millis(300);
/// What this machine may be late.
const LATE: Duration = Duration::from_millis(350);
/// Envoy counts in whole milliseconds.
const EARLY: Duration = Duration::from_millis(5);

fn total() -> Plan {
    Plan::new(json!({"timeout": {"total": "300ms"}}))
}

/// What the upstream was told of its time by the last request, in milliseconds.
fn told(trial: &Trial) -> Option<u64> {
    let last = trial.upstream.snapshot().arrivals.pop()?;
    last.values
        .get("x-envoy-expected-rq-timeout-ms")?
        .parse()
        .ok()
}

/// A request that hangs is cut about then.
async fn assert_cut(trial: &Trial, what: &str, at: Duration) -> anyhow::Result<()> {
    trial.set(Knobs::hanging());
    let (answer, took) = timed(trial.get()).await?;
    assert_eq!(answer.status, 504, "{what}");
    assert_clean(&answer);
    assert_eq!(trial.attempts(), (1, 0), "{what}");
    assert!(
        (at - EARLY..at + LATE).contains(&took),
        "{what}: {took:?} and not {at:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_follows_the_latency_within_its_bounds() -> anyhow::Result<()> {
    let _alone = alone().await;
    // Twice a percentile that is at most a quarter too high, of answers after 50 ms and what this machine adds.
    for (what, min, max, least, most) in [
        ("free", "10ms", "5s", 100, 375),
        ("not less", "500ms", "5s", 500, 500),
        ("not more", "10ms", "75ms", 75, 75),
    ] {
        let adaptive = json!({
            "percentile": 90, "factor": 2, "min": min, "max": max, "minimum_samples": 100
        });
        let trial = Plan::new(json!({"timeout": {"adaptive": adaptive}}))
            .start()
            .await?;
        trial.set(Knobs::slow(50));
        trial.get().await?;
        assert_eq!(
            told(&trial),
            Some(15_000),
            "{what}: the route's own at first"
        );
        // The last of the hundred that it takes: none of them knows a limit yet.
        let samples = trial.client(4).flood("/", 99).await;
        assert!(samples.iter().all(|sample| sample.status == 200));
        until("the limit", async || {
            trial.get().await.is_ok_and(|answer| answer.status == 200)
                && told(&trial).is_some_and(|limit| limit < 15_000)
        })
        .await?;
        let limit = told(&trial).unwrap_or_default();
        println!("{what}: {limit} ms");
        assert!((least..=most).contains(&limit), "{what}: {limit} ms");
        assert_cut(&trial, what, Duration::from_millis(limit)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_says_its_own_limit_in_its_metadata() -> anyhow::Result<()> {
    let _alone = alone().await;
    for (what, metadata, at) in [
        ("the policy's", json!({}), 600),
        ("the route's", json!({"timeout": "200ms"}), 200),
        ("the smaller", json!({"timeout": "5s"}), 600),
        ("what is none", json!({"timeout": "soon"}), 600),
        ("no limit", json!({"timeout": "0s"}), 600),
    ] {
        let plan = Plan {
            metadata,
            ..Plan::new(json!({"timeout": {"total": "600ms"}}))
        };
        let trial = plan.start().await?;
        assert_cut(&trial, what, Duration::from_millis(at)).await?;
        assert_eq!(told(&trial), Some(at), "{what}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_ends_what_answers_and_no_event_stream() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = total().start().await?;
    let events = async |accept: &str| -> anyhow::Result<usize> {
        let request = format!("GET /events HTTP/1.1\r\nhost: a\r\n{accept}\r\n");
        let length = Duration::from_millis(1_500);
        let answer = raw::exchange(trial.address, request.as_bytes(), length).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        Ok(text.matches("data: tick").count())
    };
    let (stream, plain) = (
        events("accept: text/event-stream\r\n").await?,
        events("").await?,
    );
    assert!(stream >= 10, "{stream} events in 1.5 s");
    assert!(plain <= 5, "{plain} events in 300 ms");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_outlives_the_total() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = total().start().await?;
    let mut socket = TcpStream::connect(trial.address).await?;
    let upgrade =
        b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    socket.write_all(upgrade).await?;
    let mut buffer = [0; 1_024];
    let read = socket.read(&mut buffer).await?;
    let answer = String::from_utf8_lossy(&buffer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // Envoy itself starts the clock at the end of the request, which here is the end of all; so what it was told counts.
    assert_eq!(told(&trial), Some(15_000), "the route's own");
    // Well beyond the total: it is the passing of time itself that is tested.
    let end = clock::now() + 3 * TOTAL;
    while clock::now() < end {
        socket.write_all(b"ping").await?;
        let read = socket.read(&mut buffer).await?;
        assert_eq!(&buffer[..read], b"ping");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_without_a_limit_outlives_the_total() -> anyhow::Result<()> {
    let _alone = alone().await;
    let trial = total().grpc().start().await?;
    trial.set(Knobs::slow(900));
    let (answer, took) = timed(trial.pool.grpc("/grpc", &[])).await?;
    assert_eq!(answer.grpc_status(), Some(0));
    assert!(took >= 3 * TOTAL, "{took:?}");
    // With a limit of its own the smaller one holds.
    let (answer, took) = timed(trial.pool.grpc("/grpc", &[("grpc-timeout", "5S")])).await?;
    assert_eq!(answer.grpc_status(), Some(4));
    assert!((TOTAL - EARLY..TOTAL + LATE).contains(&took), "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_untrusted_says_our_own_headers() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let sent = [
        ("x-seawall-attempt", "2"),
        ("x-seawall-priority", "critical_plus"),
        ("x-seawall-retry", "1"),
        ("x-seawall-anything", "1"),
    ];
    for (trust, expected) in [
        (vec![], vec![]),
        (vec!["10.0.0.0/8"], vec![]),
        (
            vec!["127.0.0.1"],
            vec![
                ("x-seawall-attempt", "2"),
                ("x-seawall-priority", "critical_plus"),
            ],
        ),
    ] {
        for retries in [json!({}), json!({"retries": {}})] {
            let plan = Plan {
                trust: trust.clone(),
                ..Plan::new(retries.clone())
            };
            let trial = plan.start().await?;
            trial.pool.send(&Method::GET, "/", &sent).await?;
            let arrivals = trial.upstream.snapshot().arrivals;
            let values = arrivals[0].values.iter();
            let ours = values.filter(|(name, _)| name.starts_with("x-seawall"));
            let ours: Vec<_> = ours
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(ours, expected, "{trust:?}, {retries}");
            let removed = ["wasmcustom.seawall_control_headers_removed"];
            trial.envoy.wait_for(&removed, 1).await?;
        }
    }
    Ok(())
}
