//! Who sent a request, as far as that tells one client from another: the address that Envoy shows, without its port.
//!
//! A client may open a new connection for each request, so a connection is no peer. Nor is a single address of version 6: a client
//! has a network of 64 bits of them. An address that a header named has port 0, and a client may write any number of those; so all
//! of them are one peer, which is nobody's in particular.

use crate::trust;

/// A peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer(u64);

impl Peer {
    /// Whoever sent a request with a header that names its peer.
    pub const FORWARDED: Self = Self(0);
    /// Before the 32 bits of an address of version 4; no network of version 6 that sends begins with it.
    const V4: u64 = 0xffff_ffff_0000_0000;

    /// The peer at this address, which has a port; nothing where it is none, as that of a Unix socket.
    pub fn at(address: &str) -> Option<Self> {
        let (host, port) = trust::host_and_port(address)?;
        let (bits, v4) = trust::number(host)?;
        Some(match (port, v4) {
            (0, _) => Self::FORWARDED,
            (_, true) => Self(Self::V4 | bits as u64),
            // That of the machine itself begins with as many zeros.
            (_, false) => Self(((bits >> 64) as u64).max(1)),
        })
    }

    /// As a number, for shared data.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The peer with this number.
    pub const fn of(number: u64) -> Self {
        Self(number)
    }

    /// Whether it is known by an address of its own.
    pub fn is_own(self) -> bool {
        self != Self::FORWARDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_the_last_64_bits_tell_nobody_from_others() {
        for (one, other, same) in [
            ("127.0.0.1:1", "127.0.0.1:65535", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("10.0.0.1:80", "[::ffff:10.0.0.1]:81", true),
            ("[2001:db8::1]:5", "[2001:db8::ffff:2]:6", true),
            ("[2001:db8::1]:5", "[2001:db8:0:1::1]:5", false),
            ("8.8.8.8:0", "9.9.9.9:0", true),
            ("8.8.8.8:0", "8.8.8.8:1", false),
        ] {
            let (one, other) = (Peer::at(one), Peer::at(other));
            assert!(one.is_some() && other.is_some());
            assert_eq!(one == other, same, "{one:?} {other:?}");
        }
        assert_eq!(Peer::at("8.8.8.8:0"), Some(Peer::FORWARDED));
        assert!(Peer::at("[::1]:1").is_some_and(Peer::is_own));
    }

    #[test]
    fn what_is_no_address_is_nobody() {
        for text in [
            "",
            "8.8.8.8",
            "/run/envoy.sock",
            "@abstract",
            "a:1",
            "1.2.3.4:x",
            "envoy://in/",
        ] {
            assert_eq!(Peer::at(text), None, "{text}");
        }
    }
}
