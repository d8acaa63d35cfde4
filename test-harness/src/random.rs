//! Seeded chance. Every concern draws from a stream of its own, so that one more draw here changes nothing there.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A stream of chance for one concern of one run.
pub fn chance(seed: u64, concern: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    for (index, byte) in concern.bytes().enumerate() {
        key[8 + index % 24] ^= byte.rotate_left(index as u32 / 24);
    }
    ChaCha8Rng::from_seed(key)
}
