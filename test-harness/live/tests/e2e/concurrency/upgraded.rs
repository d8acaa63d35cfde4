//! What an upgraded connection holds: its place until it is closed, or no longer than until the 101.

use hyper::Method;
use seawall_live::upstream::Knobs;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::trial::{Plan, Trial};
use crate::support::{beside_others, until};

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// An open websocket.
struct Socket(TcpStream);

impl Socket {
    async fn open(trial: &Trial) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(trial.address).await?;
        stream.write_all(UPGRADE).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let mut socket = Self(stream);
        socket.assert_echoes().await?;
        Ok(socket)
    }

    async fn assert_echoes(&mut self) -> anyhow::Result<()> {
        self.0.write_all(b"ping").await?;
        let mut back = [0; 4];
        self.0.read_exact(&mut back).await?;
        assert_eq!(&back, b"ping");
        Ok(())
    }
}

/// One place, held until then.
async fn one_place(until: &str) -> anyhow::Result<Trial> {
    let plan = Plan::new(json!({"bulkhead": {"max_concurrent": 1, "until": until}}));
    let trial = plan.start().await?;
    trial.set(Knobs::default());
    Ok(trial)
}

/// The status of a request by somebody else.
async fn another(trial: &Trial) -> anyhow::Result<u16> {
    Ok(trial.pool.send(&Method::GET, "/", &[]).await?.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_holds_its_place_until_it_is_closed() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = one_place("end").await?;
    let mut socket = Socket::open(&trial).await?;
    for _ in 0..20 {
        assert_eq!(another(&trial).await?, 503);
        socket.assert_echoes().await?;
    }
    drop(socket);
    until("a free place", async || {
        another(&trial).await.is_ok_and(|status| status == 200)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_gives_its_place_back_with_the_101_where_the_policy_says_so() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let trial = one_place("headers").await?;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(Socket::open(&trial).await?);
        assert_eq!(another(&trial).await?, 200);
    }
    for socket in &mut sockets {
        socket.assert_echoes().await?;
    }
    Ok(())
}
