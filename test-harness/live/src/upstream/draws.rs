//! Chance, from a seed: every run draws the same.
//!
//! First attempts and retries have streams of their own. So the share of first attempts that fail is the same whatever
//! the retries in between, and a test may state it narrowly.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SEED: u64 = 1;

/// What one request draws, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Draw {
    pub(super) jitter: f64,
    pub(super) error: f64,
    pub(super) not_found: f64,
    pub(super) first_error: f64,
    pub(super) reset: f64,
}

#[derive(Debug)]
pub(super) struct Draws {
    first: ChaCha8Rng,
    retry: ChaCha8Rng,
}

impl Draws {
    pub(super) fn new() -> Self {
        Self {
            first: ChaCha8Rng::seed_from_u64(SEED),
            retry: ChaCha8Rng::seed_from_u64(SEED + 1),
        }
    }

    /// The draw of an attempt with this number, from 1.
    pub(super) fn next(&mut self, attempt: u32) -> Draw {
        let stream = if attempt <= 1 {
            &mut self.first
        } else {
            &mut self.retry
        };
        let [jitter, error, not_found, first_error, reset] = stream.random();
        Draw {
            jitter,
            error,
            not_found,
            first_error,
            reset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_do_not_disturb_what_first_attempts_draw() {
        let (mut alone, mut mixed) = (Draws::new(), Draws::new());
        let alone = [1, 1, 1].map(|attempt| alone.next(attempt));
        let mixed = [1, 2, 3, 1, 2, 1].map(|attempt| mixed.next(attempt));
        assert_eq!(alone, [mixed[0], mixed[3], mixed[5]]);
    }
}
