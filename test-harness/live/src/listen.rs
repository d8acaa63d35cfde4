//! Listening where somebody listened a moment ago.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Binds an address that may have been in use a moment ago.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1_024)
}
