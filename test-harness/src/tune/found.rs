//! What a search found.

use super::objective::Values;
use super::space::Point;

/// A point that was played.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its levels.
    pub point: Point,
    /// What it got, the mean over its plays.
    pub values: Values,
    /// How far the bounds are missed.
    pub missed: f64,
    /// How much better than the default it is.
    pub score: f64,
    /// How often it was played.
    pub plays: usize,
}

/// Why a setting has its value: what the objectives are without it.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The setting's number.
    pub setting: usize,
    /// The values of the aims if it had its default.
    pub without: Values,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The shipped default.
    pub default: Tried,
    /// The proposal: the default itself where nothing is better.
    pub best: Tried,
    /// Why its settings are what they are.
    pub reasons: Vec<Reason>,
    /// All that was tried, in order. The first is the default.
    pub tried: Vec<Tried>,
    /// Plays of the trace.
    pub plays: usize,
}

impl Found {
    /// Whether the proposal is another policy than the default.
    pub fn is_better(&self) -> bool {
        self.best.point != self.default.point
    }
}
