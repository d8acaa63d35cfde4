//! Load over a fixed set of connections, each request sorted by what the user got: at a rate, or as fast as it goes.
//!
//! Requests go round the connections, so that Envoy's workers, among which it balances connections, get equal shares. A
//! request that has to wait for its connection waits on its own latency: nothing is left out of the account.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::clock;

/// The header by which an answer of Envoy's own says that it stands in for the upstream's.
pub const STANDS_IN: &str = "x-degraded";

/// What a user got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The upstream's own answer.
    Good,
    /// One that stands in for it: of the fallback ladder, or of Envoy's `custom_response` with [`STANDS_IN`].
    Degraded,
    /// A refusal by Seawall.
    Refused,
    /// An error.
    Failed,
}

/// One request and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it was due, since the load began.
    pub at: Duration,
    /// From then to the end of the answer.
    pub latency: Duration,
    /// What the user got.
    pub kind: Kind,
    /// The HTTP status; 0 if there was none.
    pub status: u16,
}

/// Connections to one address.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    from: Option<Ipv4Addr>,
    slots: Arc<Vec<Slot>>,
    patience: Duration,
    headers: Vec<(String, String)>,
    repeats: bool,
    repeated: Arc<AtomicU64>,
}

type Sender = http1::SendRequest<Empty<Bytes>>;
type Slot = Mutex<Option<Sender>>;

/// Whether the peer's end reset the connection.
fn is_reset(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset)
}

impl Client {
    /// So many connections to this address, made when they are needed; a user's patience ends after `patience`.
    pub fn new(address: SocketAddr, connections: usize, patience: Duration) -> Self {
        Self {
            address,
            from: None,
            slots: Arc::new((0..connections.max(1)).map(|_| Mutex::new(None)).collect()),
            patience,
            headers: Vec::new(),
            repeats: false,
            repeated: Arc::default(),
        }
    }

    /// The same, but a request on a connection that was used before, and is closed without a byte of an answer, is sent
    /// once more on a new one. Either side may close a connection that rests, and the other may be sending at that
    /// moment; clients repeat what is safe to repeat (RFC 9112, section 9.3.1), and these are all GET. So is a request whose
    /// connection is reset before that: a listener that is updated closes its old sockets, and Linux resets what still waits to
    /// be accepted there.
    #[must_use]
    pub fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The same from this address of the machine.
    #[must_use]
    pub fn from_address(mut self, from: Ipv4Addr) -> Self {
        self.from = Some(from);
        self
    }

    /// How many requests were sent once more.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The same with one more header on every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where its requests go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One request on connection number `slot`.
    pub async fn get(&self, slot: usize, path: &str) -> (u16, Kind) {
        let slot = &self.slots[slot % self.slots.len()];
        let mut place = slot.lock().await;
        let exchange = tokio::time::timeout(self.patience, self.exchange(&mut place, path));
        match exchange.await {
            Ok(Ok(answer)) => answer,
            // Whoever gives up, or is cut off, needs another connection next time.
            Ok(Err(_)) | Err(_) => {
                *place = None;
                (0, Kind::Failed)
            }
        }
    }

    async fn exchange(
        &self,
        place: &mut Option<Sender>,
        path: &str,
    ) -> anyhow::Result<(u16, Kind)> {
        let mut used = place.take().filter(|sender| !sender.is_closed());
        if let Some(sender) = used.as_mut()
            && sender.ready().await.is_err()
        {
            used = None;
        }
        let first = used.is_none();
        let mut sender = match used {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let mut sent = sender.send_request(self.request(path)?).await;
        let closed = |error: &hyper::Error| error.is_canceled() || error.is_incomplete_message();
        let again = |error: &hyper::Error| (!first && closed(error)) || is_reset(error);
        if self.repeats && sent.as_ref().is_err_and(again) {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            sender = self.connect().await?;
            sent = sender.send_request(self.request(path)?).await;
        }
        let response = sent?;
        let status = response.status().as_u16();
        let has = |name: &str| response.headers().contains_key(name);
        let kind = match status {
            _ if has("x-seawall-degraded") || has(STANDS_IN) => Kind::Degraded,
            _ if has("x-seawall-reason") => Kind::Refused,
            500.. => Kind::Failed,
            _ => Kind::Good,
        };
        let closes = response
            .headers()
            .get("connection")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        response.into_body().collect().await?;
        *place = (!closes).then_some(sender);
        Ok((status, kind))
    }

    async fn connect(&self) -> anyhow::Result<Sender> {
        let stream = match self.from {
            None => TcpStream::connect(self.address).await?,
            Some(from) => {
                let socket = TcpSocket::new_v4()?;
                socket.bind((from, 0).into())?;
                socket.connect(self.address).await?
            }
        };
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.ready().await?;
        Ok(sender)
    }

    fn request(&self, path: &str) -> anyhow::Result<Request<Empty<Bytes>>> {
        let mut request = Request::get(path).header("host", "seawall.test");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Empty::new())?)
    }

    /// Requests to `path` at `per_second`, for `length`; ends when the last has its answer.
    pub async fn run(&self, path: &str, per_second: f64, length: Duration) -> Vec<Sample> {
        let count = (per_second * length.as_secs_f64()).round() as u64;
        let begin = clock::now();
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let at = Duration::from_secs_f64(number as f64 / per_second);
            tokio::time::sleep_until((begin + at).into()).await;
            let client = self.clone();
            let path = path.to_owned();
            tasks.spawn(async move { client.sample(begin, at, number as usize, &path).await });
        }
        let mut samples = tasks.join_all().await;
        samples.sort_by_key(|sample| sample.at);
        samples
    }

    /// So many requests to `path`, as fast as they are answered: each connection asks again at once.
    pub async fn flood(&self, path: &str, count: usize) -> Vec<Sample> {
        let begin = clock::now();
        let connections = self.slots.len();
        let mut tasks = JoinSet::new();
        for slot in 0..connections {
            let client = self.clone();
            let path = path.to_owned();
            let share = count / connections + usize::from(slot < count % connections);
            tasks.spawn(async move {
                let mut samples = Vec::with_capacity(share);
                for _ in 0..share {
                    let at = clock::now().duration_since(begin);
                    samples.push(client.sample(begin, at, slot, &path).await);
                }
                samples
            });
        }
        let mut samples = tasks.join_all().await.concat();
        samples.sort_by_key(|sample| sample.at);
        samples
    }

    /// One request that was due `at` after `begin`.
    pub async fn sample(&self, begin: Instant, at: Duration, slot: usize, path: &str) -> Sample {
        let (status, kind) = self.get(slot, path).await;
        let latency = clock::now().duration_since(begin).saturating_sub(at);
        Sample {
            at,
            latency,
            kind,
            status,
        }
    }
}

/// How many of these samples are of a kind.
pub fn count(samples: &[Sample], kind: Kind) -> usize {
    samples.iter().filter(|sample| sample.kind == kind).count()
}
