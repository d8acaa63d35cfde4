//! Whose marks are believed: peers by their identity in mTLS, or by their address.
//!
//! A mark says that a request is a retry, how important it is, and when its time is over for those behind an
//! application. Anybody could write it, so it holds only from whom the configuration lists; from all others it is
//! removed.
//!
//! Unless a listener has `use_remote_address`, Envoy takes what `x-forwarded-for` says for the peer's address, and where
//! its own peer is it tells no filter. Such an address has no port: Envoy writes 0, and takes none out of a header. No
//! connection comes from port 0, so an address with that port is nobody's.
//!
//! Where Envoy cannot read the last element of the header (`8.8.8.8:1234`, `unknown`), it shows the connection's own
//! address, with its port: that of the proxy that forwarded a stranger's request. So an address is believed only if the
//! request has no such header, or if the last element is that address: with `use_remote_address` Envoy itself wrote it. For
//! a peer on the same machine it writes its own address instead (1.40): there the last element must be an address, which
//! Envoy would have taken if it took any.

use std::net::IpAddr;

use crate::glob;
use crate::text;

/// Everybody who is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// URIs of certificates; `*` stands for any run of characters.
    pub identities: Vec<String>,
    /// Networks.
    pub networks: Vec<Network>,
}

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: u128,
    bits: u8,
    v4: bool,
}

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
    pub fn parse(network: &str) -> Option<Self> {
        let (address, bits) = match text::parted(network, b'/') {
            Some((address, bits)) => (
                address,
                Some(u8::try_from(text::number(bits.as_bytes())?).ok()?),
            ),
            None => (network, None),
        };
        let (first, v4) = number(address)?;
        let all = if v4 { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        (bits <= all).then_some(Self { first, bits, v4 })
    }

    /// Whether an address lies in it.
    fn holds(&self, address: (u128, bool)) -> bool {
        let (address, v4) = address;
        let all: u8 = if self.v4 { 32 } else { 128 };
        let rest = u32::from(all.saturating_sub(self.bits));
        let head = |number: u128| number.checked_shr(rest).unwrap_or(0);
        v4 == self.v4 && head(address) == head(self.first)
    }
}

impl Trust {
    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.networks.is_empty()
    }

    /// Whether a peer with this certificate is believed.
    pub fn knows(&self, identity: &str) -> bool {
        self.identities
            .iter()
            .any(|known| glob::matches(known, identity))
    }

    /// Whether a peer at this address is, as Envoy writes it: with its port. One without a port, or with port 0, was said
    /// by a header. `forwarded` is what the request's `x-forwarded-for` says.
    pub fn reaches(&self, address: &str, forwarded: &Forwarded) -> bool {
        let Some((host, port)) = host_and_port(address) else {
            return false;
        };
        if !forwarded.agrees(host) {
            return false;
        }
        let found = number(host).filter(|_| port > 0);
        found.is_some_and(|address| self.networks.iter().any(|network| network.holds(address)))
    }
}

/// Who forwarded a request last, as its `x-forwarded-for` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// There is no such header.
    #[default]
    Absent,
    /// Its one element; empty if it is longer than any address.
    Last(Vec<u8>),
    /// The last of several elements: somebody sends for somebody else.
    LastOfSeveral(Vec<u8>),
}

impl Forwarded {
    /// The header that it is read from.
    pub const HEADER: &str = "x-forwarded-for";
    /// No address is longer, in bytes: one of version 6 with the name of an interface.
    const BYTES_MAX: usize = 64;

    /// Reads one more line of the header.
    pub fn line(&mut self, value: &[u8]) {
        let last = value.rsplit(|byte| *byte == b',').next();
        let last = text::trimmed(last.unwrap_or_default());
        let short = Some(last).filter(|last| last.len() <= Self::BYTES_MAX);
        let last = short.unwrap_or_default().to_vec();
        *self = match *self == Self::Absent && !value.contains(&b',') {
            true => Self::Last(last),
            false => Self::LastOfSeveral(last),
        };
    }

    /// Whether nothing says that the peer sends for somebody else.
    pub fn is_direct(&self) -> bool {
        !matches!(self, Self::LastOfSeveral(_))
    }

    /// Whether it leaves no doubt that the connection comes from this address. Byte for byte: another spelling of the same
    /// address is one that Envoy did not write.
    fn agrees(&self, host: &str) -> bool {
        let loopback = || {
            host.parse::<IpAddr>()
                .is_ok_and(|host| host.to_canonical().is_loopback())
        };
        match self {
            Self::Absent => true,
            Self::Last(last) | Self::LastOfSeveral(last) => {
                last == host.as_bytes() || (is_address(last) && loopback())
            }
        }
    }
}

/// Whether this is an address in the one spelling in which Envoy writes it.
fn is_address(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let address = text.parse::<IpAddr>();
    address.is_ok_and(|address| address.to_string() == text)
}

/// The two parts of an address as Envoy writes it: the host without its brackets, and the port.
pub(crate) fn host_and_port(address: &str) -> Option<(&str, u64)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    Some((host, text::number(port.as_bytes())?))
}

/// An address as a number, and whether it is of version 4; one of version 4 in version 6's clothes is what it is.
pub(crate) fn number(text: &str) -> Option<(u128, bool)> {
    match text.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some((u128::from(address.to_bits()), true)),
        IpAddr::V6(address) => Some((address.to_bits(), false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(networks: &[&str]) -> Trust {
        Trust {
            identities: vec!["spiffe://cluster.local/ns/edge/*".to_owned()],
            networks: networks
                .iter()
                .filter_map(|text| Network::parse(text))
                .collect(),
        }
    }

    #[test]
    fn peers_are_known_by_address_or_identity() {
        let trust = trust(&["10.0.0.0/8", "127.0.0.1", "fd00::/8"]);
        for (address, expected) in [
            ("10.1.2.3:4711", true),
            ("11.1.2.3:4711", false),
            ("127.0.0.1:1", true),
            ("127.0.0.2:1", false),
            ("[fd12::1]:80", true),
            ("[fe80::1]:80", false),
            ("[::ffff:10.0.0.1]:80", true),
            ("", false),
            ("/var/run/socket", false),
            ("envoy://inner/1", false),
        ] {
            assert_eq!(
                trust.reaches(address, &Forwarded::Absent),
                expected,
                "{address}"
            );
        }
        assert!(trust.knows("spiffe://cluster.local/ns/edge/sa/gateway"));
        assert!(!trust.knows("spiffe://cluster.local/ns/other/sa/gateway"));
    }

    #[test]
    fn an_address_that_a_header_said_is_nobodys() {
        let trust = trust(&["0.0.0.0/0", "::/0"]);
        for address in [
            "10.1.2.3:0",
            "[::ffff:10.1.2.3]:0",
            "[fd00::1]:0",
            "[fd00::1%5]:0",
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "[::1]",
        ] {
            assert!(!trust.reaches(address, &Forwarded::Absent), "{address}");
        }
        for address in ["10.1.2.3:4711", "[fd00::1]:4711"] {
            assert!(trust.reaches(address, &Forwarded::Absent), "{address}");
        }
    }

    #[test]
    fn a_forwarded_request_is_believed_only_where_its_last_element_is_the_address() {
        let trust = trust(&["10.0.0.0/8", "fd00::/8", "127.0.0.0/8"]);
        let (v4, v6, local) = ("10.1.2.3:4711", "[fd12::1]:80", "127.0.0.1:4711");
        for (address, lines, expected) in [
            (v4, &["10.1.2.3"][..], true),
            (v4, &["192.0.2.9,10.1.2.3"], true),
            (v4, &["unknown, 10.1.2.3 "], true),
            (v4, &["unknown", "10.1.2.3"], true),
            (v6, &["192.0.2.9,fd12::1"], true),
            (v4, &[""], false),
            (v4, &["unknown"], false),
            (v4, &["8.8.8.8:1234"], false),
            (v4, &["10.1.2.3:4711"], false),
            (v4, &["10.1.2.3, unknown"], false),
            (v4, &["10.1.2.3,"], false),
            (v4, &["10.1.2.3", "unknown"], false),
            (v4, &["10.1.2.3, 10.1.2.4"], false),
            (v4, &["::ffff:10.1.2.3"], false),
            (v4, &["010.1.2.3"], false),
            (v6, &["[fd12::1]"], false),
            (v6, &["fd12:0::1"], false),
            (v6, &["FD12::1"], false),
            (local, &["172.17.0.2"], true),
            (local, &["unknown, fd12::1"], true),
            (local, &["unknown"], false),
            (local, &["172.17.0.2:80"], false),
            (local, &["172.17.0.2,"], false),
            (local, &["fd12:0::1"], false),
            (local, &["127.1"], false),
        ] {
            let mut forwarded = Forwarded::default();
            for line in lines {
                forwarded.line(line.as_bytes());
            }
            let found = trust.reaches(address, &forwarded);
            assert_eq!(found, expected, "{address}: {lines:?}");
        }
        let mut forwarded = Forwarded::default();
        forwarded.line(&[b'1'; 10_000]);
        assert_eq!(forwarded, Forwarded::Last(Vec::new()), "bounded");
    }

    #[test]
    fn a_network_is_an_address_with_at_most_all_its_bits() {
        for text in [
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "",
            "/8",
            "10.0.0.0/-1",
            "here",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        let all = trust(&["0.0.0.0/0", "::/0"]);
        for address in ["1.2.3.4:5", "[::1]:5"] {
            assert!(all.reaches(address, &Forwarded::Absent), "{address}");
        }
    }
}
