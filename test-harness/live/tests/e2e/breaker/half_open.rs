//! Refusals end: pollers that abort, upload or hang do not keep an upstream refused that is well again. Neither do WebSockets
//! or slow uploads, though nothing else asks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_live::clock;
use seawall_live::load::{Client, Kind, count};
use seawall_live::upstream::Knobs;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::support::{Stand, assert_no_trap, beside_others, policy, until};

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

/// A breaker that is open, before an upstream that is well by now; it needs so many probes.
async fn opened(permits: usize) -> anyhow::Result<Stand> {
    const MINIMUM_CALLS: usize = 20;
    let breaker = policy(json!({
        "minimum_calls": MINIMUM_CALLS,
        "open": {"for": "2s", "up_to": "2s", "jitter": 0},
        "half_open": {"permits": permits, "wait": "20s"}
    }));
    let stand = Stand::with(breaker, json!({"timeout": "0s"}), json!({})).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let client = stand.client(1);
    for _ in 0..MINIMUM_CALLS {
        client.get(0, "/").await;
    }
    assert_eq!(stand.transitions(), ["closed -> open"]);
    stand.upstream.set(Knobs::default());
    Ok(stand)
}

/// Closed at the first try, and everybody gets in.
async fn assert_taken_back(stand: &Stand) {
    assert_eq!(
        stand.transitions(),
        ["closed -> open", "open -> half_open", "half_open -> closed"]
    );
    assert_eq!(stand.client(1).get(0, "/").await, (200, Kind::Good));
    assert_no_trap(&stand.envoy);
}

fn is_closed(stand: &Stand) -> bool {
    let last = stand.transitions().pop();
    last.as_deref() == Some("half_open -> closed")
}

/// An open WebSocket; nothing where it is refused.
async fn websocket(address: SocketAddr) -> anyhow::Result<Option<TcpStream>> {
    let mut socket = TcpStream::connect(address).await?;
    let request =
        b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    socket.write_all(request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    Ok(head.starts_with(b"HTTP/1.1 101 ").then_some(socket))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_websockets_alone_ask_is_taken_back_while_they_stay_open()
-> anyhow::Result<()> {
    const PERMITS: usize = 3;
    let _turn = beside_others().await;
    let stand = opened(PERMITS).await?;
    let mut sockets = Vec::new();
    until("closed again", async || {
        if let Ok(Some(socket)) = websocket(stand.address).await {
            sockets.push(socket);
        }
        is_closed(&stand)
    })
    .await?;
    // Each gave its permit back with its 101.
    assert!(sockets.len() >= PERMITS, "{}", sockets.len());
    for socket in &mut sockets {
        socket.write_all(b"ping").await?;
        let mut back = [0; 4];
        socket.read_exact(&mut back).await?;
        assert_eq!(&back, b"ping");
    }
    assert_taken_back(&stand).await;
    Ok(())
}

/// The body of an upload, of which nothing comes for longer than a permit may be held for it.
struct SlowBody {
    comes: Pin<Box<Sleep>>,
    body: Option<Bytes>,
}

impl SlowBody {
    fn new() -> Self {
        const LATE: Duration = Duration::from_secs(3);
        Self {
            comes: Box::pin(tokio::time::sleep(LATE)),
            body: Some(Bytes::from_static(b"at last")),
        }
    }
}

impl Body for SlowBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.body.is_some() {
            ready!(self.comes.as_mut().poll(context));
        }
        let body = self.body.take();
        Poll::Ready(body.map(|body| Ok(Frame::data(body))))
    }
}

/// A slow upload; the status of the response, which comes at once where it is refused.
async fn upload(peer: &mut SendRequest<SlowBody>) -> anyhow::Result<u16> {
    peer.ready().await?;
    let request = Request::post("http://a/upload").body(SlowBody::new())?;
    let response = peer.send_request(request).await?;
    Ok(response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_gets_only_slow_uploads_of_one_connection_is_taken_back_by_one_permit()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = opened(1).await?;
    // Over HTTP/2 a connection outlives the refusal of an unfinished request.
    let stream = TokioIo::new(TcpStream::connect(stand.address).await?);
    let (mut peer, connection) = handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    let mut statuses = Vec::new();
    until("closed again", async || {
        statuses.push(upload(&mut peer).await.unwrap_or(0));
        is_closed(&stand)
    })
    .await?;
    let (last, refused) = statuses.split_last().expect("an upload");
    assert_eq!(*last, 200, "{statuses:?}");
    assert!(
        refused.iter().all(|status| *status == 503),
        "each on the same connection: {statuses:?}"
    );
    // The permit was taken back after a second. The response counted all the same.
    let lapsed = ["wasmcustom.seawall_ignored", "reason=unfinished"];
    assert_eq!(stand.envoy.wait_for(&lapsed, 1).await?, 1);
    assert_taken_back(&stand).await;
    Ok(())
}
