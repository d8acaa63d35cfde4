//! Listening where somebody listened a moment ago, and addresses that stay free until somebody listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

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

/// An address of this machine that nobody listens at, and that no client gets before somebody does: its port is below those that systems
/// give out by themselves (32,768 to 60,999 on Linux, 49,152 and more by RFC 6335).
///
/// # Errors
/// If every port is in use.
pub fn reserved() -> std::io::Result<SocketAddr> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different ports.
    let begin = u16::try_from(u64::from(std::process::id()) * 61 % u64::from(COUNT)).unwrap_or(0);
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for _ in 0..COUNT {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset));
        match std::net::TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}
