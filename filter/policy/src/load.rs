//! Shedding by what an upstream says of its own load ([`crate::orca`]).
//!
//! Over the threshold the lowest priority is shed first, a growing share of it, then the next: one number says how far
//! that has gone, and each request is refused by its own draw, so that there is no edge to flap about. The number is an
//! integral, as in Uber's Cinnamon (a PI controller whose output is a share to refuse): what is proportional to the
//! excess alone either leaves a large excess or swings, because the load answers to it many times over. The integral
//! moves in proportion to the share of the priority that still passes, since the load does too; so the loop's gain is at
//! most one whatever is offered, as long as 6 % of a priority pass. Far over the threshold it moves faster than in proportion (the square of
//! the excess, in the manner of Netflix's cubic curve), since a processor cannot say that it is used more than wholly.
//!
//! Reports are smoothed over [`SMOOTH`], and of many only one each [`SAMPLE`] counts: it is a write to shared data. One
//! that is older than [`FRESH`] loses its force over [`FADE`]: an upstream that went silent is not shed for ever. Of each
//! priority at least [`KEPT`] passes, so that an upstream that is shed wholly can say that it is better.

use crate::time::{Span, Timestamp};

/// How many priorities there are; 0 is the highest.
pub const PRIORITIES: u8 = 4;
/// One priority, wholly shed, in [`Load::shed`].
pub const WHOLE: u32 = 1_000_000;
/// Of so many reports one counts.
pub const SAMPLE: Span = Span::millis(50);
/// A report's weight grows with the time since the last one, up to all after this.
const SMOOTH: Span = Span::millis(500);
/// With twice the threshold's utilisation a priority that wholly passes would be shed in this time. With half of it, ten
/// times the capacity in one priority swings between nothing and 140 %; with twice of it, the way through three priorities
/// takes more than 20 seconds (tests).
const REACTION: Span = Span::millis(1_200);
/// For so long a report holds as it is.
pub const FRESH: Span = Span::secs(3);
/// ... and after that for so long, less and less.
pub const FADE: Span = Span::secs(7);
/// What passes of each priority, in millionths: 1 %.
const KEPT: u32 = 10_000;
/// The share of a priority, in millionths, below which the integral moves no slower.
const SLOWEST: i64 = 60_000;
/// The weight of the excess's square.
const SQUARE: i64 = 20;

/// What is known of an upstream's load, by all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The smoothed utilisation in basis points; more than 10,000 is possible.
    pub utilisation: u32,
    /// How much is shed, in millionths of a priority, lowest first: 1,500,000 is all of the lowest and half of the next.
    pub shed: u32,
    /// When the last report that counted came; the clock's beginning for none.
    pub at: Timestamp,
}

impl Load {
    /// Takes a report of `utilisation` basis points in, where `threshold` basis points are wanted at most; says whether
    /// anything changed, so that it must be stored.
    pub fn report(&mut self, utilisation: u32, threshold: u32, now: Timestamp) -> bool {
        let first = self.at == Timestamp::ZERO;
        let age = now.since(self.at);
        if !first && age < SAMPLE {
            return false;
        }
        self.shed = self.shed_at(now);
        let weight = if first { SMOOTH } else { age.min(SMOOTH) };
        self.utilisation = smoothed(self.utilisation, utilisation, weight);
        let shed = i64::from(self.shed).saturating_add(self.step(threshold, weight));
        let most = u32::from(PRIORITIES).saturating_mul(WHOLE);
        self.shed = u32::try_from(shed.max(0)).unwrap_or(most).min(most);
        self.at = now;
        true
    }

    /// Whether a request of this priority is shed. `draw` is uniform over all of `u32`, and the same for the same request.
    pub fn refuses(&self, priority: u8, draw: u32, now: Timestamp) -> bool {
        self.shed_of(priority, now) > drawn(draw)
    }

    /// How much of a priority is shed, in millionths.
    pub fn shed_of(&self, priority: u8, now: Timestamp) -> u32 {
        let below = PRIORITIES.saturating_sub(1).saturating_sub(priority);
        let reached = u32::from(below).saturating_mul(WHOLE);
        let most = WHOLE.saturating_sub(KEPT);
        self.shed_at(now).saturating_sub(reached).min(most)
    }

    /// How much is shed now: what the last report led to, less what time took of it.
    fn shed_at(&self, now: Timestamp) -> u32 {
        let left = FADE
            .as_nanos()
            .saturating_sub(now.since(self.at.after(FRESH)).as_nanos());
        let shed = Span::nanos(u64::from(self.shed)).share(left, FADE.as_nanos());
        shed.as_nanos() as u32
    }

    /// How far the integral moves for a report that stands for so much time.
    fn step(&self, threshold: u32, stands_for: Span) -> i64 {
        const ALL: i64 = WHOLE as i64;
        let threshold = i64::from(threshold.max(1));
        let excess = i64::from(self.utilisation)
            .saturating_sub(threshold)
            .saturating_mul(ALL)
            .checked_div(threshold)
            .unwrap_or(0)
            .clamp(-ALL, ALL);
        let part = |shed: u32| i64::from(shed.checked_rem(WHOLE).unwrap_or(0));
        let (pull, passing) = if excess > 0 {
            let square = excess.saturating_mul(excess) / ALL;
            let pull = excess.saturating_add(square.saturating_mul(SQUARE));
            (pull.min(ALL), ALL.saturating_sub(part(self.shed)))
        } else {
            // What is let in again is the priority just below.
            let shed = self.shed.saturating_sub(1);
            (excess, ALL.saturating_sub(part(shed)))
        };
        let rate = pull.saturating_mul(passing.max(SLOWEST)) / ALL;
        let moved = rate.saturating_mul(stands_for.as_millis() as i64);
        moved.checked_div(REACTION.as_millis() as i64).unwrap_or(0)
    }
}

/// Moves a smoothed value towards a new one; it gets there, however small the weight.
fn smoothed(before: u32, new: u32, weight: Span) -> u32 {
    let step = u64::from(before.abs_diff(new))
        .saturating_mul(weight.as_millis())
        .div_ceil(SMOOTH.as_millis());
    let step = u32::try_from(step).unwrap_or(u32::MAX);
    if new > before {
        before.saturating_add(step).min(new)
    } else {
        before.saturating_sub(step).max(new)
    }
}

/// A draw in millionths.
fn drawn(draw: u32) -> u32 {
    (u64::from(draw).saturating_mul(u64::from(WHOLE)) >> 32) as u32
}

#[cfg(test)]
mod tests;
