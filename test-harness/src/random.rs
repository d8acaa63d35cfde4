//! Seeded chance. Every concern draws from a stream of its own, so that one more draw here changes nothing there.

use std::fmt::{self, Write};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A stream of chance for one concern of one run.
pub fn chance(seed: u64, concern: impl fmt::Display) -> ChaCha8Rng {
    Seed::of(seed, concern).start()
}

/// Where a stream of chance begins: it takes little room until something is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// That of one concern of one run.
    pub fn of(seed: u64, concern: impl fmt::Display) -> Self {
        let mut spread = Spread {
            key: [0; 32],
            length: 0,
        };
        spread.key[..8].copy_from_slice(&seed.to_le_bytes());
        // It takes whatever is written.
        write!(spread, "{concern}").unwrap_or_default();
        Self(spread.key)
    }

    /// Its stream, from the beginning.
    pub fn start(self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }
}

/// A concern's bytes over a key, without a string of them.
struct Spread {
    key: [u8; 32],
    length: usize,
}

impl fmt::Write for Spread {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for byte in part.bytes() {
            self.key[8 + self.length % 24] ^= byte.rotate_left(self.length as u32 / 24);
            self.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concern_is_the_same_in_one_piece_or_in_several() {
        let (name, number) = ("a name that is longer than a key", 7);
        let parts = Seed::of(3, format_args!("{name} attempt {number}"));
        assert_eq!(
            parts,
            Seed::of(3, "a name that is longer than a key attempt 7")
        );
        assert_ne!(
            parts,
            Seed::of(4, "a name that is longer than a key attempt 7")
        );
        assert_ne!(
            parts,
            Seed::of(3, "a name that is longer than a key attempt 8")
        );
    }
}
