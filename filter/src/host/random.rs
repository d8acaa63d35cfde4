//! Randomness of the host.

use seawall_policy::environment::Entropy;

use super::errors;
use crate::body::Wasm;

impl Entropy for Wasm {
    fn seed(&self, salt: u64) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            errors::count("random_get");
            salt
        })
    }

    fn secret<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match getrandom::fill(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(_) => {
                errors::count("random_get");
                None
            }
        }
    }
}
