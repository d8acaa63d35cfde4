//! What a root wants a record to look like, and when it gets it.

use super::Record;
use crate::breaker::window::Geometry;
use crate::breaker::{Cause, Phase, State, Transition};
use crate::retry_budget::Budget;
use crate::time::{Span, Timestamp};

/// What a root wants a policy's records to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Equal for equal ones.
    pub id: u64,
    /// How far ahead of now times in its records may lie.
    pub ahead: Span,
}

/// A root's claim on the shape of a record: the later one wins, once no other is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordShape {
    /// When the root took its configuration.
    pub configured_at: Timestamp,
    /// Whether no root with another shape uses the record ([`crate::shared::configurations`]).
    pub alone: bool,
    /// The longest time that its breaker is open.
    pub longest: Span,
    /// How far ahead of now times in a record may lie; one with a later time is damaged. The record may be that of a root
    /// whose breaker is open for longer.
    pub ahead: Span,
    /// Whether its breaker counts.
    pub counting: bool,
    /// The shape it wants for the windows.
    pub geometry: Geometry,
    /// The length it wants for the budget's buckets; `None` where it has no retries.
    pub slice: Option<Span>,
}

impl RecordShape {
    /// Its shape, and whether this root uses records at all.
    pub fn shape(&self) -> (Shape, bool) {
        let geometry = match self.geometry {
            Geometry::Time { slice } => [1, slice.as_nanos()],
            Geometry::Count { calls } => [2, u64::from(calls)],
        };
        let [kind, size] = geometry;
        let budget = self.slice.map_or(0, |slice| slice.as_nanos().max(1));
        let words = [kind, size, budget, u64::from(self.counting)];
        let id = words.into_iter().fold(0, |id: u64, word| {
            // The step of FxHash.
            (id.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
        });
        let shape = Shape {
            id,
            ahead: self.longest.times(2),
        };
        (shape, self.counting || self.slice.is_some())
    }
}

impl Record {
    /// Whether there is nothing to adopt, as far as can be told at once.
    pub fn is_as(&self, claim: &RecordShape) -> bool {
        let same_slice = claim.slice == self.budget.as_ref().map(|budget| budget.slice);
        let open = matches!(self.breaker.state, State::Open { .. });
        let same = claim.geometry == self.breaker.geometry && claim.counting == self.counting;
        same && same_slice && !open
    }

    /// Lets a root that was configured later have its shape, if no other shape is in use: else each root would reset what
    /// another one counts. What resets nothing waits for nobody: a budget where there is none, and a breaker that counts where
    /// none did. Says whether anything changed, and the transition if it was one.
    pub fn adopt(&mut self, claim: RecordShape, now: Timestamp) -> (bool, Option<Transition>) {
        let same_slice = claim.slice == self.budget.as_ref().map(|budget| budget.slice);
        let same = claim.geometry == self.breaker.geometry
            && claim.counting == self.counting
            && same_slice;
        let shortened = claim.alone && self.shorten(claim, now);
        if same {
            return (shortened, None);
        }
        let shapes = claim.alone && claim.configured_at > self.configured_at;
        let geometry = match shapes {
            true => claim.geometry,
            false => self.breaker.geometry,
        };
        let (mut changed, mut transition) = (shapes || shortened, None);
        if claim.counting != self.counting && (shapes || claim.counting) {
            self.counting = claim.counting;
            changed = true;
            // What is open though nobody seemed to count was opened by somebody all the same.
            if shapes || self.breaker.phase() == Phase::Closed {
                transition = self.breaker.restart(geometry, now, Cause::Reconfigured);
            }
        } else if geometry != self.breaker.geometry {
            self.breaker.reshape(geometry);
        }
        if shapes {
            self.configured_at = claim.configured_at;
            match (&mut self.budget, claim.slice) {
                (Some(_), Some(_)) if same_slice => {}
                (Some(budget), Some(slice)) => budget.reshape(slice, now),
                (budget, slice) => *budget = slice.map(Budget::new),
            }
        } else if self.budget.is_none() && claim.slice.is_some() {
            self.budget = claim.slice.map(Budget::new);
            changed = true;
        }
        (changed, transition)
    }

    /// An open time that is longer than this root's breaker would ever be open is that of a root that went.
    fn shorten(&mut self, claim: RecordShape, now: Timestamp) -> bool {
        let State::Open { until } = &mut self.breaker.state else {
            return false;
        };
        let most = now.after(claim.longest.times(2));
        let longer = *until > most;
        if longer {
            *until = now.after(claim.longest);
        }
        longer
    }
}
