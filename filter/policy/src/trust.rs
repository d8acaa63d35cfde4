//! Whose marks are believed: peers by their identity in mTLS, or by their address.
//!
//! A mark says that a request is a retry, how important it is, and when its time is over for those behind an
//! application. Anybody could write it, so it holds only from whom the configuration lists; from all others it is
//! removed.
//!
//! Unless a listener has `use_remote_address`, Envoy takes what `x-forwarded-for` says for the peer's address, and where
//! its own peer is it tells no filter. Such an address has no port: Envoy writes 0, and takes none out of a header. No
//! connection comes from port 0, so an address with that port is nobody's.

use std::net::IpAddr;

use crate::route::fits;
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
        self.identities.iter().any(|known| fits(known, identity))
    }

    /// Whether a peer at this address is, as Envoy writes it: with its port. One without a port, or with port 0, was said
    /// by a header.
    pub fn reaches(&self, address: &str) -> bool {
        let Some((host, port)) = address.rsplit_once(':') else {
            return false;
        };
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let found = number(host).filter(|_| text::number(port.as_bytes()) > Some(0));
        found.is_some_and(|address| self.networks.iter().any(|network| network.holds(address)))
    }
}

/// An address as a number, and whether it is of version 4; one of version 4 in version 6's clothes is what it is.
fn number(text: &str) -> Option<(u128, bool)> {
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
            assert_eq!(trust.reaches(address), expected, "{address}");
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
            assert!(!trust.reaches(address), "{address}");
        }
        assert!(trust.reaches("10.1.2.3:4711") && trust.reaches("[fd00::1]:4711"));
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
        assert!(all.reaches("1.2.3.4:5") && all.reaches("[::1]:5"));
    }
}
