//! Connections of a lane's users: some, of HTTP/2, each with many requests at the same time.
//!
//! Under overload thousands wait. With a connection for each of them a machine runs out of descriptors before it runs out of anything else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// How many; Envoy balances them among its workers.
const CONNECTIONS: usize = 32;

type Sender = http2::SendRequest<Empty<Bytes>>;

/// Connections to one address, made when they are needed.
#[derive(Debug)]
pub(super) struct Wire {
    address: SocketAddr,
    connections: Vec<Mutex<Option<Sender>>>,
    next: AtomicUsize,
}

impl Wire {
    /// To this address.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: (0..CONNECTIONS).map(|_| Mutex::new(None)).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// One request without a body: the status and the headers of its answer, once all of it is there.
    ///
    /// # Errors
    /// If there is no whole answer. Who drops this future before its end takes the request back.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(u16, HeaderMap)> {
        let uri = format!("http://seawall.test{path}");
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new())?;
        let mut sender = self.sender().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        body.collect().await?;
        Ok((head.status.as_u16(), head.headers))
    }

    /// The next connection in turn.
    async fn sender(&self) -> anyhow::Result<Sender> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut place = self.connections[number].lock().await;
        if let Some(sender) = place.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.ready().await?;
        *place = Some(sender.clone());
        Ok(sender)
    }
}
