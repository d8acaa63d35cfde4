//! Requests over connections that stay open, HTTP/1 or HTTP/2, with the whole answer: headers, body, trailers.
//!
//! One request at a time is on a connection, HTTP/2 too. The one that has rested longest is taken next, so that all stay in
//! use and Envoy's workers, among which it balances connections, get equal shares. Nothing is ever sent twice: who counts
//! attempts must be able to rely on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// No more connections rest at the same time; others are closed after use.
const RESTING_MAX: usize = 256;
/// An empty gRPC message.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

/// What a pool speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS and without an upgrade, as gRPC does.
    Http2,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The `grpc-status`, wherever it stands.
    pub fn grpc_status(&self) -> Option<u16> {
        let value = self.headers.get("grpc-status");
        let value = value.or_else(|| self.trailers.get("grpc-status"))?;
        value.to_str().ok()?.parse().ok()
    }
}

/// Connections to one address.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    protocol: Protocol,
    resting: Mutex<VecDeque<Sender>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn connect(address: SocketAddr, protocol: Protocol) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = TokioIo::new(stream);
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        })
    }

    async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

impl Pool {
    /// Connections to this address, made when they are needed.
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            resting: Mutex::new(VecDeque::new()),
        }
    }

    /// One request without a body.
    ///
    /// # Errors
    /// If there is no whole answer. Who drops this future before its end cuts the connection.
    pub async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        self.exchange(method, path, headers, Bytes::new()).await
    }

    /// One gRPC call with an empty message.
    ///
    /// # Errors
    /// As for [`Pool::send`].
    pub async fn grpc(&self, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let own = [("content-type", "application/grpc"), ("te", "trailers")];
        let headers = [&own, headers].concat();
        let message = Bytes::from_static(MESSAGE);
        self.exchange(&Method::POST, path, &headers, message).await
    }

    /// One request with a body.
    ///
    /// # Errors
    /// As for [`Pool::send`].
    pub async fn exchange(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method);
        request = match self.protocol {
            Protocol::Http1 => request.uri(path).header("host", "seawall.test"),
            Protocol::Http2 => request.uri(format!("http://seawall.test{path}")),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let mut sender = self.take().await?;
        let (head, body) = sender.send(request).await?.into_parts();
        let whole = body.collect().await?;
        let trailers = whole.trailers().cloned().unwrap_or_default();
        let closes = head
            .headers
            .get("connection")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if !closes {
            self.put(sender);
        }
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: whole.to_bytes(),
            trailers,
        })
    }

    async fn take(&self) -> anyhow::Result<Sender> {
        while let Some(mut sender) = self.rested() {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let mut sender = Sender::connect(self.address, self.protocol).await?;
        sender.ready().await?;
        Ok(sender)
    }

    fn rested(&self) -> Option<Sender> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.pop_front()
    }

    fn put(&self, sender: Sender) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.len() < RESTING_MAX {
            resting.push_back(sender);
        }
    }
}
