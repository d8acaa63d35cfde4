//! Who asks, and when.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use crate::mixture::{Behaviour, SECOND};

/// When a source's requests come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Regular(u64),
    Poisson(u64),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Good requests.
    Callers,
    /// Every behaviour once, and then any.
    Mixture,
    /// As many good requests in its place.
    InItsPlace,
    /// Good requests with a body.
    Uploaders,
    /// A client that asks again as soon as its last request is over.
    Poller(Behaviour),
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) who: Who,
    pub(super) pace: Pace,
    pub(super) random: ChaCha8Rng,
    pub(super) asked: usize,
    pub(super) on: bool,
}

impl Source {
    pub(super) fn gap(&mut self) -> u64 {
        let gap = match self.pace {
            Pace::Regular(gap) => gap,
            Pace::Poisson(mean) => {
                let draw: f64 = Exp1.sample(&mut self.random);
                (mean as f64 * draw) as u64
            }
        };
        gap.clamp(1, 100_000 * SECOND)
    }
}
