//! Where in the store a response may stand: in which of the sets.
//!
//! A host of a route uses four sets of sixteen, and all hosts of a route together eight: so whoever makes up URLs, or hosts
//! where a route takes any, drives out nothing beyond those, and nothing at all of the routes that have other sets. Which
//! sets these are follows from hashes under the process's key, so that nobody can choose a URL for the set of another's.

use super::set::WAYS;

/// How many sets there are.
pub const SETS: usize = NUMBERS as usize;
const NUMBERS: u64 = 16;
const ROUTE_SETS: u64 = 8;
const HOST_SETS: u64 = 4;

/// The most responses of one host of one route.
pub const HOST_SLOTS: usize = HOST_SETS as usize * WAYS;
/// The most responses of one route.
pub const ROUTE_SLOTS: usize = ROUTE_SETS as usize * WAYS;

/// The number of the set in which the responses under `key` stand, for a host and a route by their hashes.
pub(super) fn set_of(route: u64, host: u64, key: u64) -> usize {
    // All three are below 16: nothing here overflows.
    let at = (route % NUMBERS)
        .saturating_add(host % (ROUTE_SETS - HOST_SETS + 1))
        .saturating_add(key % HOST_SETS);
    usize::try_from(at % NUMBERS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::shared::process_key::ProcessKey;

    fn sets(secret: ProcessKey, routes: u64, hosts: u64, keys: u64) -> BTreeSet<usize> {
        let hash = |name, number: u64| secret.hash64(name, &[&number.to_le_bytes()]);
        let mut sets = BTreeSet::new();
        for route in 0..routes {
            for host in 0..hosts {
                for key in 0..keys {
                    let set = set_of(hash("r", route), hash("h", host), hash("k", key));
                    sets.insert(set);
                }
            }
        }
        sets
    }

    #[test]
    fn a_host_and_a_route_have_their_bounds_and_all_together_use_all_sets() {
        for number in 0..50 {
            let secret = ProcessKey::from_bytes([number; 16]);
            assert_eq!(sets(secret, 1, 1, 1_000).len() * WAYS, HOST_SLOTS);
            assert_eq!(sets(secret, 1, 1_000, 100).len() * WAYS, ROUTE_SLOTS);
            assert_eq!(sets(secret, 1_000, 3, 100).len(), SETS);
        }
    }

    #[test]
    fn another_key_of_the_process_gives_another_place() {
        let place = |number| {
            let secret = ProcessKey::from_bytes([number; 16]);
            let hash = |name| secret.hash64(name, &[b"x"]);
            set_of(hash("r"), hash("h"), hash("k"))
        };
        let places: BTreeSet<_> = (0..100).map(place).collect();
        assert!(places.len() > 10, "{places:?}");
    }
}
