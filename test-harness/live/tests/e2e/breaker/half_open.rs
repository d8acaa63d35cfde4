//! Refusals end: pollers that abort, upload or hang do not keep an upstream refused that is well again.

use std::net::SocketAddr;
use std::time::Duration;

use seawall_live::clock;
use seawall_live::load::{Client, Kind, count};
use seawall_live::upstream::Knobs;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Stand, assert_no_trap, beside_others};

/// The default ramp, and a little.
const RAMP: Duration = Duration::from_millis(10_500);
/// What a well upstream takes here.
const LATENCY: u64 = 60;

/// A client that leaves before it can be answered, and asks again at once.
async fn aborts(address: SocketAddr) {
    let hasty = Client::new(address, 1, Duration::from_millis(LATENCY / 2));
    loop {
        hasty.get(0, "/").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client that sends the headers of an upload and then no more. It leaves after this time, or when it is answered, and
/// asks again.
async fn uploads(address: SocketAddr, stays: Duration) {
    loop {
        let upload = async {
            let mut stream = TcpStream::connect(address).await?;
            let head = b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";
            stream.write_all(head).await?;
            let mut answer = [0; 64];
            stream.read(&mut answer).await
        };
        // Refused, cut off, or not answered: it asks again.
        drop(tokio::time::timeout(stays, upload).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_pollers_that_abort_upload_or_hang_do_not_keep_the_good_ones_out() -> anyhow::Result<()>
{
    let _turn = beside_others().await;
    let defaults = json!({"version": 1, "policies": {"default": {}}});
    let stand = Stand::with(defaults, json!({"timeout": "0s"}), json!({})).await?;
    let mut pollers = JoinSet::new();
    for number in 0..10 {
        let address = stand.address;
        match number % 3 {
            0 => pollers.spawn(aborts(address)),
            1 => pollers.spawn(uploads(address, Duration::from_millis(1_500))),
            _ => pollers.spawn(uploads(address, Duration::from_secs(60))),
        };
    }
    stand.upstream.set(Knobs::failing(1.0));
    let good = stand.client(4);
    good.run("/", 20.0, Duration::from_secs(4)).await;
    let opened = "closed -> open".to_owned();
    assert!(stand.transitions().contains(&opened), "it was sick");

    stand.upstream.set(Knobs::slow(LATENCY));
    let well = clock::now();
    let closed = "half_open -> closed".to_owned();
    while stand.transitions().last() != Some(&closed) {
        assert!(
            clock::now() < well + Duration::from_secs(30),
            "{:?}, {:#?}",
            stand.transitions(),
            stand.envoy.stats("seawall").await?
        );
        good.run("/", 20.0, Duration::from_millis(500)).await;
    }
    println!("closed after {:?}", clock::now() - well);
    good.run("/", 20.0, RAMP).await;
    let samples = good.run("/", 20.0, Duration::from_secs(5)).await;
    let answered = count(&samples, Kind::Good);
    println!("{answered} of {} answered", samples.len());
    assert!(answered * 100 >= samples.len() * 95, "{samples:?}");
    assert_eq!(stand.transitions().last(), Some(&closed));
    assert_no_trap(&stand.envoy);
    Ok(())
}

/// A good request whose body comes after its headers, as that of every unary gRPC call and of many a JSON API. The status.
async fn post(address: SocketAddr) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head).await?;
    tokio::time::sleep(Duration::from_millis(10)).await;
    stream.write_all(b"{}").await?;
    let mut answer = String::new();
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, stream.read_to_string(&mut answer)).await??;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    Ok(status.parse()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_abort_complete_requests_keep_no_post_out() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let defaults = json!({"version": 1, "policies": {"default": {}}});
    let stand = Stand::with(defaults, json!({"timeout": "0s"}), json!({})).await?;
    stand.upstream.set(Knobs::failing(1.0));
    stand.client(4).run("/", 20.0, Duration::from_secs(4)).await;
    let opened = "closed -> open".to_owned();
    assert!(stand.transitions().contains(&opened), "it was sick");

    stand.upstream.set(Knobs::slow(LATENCY));
    let mut pollers = JoinSet::new();
    for _ in 0..3 {
        pollers.spawn(aborts(stand.address));
    }
    let well = clock::now();
    let closed = "half_open -> closed".to_owned();
    while stand.transitions().last() != Some(&closed) {
        assert!(
            clock::now() < well + Duration::from_secs(30),
            "{:?}, {:#?}",
            stand.transitions(),
            stand.envoy.stats("seawall").await?
        );
        // Refused while its body is on its way, the connection may be reset before the refusal is read.
        drop(post(stand.address).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("closed after {:?}", clock::now() - well);
    tokio::time::sleep(RAMP).await;
    for _ in 0..10 {
        assert_eq!(post(stand.address).await?, 200);
    }
    assert_no_trap(&stand.envoy);
    Ok(())
}
