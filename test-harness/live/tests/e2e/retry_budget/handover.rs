//! Retries that the position behind the router did not see coming, or sees only by a stream's end: each is found, and paid for or not
//! sent. While all is well the two positions hand each other nothing, so that here each flood begins after good requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Good requests, so that nothing is handed over; their deposits pay for so many retries.
const BEFORE: usize = 600;

/// A route that retries by its own word, beside what the policy says.
async fn of_route(action: Value, knobs: Knobs) -> anyhow::Result<Shares> {
    let stand = Stand::start(&[("own", Some(budget(3)), action)]).await?;
    let calm = stand.flood_with(BEFORE, 0, Knobs::default()).await?;
    assert_eq!((calm.good, calm.retries), (100.0, 0.0));
    stand.lanes[0].upstream.reset_stats();
    stand.flood_with(CUT, 0, knobs).await
}

/// What was saved before pays for some, too.
fn assert_paid(what: &str, shares: &Shares) {
    let saved = 0.2 * BEFORE as f64 * 100.0 / CUT as f64;
    let most = 20.0 + saved + TOLERANCE;
    let least = 20.0 - TOLERANCE;
    assert!(
        (least..=most).contains(&shares.retries),
        "{what}: {shares:?}, and {least} to {most} % are paid for"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_retries_what_looks_good_keeps_to_the_budget() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let action = json!({"retry_policy": {
        "retry_on": "retriable-headers", "num_retries": 2, "retry_back_off": back_off(),
        "retriable_headers": [{"name": "x-again", "present_match": true}]
    }});
    let again = Knobs {
        answer_headers: vec![("x-again".to_owned(), "1".to_owned())],
        ..Knobs::default()
    };
    let shares = of_route(action, again).await?;
    assert_paid("answers of 200 that the route retries", &shares);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_word_of_a_routes_own_is_under_the_budget() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for (on, status) in [
        ("5xx", 500),
        ("gateway-error", 503),
        ("retriable-4xx", 409),
        ("retriable-status-codes", 418),
    ] {
        let action = json!({"retry_policy": {
            "retry_on": on, "num_retries": 2, "retry_back_off": back_off(),
            "retriable_status_codes": [418]
        }});
        let failing = Knobs {
            error_status: status,
            ..Knobs::failing(1.0)
        };
        let shares = of_route(action, failing).await?;
        match status {
            // What the policy does not name is not retried, whatever the route says.
            400..=499 => assert_eq!(shares.retries, 0.0, "{on}"),
            _ => assert_paid(on, &shares),
        }
    }
    Ok(())
}

/// What an HTTP/2 upstream does with each stream.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// Resets it: it did nothing.
    Stream,
    /// Resets it for no reason, before headers.
    Reset,
}

/// An HTTP/2 upstream that answers nothing, and the streams that it saw.
async fn refusing(refusal: Refusal) -> anyhow::Result<(SocketAddr, Arc<AtomicU64>)> {
    let listener = TcpListener::bind(anywhere()).await?;
    let address = listener.local_addr()?;
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(refuse(stream, refusal, Arc::clone(&count)));
        }
    });
    Ok((address, seen))
}

async fn refuse(
    mut stream: TcpStream,
    refusal: Refusal,
    seen: Arc<AtomicU64>,
) -> std::io::Result<()> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream
        .write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
        .await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        let mut frame = match (kind, refusal) {
            (SETTINGS, _) if flags == 0 => vec![0, 0, 0, SETTINGS, 1, 0, 0, 0, 0],
            (HEADERS, _) => vec![0, 0, 4, 3, 0],
            _ => continue,
        };
        if kind == HEADERS {
            seen.fetch_add(1, Ordering::Relaxed);
            match refusal {
                Refusal::Stream => frame.extend(id.iter().chain(&[0, 0, 0, 7])),
                Refusal::Reset => frame.extend(id.iter().chain(&[0, 0, 0, 2])),
            }
        }
        stream.write_all(&frame).await?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_refused_or_reset_are_paid_for() -> anyhow::Result<()> {
    const REFUSED: usize = 2_000;
    let _turn = beside_others().await;
    for refusal in [Refusal::Stream, Refusal::Reset] {
        let (address, seen) = refusing(refusal).await?;
        let cluster = Cluster {
            name: "refusing".to_owned(),
            hosts: vec![address],
            http2: true,
            ..Cluster::default()
        };
        let listener = Listener {
            name: "edge".to_owned(),
            upstream: true,
            named_roots: true,
            policy: Some(budget(3)),
            routes: vec![Route {
                prefix: "/".to_owned(),
                cluster: "refusing".to_owned(),
                action: inert(),
                ..Route::default()
            }],
            ..Listener::default()
        };
        let envoy = Envoy::start(&bootstrap(&filter()?, &[listener], &[cluster]), WORKERS).await?;
        let client = Client::new(envoy.listener("edge")?, USERS, Duration::from_secs(10));
        let samples = client.flood("/", REFUSED).await;
        assert!(samples.iter().all(|sample| sample.status == 503));
        let retries = envoy.sum(&["cluster.refusing.upstream_rq_retry"]).await?;
        let overflow = envoy.sum(&["upstream_rq_retry_overflow"]).await?;
        println!(
            "{refusal:?}: {} streams, {retries} retries",
            seen.load(Ordering::Relaxed)
        );
        assert_eq!(overflow, 0);
        assert_no_trap(&envoy);
        let streams = seen.load(Ordering::Relaxed) as f64 * 100.0 / REFUSED as f64;
        assert_near(&format!("{refusal:?}"), streams, 120.0);
    }
    Ok(())
}
