//! Who may force an upstream.
//!
//! A certificate says who somebody is. An address says only which machine sent a request, and a browser on that machine sends what any
//! page asks it to. So whoever is known by an address alone must also send the page's token, which only somebody who could read
//! the page has. No one may by a request that a page of another site made a browser send, with a certificate or without.
//!
//! The token follows from the key of the process and the address: it is the same at all workers, of no use from another
//! address, and void once the process ends.

use seawall_page::{Problem, Site};

use crate::shared::process_key::ProcessKey;

/// How the page's lists know a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may read the page.
    Reader,
    /// Its address is listed for forcing.
    Address,
    /// Its certificate is.
    Identity,
}

/// Whether a POST may force. `token` is whether it brought the page's token for its address.
///
/// # Errors
/// Why it may not.
pub const fn may_force(standing: Standing, site: Site, token: bool) -> Result<(), Problem> {
    match (standing, site) {
        (_, Site::Foreign) => Err(Problem::CrossSite),
        (Standing::Reader, _) => Err(Problem::Reader),
        (Standing::Identity, _) => Ok(()),
        (Standing::Address, Site::Named) => Err(Problem::Name),
        (Standing::Address, Site::Own) if token => Ok(()),
        (Standing::Address, Site::Own) => Err(Problem::Token),
    }
}

/// The token for an address, in hexadecimal digits.
pub fn token(key: &ProcessKey, address: &str) -> String {
    seawall_page::hex(&key.hash128("page token", &[address.as_bytes()]))
}

/// Whether two tokens are the same, in a time that does not tell how much of them is.
pub fn is_same(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    let differing = pairs.fold(0, |differing, (one, other)| differing | (one ^ other));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_or_an_address_with_the_token_may_and_nobody_by_a_page_of_another_site() {
        use Site::{Foreign, Named, Own};
        use Standing::{Address, Identity, Reader};
        for (standing, site, token, expected) in [
            (Reader, Own, false, Err(Problem::Reader)),
            (Reader, Own, true, Err(Problem::Reader)),
            (Reader, Named, false, Err(Problem::Reader)),
            (Reader, Named, true, Err(Problem::Reader)),
            (Reader, Foreign, false, Err(Problem::CrossSite)),
            (Reader, Foreign, true, Err(Problem::CrossSite)),
            (Address, Own, false, Err(Problem::Token)),
            (Address, Own, true, Ok(())),
            (Address, Named, false, Err(Problem::Name)),
            (Address, Named, true, Err(Problem::Name)),
            (Address, Foreign, false, Err(Problem::CrossSite)),
            (Address, Foreign, true, Err(Problem::CrossSite)),
            (Identity, Own, false, Ok(())),
            (Identity, Own, true, Ok(())),
            (Identity, Named, false, Ok(())),
            (Identity, Named, true, Ok(())),
            (Identity, Foreign, false, Err(Problem::CrossSite)),
            (Identity, Foreign, true, Err(Problem::CrossSite)),
        ] {
            assert_eq!(
                may_force(standing, site, token),
                expected,
                "{standing:?} {site:?} {token}"
            );
        }
    }

    #[test]
    fn a_token_is_of_one_process_and_one_address() {
        let keys = [1, 2].map(|byte| ProcessKey::from_bytes([byte; 16]));
        let first = token(&keys[0], "10.0.0.1");
        assert_eq!(first, token(&keys[0], "10.0.0.1"));
        assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        for other in [token(&keys[0], "10.0.0.2"), token(&keys[1], "10.0.0.1")] {
            assert!(!is_same(&first, &other));
        }
        assert!(is_same(&first, &first.clone()) && !is_same(&first, &first[..31]));
        assert!(!is_same(&first, "") && !is_same("", &first));
    }
}
