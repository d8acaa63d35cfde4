//! Listening, refusing to listen, and the admin path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Knobs, Shared, answer};
use crate::listen::{self, bind};

/// After so long an address is bound again that was not free.
const AGAIN: Duration = Duration::from_millis(10);
/// A connection of our own that waits longer found no place.
const FILLS: Duration = Duration::from_millis(100);

/// What the knobs make of whoever wants a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    /// It is accepted.
    Open,
    /// Nobody listens.
    Closed,
    /// Packets are lost.
    Lost,
}

impl Door {
    fn of(knobs: &Knobs) -> Self {
        match (knobs.refuse, knobs.blackhole) {
            (true, _) => Self::Closed,
            (false, true) => Self::Lost,
            (false, false) => Self::Open,
        }
    }
}

/// Accepts as long as the knobs say so; while they say "refuse" nobody listens.
pub(super) async fn run(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut knobs = shared.knobs.subscribe();
    let mut listener = Some(listener);
    loop {
        let door = Door::of(&knobs.borrow_and_update());
        if door != Door::Open {
            drop(listener.take());
            let lost = match door {
                Door::Lost => Some(full(address).await),
                _ => None,
            };
            if matches!(lost, Some(Err(_))) {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            if knobs
                .wait_for(|knobs| Door::of(knobs) != door)
                .await
                .is_err()
            {
                return;
            }
            drop(lost);
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => match bind(address).await {
                Ok(open) => open,
                Err(_) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            },
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, Arc::clone(&shared)));
                }
            }
            changed = knobs.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        listener = Some(open);
    }
}

/// A socket that listens and accepts nobody, with as many connections as may wait: Linux drops what asks for another one, as if it were
/// lost on the way. Where somebody else took the only place first, it is as full.
async fn full(address: SocketAddr) -> std::io::Result<(TcpListener, Option<TcpStream>)> {
    let listener = listen::backlog(address, 0)?;
    let waits = tokio::time::timeout(FILLS, TcpStream::connect(address)).await;
    Ok((listener, waits.ok().transpose()?))
}

/// One connection, cut when the upstream goes down.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut knobs = shared.knobs.subscribe();
    if knobs.borrow().garbage {
        garbage(stream).await;
        return;
    }
    let service = service_fn(move |request| answer::answer(request, Arc::clone(&shared)));
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::select! {
        _ = served => {}
        () = cut(&mut knobs) => {}
    }
}

async fn cut(knobs: &mut tokio::sync::watch::Receiver<Knobs>) {
    let is_cut = |knobs: &Knobs| knobs.refuse || knobs.garbage;
    if knobs.wait_for(is_cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the request, and answers with what is no HTTP.
async fn garbage(mut stream: TcpStream) {
    let mut request = [0; 4_096];
    if matches!(stream.read(&mut request).await, Ok(1..)) {
        let _ = stream
            .write_all(b"\x00\xffnothing of this is HTTP\r\n\r\n")
            .await;
    }
}

/// Serves the admin path of these upstreams.
pub(super) async fn admin(listener: TcpListener, shared: Vec<Arc<Shared>>) {
    let shared = Arc::new(shared);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| command(request, Arc::clone(&shared)));
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn command(
    request: Request<Incoming>,
    shared: Arc<Vec<Arc<Shared>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().trim_matches('/').to_owned();
    let (name, rest) = path.split_once('/').unwrap_or((&path, ""));
    let Some(upstream) = shared.iter().find(|upstream| upstream.name == name) else {
        let names: Vec<&str> = shared
            .iter()
            .map(|upstream| upstream.name.as_str())
            .collect();
        let text = format!("no upstream \"{name}\"; there are: {}\n", names.join(", "));
        return Ok(plain(StatusCode::NOT_FOUND, text));
    };
    let method = request.method().clone();
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    Ok(match (method, rest) {
        (Method::GET, "") => {
            let stats = upstream.stats(|stats| stats.snapshot());
            let knobs = upstream.knobs.borrow().clone();
            let text = serde_json::json!({"knobs": knobs, "stats": stats}).to_string();
            plain(StatusCode::OK, text)
        }
        (Method::POST, "reset") => {
            upstream.stats(super::stats::Stats::reset);
            plain(StatusCode::OK, String::new())
        }
        (Method::POST, "") => {
            let current = upstream.knobs.borrow().clone();
            match merged(&current, &body) {
                Ok(knobs) => {
                    upstream.set(knobs);
                    plain(StatusCode::OK, String::new())
                }
                Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
            }
        }
        _ => plain(
            StatusCode::NOT_FOUND,
            "GET /NAME, POST /NAME or POST /NAME/reset\n".to_owned(),
        ),
    })
}

/// The knobs there are with those given on top.
fn merged(current: &Knobs, given: &[u8]) -> serde_json::Result<Knobs> {
    let mut whole = serde_json::to_value(current)?;
    let given: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(given)?;
    if let Some(whole) = whole.as_object_mut() {
        whole.extend(given);
    }
    serde_json::from_value(whole)
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
