//! An app between two sidecars, as most apps are: for each request it makes a new one of its own and copies nothing but
//! `x-request-id`. Whatever else the caller said (deadlines, marks, priorities) ends here.
//!
//! It asks the next address for the same path with the same method and answers with the status it got; a gRPC call makes
//! a gRPC call. Once asked it goes on, also when its caller has gone. Its own patience is the only limit it knows.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::listen;
use crate::pool::{Pool, Protocol};

/// The app's own client gives up after so long.
pub const PATIENCE: Duration = Duration::from_secs(5);

const DEADLINE_EXCEEDED: u16 = 4;
const UNAVAILABLE: u16 = 14;

/// What an app saw so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that reached it.
    pub arrived: u64,
    /// Requests that it made.
    pub sent: u64,
    /// How often its patience ended.
    pub given_up: u64,
    /// How often there was nobody to ask, or no whole answer.
    pub broken: u64,
    /// Answers that it got, by HTTP status.
    pub answers: BTreeMap<u16, u64>,
}

impl Counts {
    /// Requests that it still works on, also for callers who have gone.
    pub fn in_work(&self) -> u64 {
        let ended = self.given_up + self.broken + self.answers.values().sum::<u64>();
        self.arrived.saturating_sub(ended)
    }
}

/// A running app; it ends when it is dropped.
#[derive(Debug)]
pub struct App {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    next: Mutex<Option<Arc<Next>>>,
    think: Mutex<Duration>,
    counts: Mutex<Counts>,
}

/// Where its own requests go.
#[derive(Debug)]
struct Next {
    http: Pool,
    grpc: Pool,
}

/// A request as the app sees it: all that it takes over.
struct Asked {
    method: Method,
    path: String,
    id: Option<String>,
    grpc: bool,
}

/// What came of the app's own request.
enum Got {
    Answer { status: u16, grpc: Option<u16> },
    Broken,
    GaveUp,
}

impl App {
    /// Starts one on this address; port 0 takes a free one. Until it is told where to send it answers 502.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(name: &str, address: SocketAddr) -> std::io::Result<Self> {
        let listener = listen::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            next: Mutex::new(None),
            think: Mutex::new(Duration::ZERO),
            counts: Mutex::new(Counts::default()),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on its requests go there: its sidecar's outbound listener.
    pub fn send_to(&self, next: SocketAddr) {
        let next = Next {
            http: Pool::new(next, Protocol::Http1),
            grpc: Pool::new(next, Protocol::Http2),
        };
        *self.shared.next() = Some(Arc::new(next));
    }

    /// From now on it thinks for so long before it asks.
    pub fn think(&self, think: Duration) {
        *self.shared.think() = think;
    }

    /// What it saw so far.
    pub fn counts(&self) -> Counts {
        self.shared.count(|counts| counts.clone())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn next(&self) -> MutexGuard<'_, Option<Arc<Next>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn think(&self) -> MutexGuard<'_, Duration> {
        self.think.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count<T>(&self, run: impl FnOnce(&mut Counts) -> T) -> T {
        run(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves until it is aborted, and its connections with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| serve(request, Arc::clone(&shared)));
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    shared.count(|counts| counts.arrived += 1);
    let asked = Asked::of(&request);
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let name = shared.name.clone();
    let grpc = asked.grpc;
    // A task of its own: what waits for the answer may go, the work goes on.
    let work = tokio::spawn(async move { ask(&asked, &shared).await });
    let got = work.await.unwrap_or(Got::Broken);
    Ok(if grpc {
        grpc_answer(&got)
    } else {
        answer(&name, &got)
    })
}

impl Asked {
    fn of<B>(request: &Request<B>) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let path = request.uri().path_and_query();
        Self {
            method: request.method().clone(),
            path: path.map_or("/", |path| path.as_str()).to_owned(),
            id: header("x-request-id"),
            grpc: header("content-type").is_some_and(|kind| kind.starts_with("application/grpc")),
        }
    }
}

/// The app's own request, counted.
async fn ask(asked: &Asked, shared: &Shared) -> Got {
    let think = *shared.think();
    if !think.is_zero() {
        tokio::time::sleep(think).await;
    }
    let next = shared.next().clone();
    let got = match next {
        Some(next) => {
            shared.count(|counts| counts.sent += 1);
            let exchange = tokio::time::timeout(PATIENCE, exchange(asked, &next));
            exchange.await.unwrap_or(Got::GaveUp)
        }
        None => Got::Broken,
    };
    shared.count(|counts| match got {
        Got::Answer { status, .. } => *counts.answers.entry(status).or_default() += 1,
        Got::Broken => counts.broken += 1,
        Got::GaveUp => counts.given_up += 1,
    });
    got
}

async fn exchange(asked: &Asked, next: &Next) -> Got {
    let id = asked.id.as_deref().map(|id| ("x-request-id", id));
    let headers = id.as_slice();
    let answer = if asked.grpc {
        next.grpc.grpc(&asked.path, headers).await
    } else {
        next.http.send(&asked.method, &asked.path, headers).await
    };
    answer.map_or(Got::Broken, |answer| Got::Answer {
        status: answer.status,
        grpc: answer.grpc_status(),
    })
}

fn answer(name: &str, got: &Got) -> Response<Full<Bytes>> {
    let status = match got {
        Got::Answer { status, .. } => *status,
        Got::Broken => 502,
        Got::GaveUp => 504,
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{name} got {status}\n"))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

fn grpc_answer(got: &Got) -> Response<Full<Bytes>> {
    let status = match got {
        Got::Answer { grpc, .. } => grpc.unwrap_or(UNAVAILABLE),
        Got::Broken => UNAVAILABLE,
        Got::GaveUp => DEADLINE_EXCEEDED,
    };
    let mut response = Response::new(Full::new(Bytes::new()));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", status.into());
    response
}
