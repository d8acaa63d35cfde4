//! Watches that their upstream ends together, as a server does that shuts down: by a GOAWAY and the end of the connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use seawall_live::envoy::bootstrap::Cluster;
use seawall_live::load::{Client, Kind, count};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{anywhere, assert_no_trap, beside_others, edge, frames, transitions};

const WATCHES: usize = 50;
/// The first part of each watch, and the last one.
const HELLO: &[u8] = b"hello";
const BYE: &[u8] = b"bye";
/// So long watches last. They are counted a second after their headers, and have left the default window of ten by then.
const AGE: Duration = Duration::from_secs(16);
const PATIENCE: Duration = Duration::from_secs(10);

/// An upstream that answers its first requests by watches, and all others by a whole response. `true` ends the connections
/// with watches.
async fn upstream() -> anyhow::Result<(SocketAddr, watch::Sender<bool>)> {
    let listener = TcpListener::bind(anywhere()).await?;
    let address = listener.local_addr()?;
    let (shut_down, told) = watch::channel(false);
    tokio::spawn(async move {
        let requests = Arc::new(AtomicUsize::new(0));
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, Arc::clone(&requests), told.clone()));
        }
    });
    Ok((address, shut_down))
}

async fn serve(
    mut connection: TcpStream,
    requests: Arc<AtomicUsize>,
    mut told: watch::Receiver<bool>,
) -> std::io::Result<()> {
    frames::accept(&mut connection).await?;
    let mut watches = Vec::new();
    let mut last = 0;
    loop {
        let over = async { told.wait_for(|over| *over).await.is_ok() };
        last = tokio::select! {
            stream = frames::next_request(&mut connection) => stream?,
            _ = over, if !watches.is_empty() => break,
        };
        let answer = if requests.fetch_add(1, Ordering::Relaxed) < WATCHES {
            watches.push(last);
            [frames::ok(last, false), frames::data(last, HELLO)].concat()
        } else {
            frames::ok(last, true)
        };
        connection.write_all(&answer).await?;
    }
    // All of them flow until the end: none looks as if its reader had stopped.
    let mut end = Vec::new();
    for stream in watches {
        end.extend(frames::data(stream, BYE));
    }
    end.extend(frames::goaway(last));
    connection.write_all(&end).await?;
    connection.shutdown().await?;
    // Closed with bytes unread, the connection would be reset.
    while connection.read(&mut [0; 1_024]).await? > 0 {}
    Ok(())
}

/// A watch whose first part came.
async fn begin(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await?;
    let mut read = Vec::new();
    let begun = async {
        while !read.windows(HELLO.len()).any(|part| part == HELLO) {
            anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "it ended at once");
        }
        anyhow::Ok(())
    };
    let begun = tokio::time::timeout(PATIENCE, begun).await;
    begun.context("a watch did not begin")??;
    Ok(stream)
}

async fn end(mut watch: TcpStream) -> anyhow::Result<()> {
    let mut buffer = [0; 1_024];
    let end = async { while let Ok(1..) = watch.read(&mut buffer).await {} };
    let ended = tokio::time::timeout(PATIENCE, end).await;
    ended.context("a watch did not end")
}

/// A good request each second, all of which are answered.
async fn good_ones(address: SocketAddr, length: Duration) {
    let client = Client::new(address, 2, Duration::from_secs(5));
    let samples = client.run("/", 1.0, length).await;
    assert_eq!(count(&samples, Kind::Good), samples.len(), "{samples:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_a_goaway_and_a_close_end_together_open_nothing() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let (upstream, shut_down) = upstream().await?;
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream],
        http2: true,
        ..Cluster::default()
    };
    let defaults = json!({"version": 1, "policies": {"default": {}}});
    let envoy = edge(defaults, json!({"timeout": "0s"}), cluster).await?;
    let address = envoy.listener("edge")?;
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        watches.push(begin(address).await?);
    }
    good_ones(address, AGE).await;

    shut_down.send_replace(true);
    for watch in watches {
        end(watch).await?;
    }
    good_ones(address, Duration::from_secs(2)).await;
    // They are failures in the metrics. To the breaker they are history, since they began before its window did.
    let failures = ["wasmcustom.seawall_outcomes", "outcome=failure"];
    envoy.wait_for(&failures, WATCHES as u64).await?;
    let refused = ["wasmcustom.seawall_decisions", "decision=refused"];
    assert_eq!(envoy.sum(&refused).await?, 0);
    assert_eq!(transitions(&envoy), Vec::<String>::new());
    assert_no_trap(&envoy);
    Ok(())
}
