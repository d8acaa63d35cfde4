//! What says nothing about an upstream, and what does, as a real Envoy shows it: requests that wait in its connection pool,
//! refusals of a Seawall behind, errors for unfinished requests, event streams, gRPC responses without a status.

use std::net::SocketAddr;
use std::time::Duration;

use seawall_live::clock;
use seawall_live::envoy::Envoy;
use seawall_live::envoy::bootstrap::Cluster;
use seawall_live::load::{Client, Kind, count};
use seawall_live::raw::exchange;
use seawall_live::upstream::Knobs;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::{
    Stand, anywhere, assert_no_trap, beside_others, edge, policy, transitions, until,
};

/// Twice the default window.
const SOON: Duration = Duration::from_secs(20);

fn defaults() -> Value {
    json!({"version": 1, "policies": {"default": {}}})
}

fn to(host: SocketAddr, more: Value) -> Cluster {
    Cluster {
        name: "upstream".to_owned(),
        hosts: vec![host],
        more,
        http2: false,
    }
}

async fn sum(envoy: &Envoy, metric: &str, label: &str) -> anyhow::Result<u64> {
    envoy
        .sum(&[&format!("wasmcustom.seawall_{metric}"), label])
        .await
}

async fn ignored(envoy: &Envoy, reason: &str, least: u64) -> anyhow::Result<u64> {
    let reason = format!("reason={reason}");
    envoy
        .wait_for(&["wasmcustom.seawall_ignored", &reason], least)
        .await
}

/// No request was a failure, slow or refused, and no breaker moved.
async fn assert_blameless(envoy: &Envoy) -> anyhow::Result<()> {
    for outcome in ["failure", "slow"] {
        let counted = sum(envoy, "outcomes", &format!("outcome={outcome}")).await?;
        assert_eq!(
            counted,
            0,
            "{outcome}: {:#?}",
            envoy.stats("seawall").await?
        );
    }
    assert_eq!(sum(envoy, "decisions", "decision=refused").await?, 0);
    assert_eq!(transitions(envoy), Vec::<String>::new());
    assert_no_trap(envoy);
    Ok(())
}

async fn opens(envoy: &Envoy) -> anyhow::Result<()> {
    let deadline = clock::now() + SOON;
    while !transitions(envoy).contains(&"closed -> open".to_owned()) {
        let late = clock::now() >= deadline;
        anyhow::ensure!(!late, "did not open: {:#?}", envoy.stats("seawall").await?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn unfinished(address: SocketAddr, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n0");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

/// An upstream that answers by the path, in bytes, and leaves the connection open.
async fn by_path(
    answer: impl Fn(&str) -> (Duration, Vec<u8>) + Clone + Send + 'static,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(anywhere()).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head);
                let (after, bytes) = answer(head.split(' ').nth(1).unwrap_or_default());
                tokio::time::sleep(after).await;
                stream.write_all(&bytes).await?;
                while stream.read(&mut [0; 1_024]).await? > 0 {}
                std::io::Result::Ok(())
            });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_connections_that_clients_hold_open_nothing() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let few = json!({"circuit_breakers": {"thresholds": [{"max_connections": 4}]}});
    // By leaving, by a limit of the route, and by an answer once a connection is free.
    for (timeout, patience) in [("0s", 3_500), ("3s", 20_000), ("0s", 20_000)] {
        let action = json!({"timeout": timeout});
        let stand = Stand::with(defaults(), action, few.clone()).await?;
        let mut held = Vec::new();
        for _ in 0..24 {
            held.push(unfinished(stand.address, "/upload").await?);
        }
        until("all connections are held", async || {
            stand.upstream.snapshot().requests >= 4
        })
        .await?;
        let client = Client::new(stand.address, 40, Duration::from_millis(patience));
        let load = tokio::spawn(async move { client.run("/", 10.0, Duration::from_secs(3)).await });
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        drop(held);
        let samples = load.await?;
        let answered = count(&samples, Kind::Good);
        if (timeout, patience) == ("0s", 20_000) {
            assert_eq!(answered, samples.len());
            let success = ["wasmcustom.seawall_outcomes", "outcome=success"];
            stand.envoy.wait_for(&success, samples.len() as u64).await?;
        } else {
            assert!(answered < samples.len() / 2, "{answered}");
            ignored(&stand.envoy, "envoy", 10).await?;
        }
        assert_blameless(&stand.envoy).await?;
    }
    Ok(())
}

/// Idle sessions of somebody take two of its connections; callers leave before they get one of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_hangs_opens_beside_idle_sessions_though_few_requests_find_a_connection()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let few = json!({"circuit_breakers": {"thresholds": [{"max_connections": 16}]}});
    let stand = Stand::with(defaults(), json!({"timeout": "0s"}), few).await?;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut session = TcpStream::connect(stand.address).await?;
        let request =
            b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        session.write_all(request).await?;
        let mut status = [0; 12];
        session.read_exact(&mut status).await?;
        assert_eq!(&status, b"HTTP/1.1 101");
        sessions.push(session);
    }
    stand.upstream.set(Knobs::hanging());
    let client = Client::new(stand.address, 80, Duration::from_secs(6));
    let load = tokio::spawn(async move { client.run("/", 10.0, SOON).await });
    opens(&stand.envoy).await?;
    load.abort();
    Ok(())
}

/// An address where connections are neither accepted nor refused, after so many: Linux drops what its queue has no room for.
async fn black_hole(accepted: usize) -> anyhow::Result<(SocketAddr, Vec<TcpStream>, TcpListener)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(anywhere())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut queued = Vec::new();
    if accepted == 0 {
        let most = Duration::from_millis(200);
        while let Ok(stream) = tokio::time::timeout(most, TcpStream::connect(address)).await {
            queued.push(stream?);
        }
    }
    Ok((address, queued, listener))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_takes_no_connections_opens_though_all_clients_leave_before_the_connect_timeout()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let (address, _queued, _listener) = black_hole(0).await?;
    let cluster = to(address, json!({"connect_timeout": "60s"}));
    let envoy = edge(defaults(), json!({"timeout": "0s"}), cluster).await?;
    let client = Client::new(envoy.listener("edge")?, 60, Duration::from_millis(2_500));
    let load = tokio::spawn(async move { client.run("/", 10.0, SOON).await });
    opens(&envoy).await?;
    load.abort();
    assert_eq!(sum(&envoy, "ignored", "reason=envoy").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_that_a_seawall_behind_enforces_are_the_callers() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let time = json!({"propagate": ["x-deadline-ms"], "doomed_under": "200ms"});
    let stand =
        Stand::start(json!({"version": 1, "policies": {"default": {"timeout": time}}})).await?;
    let propagating = json!({"propagate": ["x-deadline-ms"]});
    let front = json!({"version": 1, "policies": {"default": {"timeout": propagating}}});
    let front = edge(front, json!({}), to(stand.address, json!({}))).await?;
    let address = front.listener("edge")?;
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-deadline-ms: 150\r\n\r\n";
    for _ in 0..30 {
        let answer = exchange(address, request, Duration::from_secs(5)).await?;
        assert!(answer.starts_with(b"HTTP/1.1 504"), "{answer:?}");
    }
    // On a busy machine some have no time left when they come.
    ignored(&front, "caller_limit", 20).await?;
    assert_eq!(sum(&front, "outcomes", "outcome=failure").await?, 0);
    assert_eq!(transitions(&front), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_for_bodies_that_clients_do_not_finish_open_nothing_and_errors_at_once_do()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = by_path(|path| {
        let error = b"HTTP/1.1 500 sick\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec();
        let late = u64::from(path == "/late");
        (Duration::from_millis(late * 1_500), error)
    })
    .await?;
    for (path, late) in [("/late", true), ("/now", false)] {
        let envoy = edge(
            defaults(),
            json!({"timeout": "0s"}),
            to(upstream, json!({})),
        )
        .await?;
        let address = envoy.listener("edge")?;
        let mut uploads = JoinSet::new();
        for _ in 0..40 {
            uploads.spawn(async move {
                let mut stream = unfinished(address, path).await?;
                let mut status = [0; 12];
                stream.read_exact(&mut status).await?;
                anyhow::Ok(String::from_utf8_lossy(&status).into_owned())
            });
        }
        let answers = uploads.join_all().await;
        match late {
            true => {
                for answer in answers {
                    assert_eq!(answer?, "HTTP/1.1 500");
                }
                ignored(&envoy, "unfinished", 40).await?;
                assert_blameless(&envoy).await?;
            }
            false => opens(&envoy).await?,
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_take_event_streams_too_see_a_dead_upstream_and_may_get_a_quiet_one()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let accept = "application/json, text/event-stream";
    let dead = async {
        let stand = Stand::with(defaults(), json!({"timeout": "0s"}), json!({})).await?;
        stand.upstream.set(Knobs::hanging());
        let client = Client::new(stand.address, 60, Duration::from_secs(20));
        let client = client.header("accept", accept);
        let load = tokio::spawn(async move { client.run("/", 10.0, SOON).await });
        opens(&stand.envoy).await?;
        load.abort();
        anyhow::Ok(())
    };
    let quiet = async {
        let events = "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n\
                      transfer-encoding: chunked\r\n\r\n6\r\ndata\n\n\r\n";
        let upstream = by_path(|_| (Duration::ZERO, events.into())).await?;
        let envoy = edge(
            defaults(),
            json!({"timeout": "4s"}),
            to(upstream, json!({})),
        )
        .await?;
        let address = envoy.listener("edge")?;
        let mut streams = JoinSet::new();
        for _ in 0..40 {
            let request = format!("GET / HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\n\r\n");
            streams.spawn(async move {
                exchange(address, request.as_bytes(), Duration::from_secs(10)).await
            });
        }
        streams.join_all().await;
        ignored(&envoy, "tunnel_end", 40).await?;
        assert_blameless(&envoy).await
    };
    tokio::try_join!(dead, quiet)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_responses_without_a_status_are_failures_and_what_is_not_grpc_says_nothing()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let grpc = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n";
    let empty = "content-length: 0\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let kinds = [
        (
            "said well",
            format!("{grpc}grpc-status: 0\r\n{empty}"),
            "success",
        ),
        (
            "said failed",
            format!("{grpc}grpc-status: 14\r\n{empty}"),
            "failure",
        ),
        (
            "with a zero",
            format!("{grpc}grpc-status: 014\r\n{empty}"),
            "failure",
        ),
        (
            "junk",
            format!("{grpc}grpc-status: 14abc\r\n{empty}"),
            "failure",
        ),
        (
            "beyond all",
            format!("{grpc}grpc-status: 99\r\n{empty}"),
            "failure",
        ),
        ("none", format!("{grpc}{empty}"), "failure"),
        (
            "none, with a body",
            format!("{grpc}{chunked}5\r\n\0\0\0\0\0\r\n0\r\n\r\n"),
            "failure",
        ),
        (
            "none in the trailers",
            format!("{grpc}{chunked}5\r\n\0\0\0\0\0\r\n0\r\nx-more: 1\r\n\r\n"),
            "failure",
        ),
        (
            "in the headers, ended by a body",
            format!("{grpc}grpc-status: 14\r\n{chunked}0\r\n\r\n"),
            "failure",
        ),
        (
            "a page",
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\n<html"
                .to_owned(),
            "ignored",
        ),
        (
            "an empty page",
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n{empty}"),
            "ignored",
        ),
        (
            "a page that fails",
            format!("HTTP/1.1 503 sick\r\ncontent-type: text/html\r\n{empty}"),
            "failure",
        ),
    ];
    let answers = kinds.clone().map(|(_, answer, _)| answer);
    let upstream = by_path(move |path| {
        let number: usize = path.trim_start_matches('/').parse().unwrap_or(0);
        (Duration::ZERO, answers[number].clone().into_bytes())
    })
    .await?;
    let lasting = policy(json!({"minimum_calls": 1_000_000}));
    let one = json!({"max_requests_per_connection": 1});
    let envoy = edge(lasting, json!({"timeout": "5s"}), to(upstream, one)).await?;
    let address = envoy.listener("edge")?;
    for (number, (what, _, outcome)) in kinds.iter().enumerate() {
        let label = format!("outcome={outcome}");
        let before = sum(&envoy, "outcomes", &label).await?;
        let request = format!(
            "POST /{number} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nte: trailers\r\n\
             content-type: application/grpc\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0"
        );
        exchange(address, request.as_bytes(), Duration::from_secs(5)).await?;
        until(what, async || {
            sum(&envoy, "outcomes", &label).await.unwrap_or(0) > before
        })
        .await?;
    }
    ignored(&envoy, "not_grpc", 2).await?;
    assert_no_trap(&envoy);
    Ok(())
}
