//! One request, answered as the knobs say.
//!
//! `/events` is an event stream that does not end, `/ws` an upgrade that echoes, `/grpc?status=N` a gRPC answer with its
//! status in the headers, `/grpc?status=N&trailers` with its status in the trailers, `/broken` a body that breaks off, `/chunked` one in two parts without a length,
//! `/large` eight MiB, `/stall?bytes=N` so many bytes and then nothing more, until the knob `cut` breaks it off, `/ws-close` an
//! upgrade that the server closes as RFC 6455 says. `/upload` waits for the whole body of the request.
//! Every other path answers with the upstream's name.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::{Arrival, Knobs, Shared};

/// More than Envoy and the sockets on the way hold back for a client that does not read.
const LARGE: usize = 8 << 20;

type Body = BoxBody<Bytes, std::io::Error>;

/// Counts a request as in work until it is dropped, whatever ends it.
struct InWork {
    shared: Arc<Shared>,
    status: Option<u16>,
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.shared.stats(|stats| stats.left(self.status));
    }
}

/// The connection is to be cut.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

pub(super) async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Cut> {
    if shared.knobs.borrow().stubborn {
        let work = tokio::spawn(work(request, shared));
        return work.await.unwrap_or(Err(Cut));
    }
    work(request, shared).await
}

async fn work(mut request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Cut> {
    let attempt = shared.stats(|stats| stats.arrived(Arrival::of(&request)));
    let told = told_work(&request);
    let mut work = InWork {
        shared: Arc::clone(&shared),
        status: None,
    };
    if request.uri().path() == "/upload" {
        while let Some(frame) = request.body_mut().frame().await {
            frame.map_err(|_| Cut)?;
        }
    }
    let place = shared.places().acquire_owned().await;
    let mut knobs = shared.knobs.borrow().clone();
    if knobs.well_path.as_deref() == Some(request.uri().path()) {
        knobs = Knobs::default();
    }
    if knobs.hang || knobs.blackhole {
        let mut changes = shared.knobs.subscribe();
        let well = |knobs: &Knobs| !knobs.hang && !knobs.blackhole;
        let _ = changes.wait_for(well).await;
    }
    if request.uri().path() == "/upload" {
        while let Some(Ok(_)) = request.body_mut().frame().await {}
    }
    let draw = shared.draw(attempt);
    let jitter = (knobs.jitter_ms as f64 * draw.jitter) as u64;
    let first = if attempt == 1 {
        knobs.first_latency_ms
    } else {
        0
    };
    let latency = Duration::from_millis(knobs.latency_ms + jitter + first);
    let latency = latency + knobs.work(told, shared.up());
    // A sleep of no length lasts until the clock's next millisecond.
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if knobs.reset || draw.reset < knobs.reset_rate {
        return Err(Cut);
    }
    drop(place);
    let first_fails = attempt == 1 && draw.first_error < knobs.first_error_rate;
    let fails = first_fails || draw.error < knobs.error_rate;
    let mut response = if fails {
        failure(&knobs, request.uri().path())
    } else {
        let not_found = draw.not_found < knobs.not_found_rate;
        let cut = shared.knobs.subscribe();
        success(
            &shared.name,
            request,
            not_found,
            &knobs.answer_trailers,
            cut,
        )
    };
    work.status = Some(response.status().as_u16());
    response.headers_mut().extend(fields(&knobs.answer_headers));
    Ok(response)
}

/// How long the work on a request takes, where it says so.
fn told_work(request: &Request<Incoming>) -> Duration {
    let told = request.headers().get(super::WORK);
    let micros = told.and_then(|told| told.to_str().ok()?.parse().ok());
    micros.map_or(Duration::ZERO, Duration::from_micros)
}

/// Those of these pairs that are headers.
fn fields(pairs: &[(String, String)]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    pairs.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    })
}

fn success(
    name: &str,
    request: Request<Incoming>,
    not_found: bool,
    trailers: &[(String, String)],
    cut: watch::Receiver<Knobs>,
) -> Response<Body> {
    match request.uri().path() {
        "/events" => events(),
        "/ws" => upgrade(request, false),
        "/grpc" => grpc(request.uri().query().unwrap_or_default(), trailers),
        "/broken" => broken(),
        "/chunked" => chunked(),
        "/large" => Response::new(full("x".repeat(LARGE))),
        "/stall" => stall(request.uri().query().unwrap_or_default(), cut),
        "/ws-close" => upgrade(request, true),
        _ => {
            let mut response = Response::new(full(format!("{name}\n")));
            if not_found {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        }
    }
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never: Infallible| match never {})
        .boxed()
}

fn failure(knobs: &Knobs, path: &str) -> Response<Body> {
    let mut response = if path == "/grpc" {
        grpc_headers_only(knobs.grpc_status.into())
    } else {
        let mut response = Response::new(full("sick\n".to_owned()));
        *response.status_mut() =
            StatusCode::from_u16(knobs.error_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        response
    };
    if let Some(seconds) = knobs.retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn grpc_headers_only(status: HeaderValue) -> Response<Body> {
    let mut response = Response::new(full(String::new()));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", status);
    response
}

/// A body that a task feeds.
fn fed(frames: mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>) -> Body {
    StreamBody::new(ReceiverStream(frames)).boxed()
}

struct ReceiverStream<T>(mpsc::Receiver<T>);

impl<T> futures_core::Stream for ReceiverStream<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

fn events() -> Response<Body> {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        let event = || Ok(Frame::data(Bytes::from_static(b"data: tick\n\n")));
        while send.send(event()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut response = Response::new(fed(receive));
    response.headers_mut().insert(
        "content-type",
        "text/event-stream".parse().expect("a value"),
    );
    response
}

/// Half a body, then the connection is cut.
fn broken() -> Response<Body> {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        let _ = send
            .send(Ok(Frame::data(Bytes::from_static(b"half of it"))))
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = send.send(Err(std::io::Error::other("cut"))).await;
    });
    Response::new(fed(receive))
}

/// The beginning of a body, then nothing more; the knob `cut` breaks it off.
fn stall(query: &str, mut knobs: watch::Receiver<Knobs>) -> Response<Body> {
    let bytes = query
        .strip_prefix("bytes=")
        .and_then(|bytes| bytes.parse().ok());
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        let begin = Bytes::from(vec![b'x'; bytes.unwrap_or(0)]);
        if !begin.is_empty() && send.send(Ok(Frame::data(begin))).await.is_err() {
            return;
        }
        let cut = async { knobs.wait_for(|knobs| knobs.cut).await.is_ok() };
        let breaks = tokio::select! {
            () = send.closed() => false,
            cut = cut => cut,
        };
        if breaks {
            let _ = send.send(Err(std::io::Error::other("cut"))).await;
        }
    });
    Response::new(fed(receive))
}

/// A whole body that does not say how long it is.
fn chunked() -> Response<Body> {
    let (send, receive) = mpsc::channel(2);
    tokio::spawn(async move {
        for part in [&b"one, "[..], b"two\n"] {
            let _ = send.send(Ok(Frame::data(Bytes::from_static(part)))).await;
        }
    });
    Response::new(fed(receive))
}

fn grpc(query: &str, more: &[(String, String)]) -> Response<Body> {
    let status = query
        .split('&')
        .find_map(|part| part.strip_prefix("status="))
        .unwrap_or("0");
    let status: HeaderValue = status
        .parse()
        .unwrap_or_else(|_| HeaderValue::from_static("2"));
    if !query.split('&').any(|part| part == "trailers") {
        return grpc_headers_only(status);
    }
    let (send, receive) = mpsc::channel(2);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status);
    trailers.extend(fields(more));
    tokio::spawn(async move {
        let _ = send
            .send(Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 0]))))
            .await;
        let _ = send.send(Ok(Frame::trailers(trailers))).await;
    });
    let mut response = Response::new(fed(receive));
    response
        .headers_mut()
        .insert("content-type", "application/grpc".parse().expect("a value"));
    response
}

/// 101, then everything comes back; or the server closes the session after the first message, as RFC 6455 says.
fn upgrade(request: Request<Incoming>, closes: bool) -> Response<Body> {
    const CLOSE_FRAME: [u8; 4] = [0x88, 2, 0x03, 0xe8];
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let mut stream = TokioIo::new(upgraded);
        let mut buffer = [0; 1_024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            if closes {
                let _ = stream.write_all(&CLOSE_FRAME).await;
                return;
            }
            if stream.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(full(String::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().expect("a value"));
    headers.insert("upgrade", "websocket".parse().expect("a value"));
    response
}
