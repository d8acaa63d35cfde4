//! Requests that a second Envoy resets, as a real Envoy in front of it shows them: for what one client sends, and for all.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use seawall_live::clock;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{self, Envoy};
use seawall_live::raw::status;
use seawall_live::upstream::Upstream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others, transitions};

const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// As many headers as the first Envoy lets pass; with what it adds they are more than the second one takes.
const MANY: usize = 97;

/// An application, an Envoy with its default limits before it, and before that one with the filter, by HTTP/2.
struct Chain {
    front: Envoy,
    address: SocketAddr,
    _behind: (Envoy, Upstream),
}

fn listener(name: &str, policy: Option<Value>, virtual_host: Value) -> Listener {
    Listener {
        name: name.to_owned(),
        policy,
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: "upstream".to_owned(),
            ..Route::default()
        }],
        virtual_host,
        ..Listener::default()
    }
}

fn to(host: SocketAddr, http2: bool) -> Cluster {
    Cluster {
        name: "upstream".to_owned(),
        hosts: vec![host],
        http2,
        ..Cluster::default()
    }
}

async fn start(listener: &Listener, cluster: &Cluster) -> anyhow::Result<Envoy> {
    let wasm = envoy::filter()?;
    let whole = bootstrap(
        &wasm,
        std::slice::from_ref(listener),
        std::slice::from_ref(cluster),
    );
    Envoy::start(&whole, WORKERS).await
}

impl Chain {
    /// With this many headers added to each request.
    async fn start(added: usize) -> anyhow::Result<Self> {
        let app = Upstream::start("upstream", anywhere()).await?;
        let plain = listener("back", None, json!({}));
        let back = start(&plain, &to(app.address(), false)).await?;
        let added: Vec<Value> = (0..added)
            .map(|number| json!({"header": {"key": format!("x-added-{number}"), "value": "1"}}))
            .collect();
        let policy = json!({"version": 1, "policies": {"default": {}}});
        let edge = listener(
            "edge",
            Some(policy),
            json!({"request_headers_to_add": added}),
        );
        let front = start(&edge, &to(back.listener("back")?, true)).await?;
        let address = front.listener("edge")?;
        Ok(Self {
            front,
            address,
            _behind: (back, app),
        })
    }

    async fn sum(&self, metric: &str, label: &str) -> anyhow::Result<u64> {
        let metric = format!("wasmcustom.seawall_{metric}");
        self.front.sum(&[&metric, label]).await
    }
}

/// A connection from this address.
async fn connect(address: SocketAddr, from: Ipv4Addr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(address).await?)
}

/// One request from this address, on a connection of its own.
async fn ask(address: SocketAddr, from: Ipv4Addr, headers: usize) -> anyhow::Result<Option<u16>> {
    let mut stream = connect(address, from).await?;
    let mut request = "GET / HTTP/1.1\r\nhost: a\r\n".to_owned();
    for number in 0..headers {
        request.push_str(&format!("x-h{number}: 1\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 4_096];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await??;
    Ok(status(&answer[..read]))
}

/// The statuses of requests at an even pace.
async fn load(
    address: SocketAddr,
    from: Ipv4Addr,
    headers: usize,
    every: Duration,
    seconds: u64,
) -> anyhow::Result<Vec<Option<u16>>> {
    let deadline = clock::now() + Duration::from_secs(seconds);
    let mut turns = tokio::time::interval(every);
    let mut statuses = Vec::new();
    while clock::now() < deadline {
        turns.tick().await;
        statuses.push(ask(address, from, headers).await?);
    }
    Ok(statuses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_whose_requests_the_upstream_resets_opens_nothing_beside_others()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let chain = Chain::start(0).await?;
    let bad = load(chain.address, ATTACKER, MANY, Duration::from_millis(120), 8);
    let good = load(chain.address, OTHER, 0, Duration::from_millis(200), 8);
    let (bad, good) = tokio::try_join!(bad, good)?;
    assert!(bad.len() >= 40 && good.len() >= 25, "{bad:?} {good:?}");
    assert!(bad.iter().all(|status| *status == Some(503)), "{bad:?}");
    assert!(good.iter().all(|status| *status == Some(200)), "{good:?}");
    let stats = chain.front.stats("seawall").await?;
    assert_eq!(
        transitions(&chain.front),
        Vec::<String>::new(),
        "{stats:#?}"
    );
    let reason = ["wasmcustom.seawall_ignored", "reason=one_peer"];
    let least = bad.len() as u64 - 3;
    chain.front.wait_for(&reason, least).await?;
    let failures = chain.sum("outcomes", "outcome=failure").await?;
    assert!(failures <= 3, "{stats:#?}");
    assert_no_trap(&chain.front);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_resets_the_requests_of_all_opens() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    for peers in [&[OTHER][..], &[OTHER, ATTACKER]] {
        let chain = Chain::start(MANY).await?;
        let begun = clock::now();
        let mut nth = 0;
        while transitions(&chain.front).is_empty() {
            ask(chain.address, peers[nth % peers.len()], 0).await?;
            nth += 1;
            let late = begun.elapsed() > Duration::from_secs(6);
            anyhow::ensure!(!late, "{:#?}", chain.front.stats("seawall").await?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(transitions(&chain.front), ["closed -> open"]);
        assert_no_trap(&chain.front);
    }
    Ok(())
}

/// An application that answers a GET at once, and an upload by an echo of its chunks, which it cuts after half a second.
async fn echo() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(anywhere()).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    const MOST: Duration = Duration::from_millis(500);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if head.starts_with(b"GET") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await?;
            continue;
        }
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(answer).await?;
        let echo = async {
            let mut chunk = [0; 1_024];
            while stream.read(&mut chunk).await? > 0 {
                stream.write_all(b"1\r\nx\r\n").await?;
            }
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(MOST, echo).await;
        return stream.set_zero_linger();
    }
}

/// Sends a chunk each tenth of a second, until the connection is cut.
async fn upload(address: SocketAddr, from: Ipv4Addr) -> anyhow::Result<()> {
    let mut stream = connect(address, from).await?;
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head).await?;
    while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_whose_uploads_the_upstream_cuts_under_their_responses_opens_nothing_beside_others()
-> anyhow::Result<()> {
    const UPLOADS: u64 = 60;
    let _turn = beside_others().await;
    let policy = json!({"version": 1, "policies": {"default": {}}});
    let edge = listener("edge", Some(policy), json!({}));
    let front = start(&edge, &to(echo().await?, false)).await?;
    let address = front.listener("edge")?;
    let mut uploads = JoinSet::new();
    for number in 0..UPLOADS {
        uploads.spawn(async move {
            tokio::time::sleep(Duration::from_millis(100 * number)).await;
            upload(address, ATTACKER).await
        });
    }
    let good = load(address, OTHER, 0, Duration::from_millis(200), 6).await?;
    for done in uploads.join_all().await {
        done?;
    }
    assert!(good.len() >= 18, "{good:?}");
    assert!(good.iter().all(|status| *status == Some(200)), "{good:?}");
    let reason = ["wasmcustom.seawall_ignored", "reason=one_peer"];
    front.wait_for(&reason, UPLOADS - 6).await?;
    let stats = front.stats("seawall").await?;
    assert_eq!(transitions(&front), Vec::<String>::new(), "{stats:#?}");
    assert_no_trap(&front);
    Ok(())
}
