//! Tunnels of CONNECT: good with their 200, and nothing that ends them later is a failure of the upstream.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use seawall_live::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use seawall_live::envoy::{Envoy, filter};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{WORKERS, anywhere, assert_no_trap, beside_others, transitions, until};

/// More than the default policy needs to judge by.
const TUNNELS: usize = 30;
/// After this message the upstream cuts a tunnel.
const MESSAGE: &[u8] = b"hello";
const PATIENCE: Duration = Duration::from_secs(10);

/// Who answers a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnsweredBy {
    /// Envoy does, once it has a connection. Its upstream knows nothing of HTTP.
    Envoy,
    /// The upstream does, which is a proxy itself.
    Upstream,
}

impl AnsweredBy {
    /// What the route says of it.
    fn upgrade(self) -> Value {
        match self {
            Self::Envoy => json!({"upgrade_type": "CONNECT", "connect_config": {}}),
            Self::Upstream => json!({"upgrade_type": "CONNECT"}),
        }
    }
}

/// How the upstream ends a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutBy {
    Close,
    Reset,
}

async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn upstream(answered_by: AnsweredBy, cut_by: CutBy) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(anywhere()).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answered_by, cut_by));
        }
    });
    Ok(address)
}

async fn serve(
    mut stream: TcpStream,
    answered_by: AnsweredBy,
    cut_by: CutBy,
) -> std::io::Result<()> {
    if answered_by == AnsweredBy::Upstream {
        head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    let mut message = [0; MESSAGE.len()];
    stream.read_exact(&mut message).await?;
    match cut_by {
        CutBy::Close => Ok(()),
        CutBy::Reset => stream.set_zero_linger(),
    }
}

async fn edge(upstream: SocketAddr, answered_by: AnsweredBy) -> anyhow::Result<Envoy> {
    let listener = Listener {
        name: "edge".to_owned(),
        policy: Some(json!({"version": 1, "policies": {"default": {}}})),
        routes: vec![Route {
            connect: true,
            cluster: "upstream".to_owned(),
            action: json!({"timeout": "0s", "upgrade_configs": [answered_by.upgrade()]}),
            ..Route::default()
        }],
        ..Listener::default()
    };
    let cluster = Cluster {
        name: "upstream".to_owned(),
        hosts: vec![upstream],
        ..Cluster::default()
    };
    let whole = bootstrap(&filter()?, &[listener], &[cluster]);
    Envoy::start(&whole, WORKERS).await
}

/// A tunnel that stands.
async fn open(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut tunnel = TcpStream::connect(address).await?;
    tunnel
        .write_all(b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n")
        .await?;
    let answered = tokio::time::timeout(PATIENCE, head(&mut tunnel)).await;
    let head = answered.context("a CONNECT was not answered")??;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(tunnel)
}

async fn end(mut tunnel: TcpStream) -> anyhow::Result<()> {
    let mut buffer = [0; 64];
    let end = async { while let Ok(1..) = tunnel.read(&mut buffer).await {} };
    let ended = tokio::time::timeout(PATIENCE, end).await;
    ended.context("a tunnel did not end")
}

async fn all_are_cut(answered_by: AnsweredBy, cut_by: CutBy) -> anyhow::Result<()> {
    let envoy = edge(upstream(answered_by, cut_by).await?, answered_by).await?;
    let address = envoy.listener("edge")?;
    let mut tunnels = Vec::new();
    for _ in 0..TUNNELS {
        tunnels.push(open(address).await?);
    }
    // All are counted while they stand.
    let success = ["wasmcustom.seawall_outcomes", "outcome=success"];
    let all = TUNNELS as u64;
    assert_eq!(envoy.wait_for(&success, all).await?, all);

    for tunnel in &mut tunnels {
        tunnel.write_all(MESSAGE).await?;
    }
    for tunnel in tunnels {
        end(tunnel).await?;
    }
    until("all are over", async || {
        envoy.access_log().lines().count() >= TUNNELS
    })
    .await?;
    // To an upstream that knows nothing of HTTP a close is how it ends a response.
    if (answered_by, cut_by) != (AnsweredBy::Envoy, CutBy::Close) {
        let ended = ["wasmcustom.seawall_ignored", "reason=tunnel_end"];
        envoy.wait_for(&ended, all).await?;
    }
    assert_eq!(envoy.sum(&success).await?, all);
    let failures = ["wasmcustom.seawall_outcomes", "outcome=failure"];
    assert_eq!(envoy.sum(&failures).await?, 0);
    let refused = ["wasmcustom.seawall_decisions", "decision=refused"];
    assert_eq!(envoy.sum(&refused).await?, 0);
    assert_eq!(transitions(&envoy), Vec::<String>::new());
    assert_no_trap(&envoy);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_are_good_with_their_200_and_are_no_failures_when_the_server_cuts_them()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    for answered_by in [AnsweredBy::Envoy, AnsweredBy::Upstream] {
        for cut_by in [CutBy::Close, CutBy::Reset] {
            all_are_cut(answered_by, cut_by)
                .await
                .with_context(|| format!("answered by {answered_by:?}, cut by {cut_by:?}"))?;
        }
    }
    Ok(())
}
