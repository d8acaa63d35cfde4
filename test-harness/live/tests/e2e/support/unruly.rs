//! Users who do not behave: they go away at any moment, send half of what they announce, upgrade and hang up.
//!
//! Each draws what it does from its own seed. Nothing is awaited for long, and nothing that goes wrong is an error here: what it
//! leaves behind is what the tests look at.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seawall_live::pool::{Pool, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Nobody stays longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many tenants they name.
pub(crate) const TENANTS: u32 = 8;

/// One user with connections of their own.
struct User {
    address: SocketAddr,
    http1: Pool,
    http2: Pool,
    random: ChaCha8Rng,
    headers: Vec<(&'static str, String)>,
}

/// So many users make so many requests together.
pub(crate) async fn run(address: SocketAddr, users: u64, requests: u64, seed: u64) {
    let mut all = JoinSet::new();
    for number in 0..users {
        let mut user = User {
            address,
            http1: Pool::new(address, Protocol::Http1),
            http2: Pool::new(address, Protocol::Http2),
            random: ChaCha8Rng::seed_from_u64(seed ^ (number << 32)),
            headers: Vec::new(),
        };
        let share = requests / users + u64::from(number < requests % users);
        all.spawn(async move {
            for _ in 0..share {
                user.act().await;
            }
        });
    }
    all.join_all().await;
}

impl User {
    async fn act(&mut self) {
        let tenant = self.random.random_range(0..TENANTS);
        let priorities = [
            "critical_plus",
            "critical",
            "sheddable_plus",
            "sheddable",
            "x",
        ];
        let priority = priorities[self.random.random_range(0..priorities.len())];
        self.headers = vec![
            ("x-tenant", format!("tenant-{tenant}")),
            ("x-seawall-priority", priority.to_owned()),
        ];
        match self.random.random_range(0..100) {
            0..45 => self.whole(Protocol::Http1).await,
            45..55 => self.whole(Protocol::Http2).await,
            55..65 => self.impatient(Protocol::Http1).await,
            65..70 => self.impatient(Protocol::Http2).await,
            70..80 => self.cut("GET", "/", "", b"").await,
            80..88 => {
                self.cut("POST", "/", "content-length: 1000\r\n", &[b'a'; 500])
                    .await
            }
            88..93 => {
                let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n";
                self.cut("GET", "/ws", upgrade, b"hello").await;
            }
            93..96 => {
                self.cut("GET", "/events", "accept: text/event-stream\r\n", b"")
                    .await
            }
            96..98 => self.cut("GET", "/broken", "", b"").await,
            _ => self.cut("CONNECT", "", "", b"x").await,
        }
    }

    /// A request whose answer is awaited.
    async fn whole(&self, protocol: Protocol) {
        let _ = tokio::time::timeout(PATIENCE, self.ask(protocol)).await;
    }

    /// A request that is given up after a moment.
    async fn impatient(&mut self, protocol: Protocol) {
        let moment = Duration::from_micros(self.random.random_range(0..6_000));
        let _ = tokio::time::timeout(moment, self.ask(protocol)).await;
    }

    async fn ask(&self, protocol: Protocol) {
        let pool = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        };
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let _ = pool.send(&Method::GET, "/", &headers).await;
    }

    /// A request by hand on a connection of its own, which is closed after a moment: by a reset or by an end.
    async fn cut(&mut self, method: &str, path: &str, more: &str, body: &[u8]) {
        let moment = Duration::from_micros(self.random.random_range(0..12_000));
        let resets = self.random.random::<bool>();
        let target = if path.is_empty() { "a:1" } else { path };
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: a:1\r\n{more}");
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let Ok(mut stream) = TcpStream::connect(self.address).await else {
            return;
        };
        if resets {
            let _ = stream.set_zero_linger();
        }
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.write_all(body).await?;
            let mut buffer = [0; 1_024];
            while stream.read(&mut buffer).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = tokio::time::timeout(moment, exchange).await;
    }
}
