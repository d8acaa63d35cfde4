//! The stand's own parts do what they are told, without an Envoy: knobs, counts by attempt, and the app between.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Method;
use seawall_live::app::{App, Counts};
use seawall_live::pool::{Pool, Protocol};
use seawall_live::upstream::{Knobs, Upstream, WORK};
use seawall_live::{clock, raw};
use tokio::net::TcpStream;

use crate::support::{anywhere, beside_others, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_attempts_fail_by_their_own_share_and_their_retries_do_not() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    upstream.set(Knobs {
        latency_ms: 0,
        ..Knobs::failing_first(0.5)
    });
    let pool = Pool::new(upstream.address(), Protocol::Http1);
    let mut failed = 0;
    for number in 0..1_000 {
        let id = format!("request-{number}");
        let headers = [("x-request-id", id.as_str())];
        if pool.send(&Method::GET, "/", &headers).await?.status == 503 {
            failed += 1;
            let again = pool.send(&Method::GET, "/", &headers).await?;
            assert_eq!(again.status, 200, "a retry succeeds");
        }
    }
    let seen = upstream.snapshot();
    assert_eq!((seen.first_attempts, seen.retries), (1_000, failed));
    assert!((470..530).contains(&failed), "{failed} of 1,000");
    assert_eq!(
        seen.arrivals.last().map(|last| last.attempt <= 2),
        Some(true)
    );
    upstream.reset_stats();
    assert_eq!(upstream.snapshot().first_attempts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_cuts_a_share_says_what_it_is_told_and_keeps_what_a_request_said()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let pool = Pool::new(upstream.address(), Protocol::Http1);
    upstream.set(Knobs {
        reset_rate: 0.5,
        latency_ms: 0,
        ..Knobs::default()
    });
    let mut cut = 0;
    for _ in 0..200 {
        cut += u32::from(pool.send(&Method::GET, "/", &[]).await.is_err());
    }
    assert!((70..130).contains(&cut), "{cut} of 200");

    upstream.reset_stats();
    upstream.set(Knobs {
        grpc_status: 8,
        answer_headers: vec![
            ("x-seawall-retry".to_owned(), "1".to_owned()),
            ("not a header".to_owned(), String::new()),
        ],
        ..Knobs::failing(1.0)
    });
    let grpc = Pool::new(upstream.address(), Protocol::Http2);
    let said = [
        ("grpc-timeout", "250m"),
        ("x-seawall-a", "b"),
        ("other", "c"),
    ];
    let answer = grpc.grpc("/grpc", &said).await?;
    assert_eq!((answer.status, answer.grpc_status()), (200, Some(8)));
    assert!(answer.headers.contains_key("x-seawall-retry"));
    let arrivals = upstream.snapshot().arrivals;
    let kept: Vec<(&str, &str)> = arrivals[0]
        .values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(kept, [("grpc-timeout", "250m"), ("x-seawall-a", "b")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_copies_the_id_alone_and_gives_the_status_back() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let app = App::start("app", anywhere()).await?;
    let http = Pool::new(app.address(), Protocol::Http1);
    let grpc = Pool::new(app.address(), Protocol::Http2);
    assert_eq!(http.send(&Method::GET, "/", &[]).await?.status, 502);
    app.send_to(upstream.address());
    let said = [
        ("x-request-id", "an-id"),
        ("grpc-timeout", "250m"),
        ("x-envoy-expected-rq-timeout-ms", "250"),
        ("x-seawall-a", "b"),
        ("other", "c"),
    ];
    assert_eq!(http.send(&Method::GET, "/a?b", &said).await?.status, 200);
    let arrived = upstream.snapshot().arrivals.remove(0);
    assert_eq!(
        (arrived.path.as_str(), arrived.id.as_str()),
        ("/a?b", "an-id")
    );
    assert_eq!(arrived.headers, ["host", "x-request-id"]);

    let answer = grpc.grpc("/grpc?status=5&trailers", &said).await?;
    assert_eq!((answer.status, answer.grpc_status()), (200, Some(5)));
    let arrived = upstream.snapshot().arrivals.remove(1);
    assert!(arrived.values.is_empty(), "{:?}", arrived.values);

    upstream.set(Knobs::failing(1.0));
    assert_eq!(http.send(&Method::GET, "/", &said).await?.status, 503);
    assert_eq!(grpc.grpc("/grpc", &said).await?.grpc_status(), Some(14));
    upstream.set(Knobs::down());
    assert_eq!(http.send(&Method::GET, "/", &said).await?.status, 502);
    let expected = Counts {
        arrived: 6,
        sent: 5,
        given_up: 0,
        broken: 2,
        answers: [(200, 3), (503, 1)].into(),
    };
    assert_eq!(app.counts(), expected);
    assert_eq!(app.counts().in_work(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_goes_on_when_its_caller_has_gone() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let app = App::start("app", anywhere()).await?;
    app.send_to(upstream.address());
    upstream.set(Knobs {
        hang: true,
        ..Knobs::default()
    });
    let stream = tokio::net::TcpStream::connect(app.address()).await?;
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get("/").header("host", "a");
    let asked = send.send_request(request.body(Empty::<bytes::Bytes>::new())?);
    let asked = tokio::spawn(asked);
    crate::support::until("an arrival", async || upstream.snapshot().requests == 1).await?;
    asked.abort();
    connection.abort();
    upstream.set(Knobs::default());
    crate::support::until("its answer", async || {
        app.counts().answers.get(&200) == Some(&1)
    })
    .await
}

/// Whether a connection is made within a moment.
async fn connects(address: SocketAddr) -> bool {
    const MOMENT: Duration = Duration::from_millis(300);
    let made = tokio::time::timeout(MOMENT, TcpStream::connect(address)).await;
    made.is_ok_and(|made| made.is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_answers_garbage_loses_packets_and_works_as_fast_as_it_is_told()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let upstream = Upstream::start("upstream", anywhere()).await?;
    let address = upstream.address();
    let pool = Pool::new(address, Protocol::Http1);
    upstream.set(Knobs {
        garbage: true,
        ..Knobs::default()
    });
    assert!(pool.send(&Method::GET, "/", &[]).await.is_err());
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let said = raw::exchange(address, request, Duration::from_secs(5)).await?;
    assert!(!said.is_empty() && raw::status(&said).is_none(), "{said:?}");

    upstream.set(Knobs {
        blackhole: true,
        ..Knobs::default()
    });
    until("packets are lost", async || !connects(address).await).await?;
    upstream.set(Knobs::default());
    until("packets come", async || connects(address).await).await?;

    upstream.set(Knobs {
        latency_ms: 0,
        speed: 50,
        ..Knobs::default()
    });
    let begin = clock::now();
    assert_eq!(
        pool.send(&Method::GET, "/", &[(WORK, "50000")])
            .await?
            .status,
        200
    );
    assert!(
        clock::now() - begin >= Duration::from_millis(100),
        "half as fast"
    );
    Ok(())
}
