//! Listening where somebody listened a moment ago.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Binds an address that may have been in use a moment ago.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    backlog(address, BACKLOG)
}

/// The same with so many connections that may wait to be accepted.
pub(crate) fn backlog(address: SocketAddr, waiting: u32) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(waiting)
}
