//! Random draws: seeded once from the host, then without it.

use super::errors;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter and for instance numbers that do not meet.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// Seeded from the host. Without randomness, from `salt`, so that workers still draw apart as far as they differ.
    pub(crate) fn seeded(salt: u64) -> Self {
        let seed = getrandom::u64().unwrap_or_else(|_| {
            errors::count("random_get");
            salt
        });
        Self(seed)
    }

    /// Uniform over all of `u64`.
    #[inline(never)]
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform over all of `u32`.
    pub(crate) fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}

/// Bytes that nobody can guess; nothing where the host has none.
pub(crate) fn bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(bytes),
        Err(_) => {
            errors::count("random_get");
            None
        }
    }
}
