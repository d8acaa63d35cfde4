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
//! Below the threshold, by more than [`NEAR`], what is admitted grows to what was admitted while the utilisation was measured, times
//! threshold by utilisation ([`traffic`]): the excess alone would need ten seconds and more for what is over in two. Reports
//! are those of all hosts together ([`hosts`]).
//!
//! Reports are smoothed over [`SMOOTH`], and of many only one each [`SAMPLE`] counts: it is a write to shared data. One
//! that is older than [`FRESH`] loses its force over [`FADE`]: an upstream that went silent is not shed for ever. Of each
//! priority at least [`KEPT`] passes, so that an upstream that is shed wholly can say that it is better.

pub mod hosts;
pub mod traffic;

use crate::time::{Span, Timestamp};
use traffic::{Offered, admitted, weight};

/// How many priorities there are; 0 is the highest.
pub const PRIORITIES: u8 = 4;
/// One priority, wholly shed, in [`ReportedLoad::shed`].
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

/// So close below the threshold, in millionths of the utilisation, the integral alone moves: there noise is as large as what is to
/// be followed.
const NEAR: u64 = 1_150_000;
/// What is admitted grows to so many times as much at most, in millionths.
const GROWTH_MAX: u64 = 8_000_000;
/// What is admitted comes up to what it may grow to in this time.
const GROWN: Span = Span::millis(300);

/// What upstreams report, as one VM hears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What the hosts say.
    pub hosts: hosts::Hosts,
    /// The traffic meanwhile.
    pub traffic: traffic::Traffic,
}

impl Observed {
    /// A host reports its utilisation, where `threshold` is wanted at most, both in basis points.
    pub fn report(
        &mut self,
        host: u32,
        utilisation: u32,
        threshold: u32,
        now: Timestamp,
    ) -> LoadReport {
        LoadReport {
            utilisation: self.hosts.report(host, utilisation, threshold, now),
            threshold,
            offered: self.traffic.offered(),
            admitted: self.traffic.admitted(now),
        }
    }
}

/// A report, with what is known of the traffic that it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The utilisation in basis points.
    pub utilisation: u32,
    /// The one that is wanted at most.
    pub threshold: u32,
    /// How much of the traffic each priority is.
    pub offered: Offered,
    /// How much of the traffic was admitted meanwhile, in millionths; `None` if that is not known.
    pub admitted: Option<u32>,
}

/// What is known of an upstream's load, by all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedLoad {
    /// The smoothed utilisation in basis points; more than 10,000 is possible.
    pub utilisation: u32,
    /// How much is shed, in millionths of a priority, lowest first: 1,500,000 is all of the lowest and half of the next.
    pub shed: u32,
    /// When the last report that counted came; the clock's beginning for none.
    pub at: Timestamp,
}

impl ReportedLoad {
    /// Takes a report in; says whether anything changed, so that it must be stored.
    pub fn report(&mut self, report: &LoadReport, now: Timestamp) -> bool {
        let first = self.at == Timestamp::ZERO;
        let age = now.since(self.at);
        if !first && age < SAMPLE {
            return false;
        }
        self.shed = self.shed_at(now);
        let weight = if first { SMOOTH } else { age.min(SMOOTH) };
        self.utilisation = smoothed(self.utilisation, report.utilisation, weight);
        self.shed = match self.grown(report, weight) {
            Some(shed) => shed,
            None => {
                let shed = i64::from(self.shed).saturating_add(self.step(report.threshold, weight));
                let most = u32::from(PRIORITIES).saturating_mul(WHOLE);
                u32::try_from(shed.max(0)).unwrap_or(most).min(most)
            }
        };
        self.at = now;
        true
    }

    /// Whether a request of this priority is shed. `draw` is uniform over all of `u32`, and the same for the same request.
    pub fn refuses(&self, priority: u8, draw: u32, now: Timestamp) -> bool {
        self.shed_of(priority, now) > drawn(draw)
    }

    /// How much of a priority is shed, in millionths.
    pub fn shed_of(&self, priority: u8, now: Timestamp) -> u32 {
        WHOLE.saturating_sub(passing(self.shed_at(now), priority))
    }

    /// How much is shed now: what the last report led to, less what time took of it.
    fn shed_at(&self, now: Timestamp) -> u32 {
        let left = FADE
            .as_nanos()
            .saturating_sub(now.since(self.at.after(FRESH)).as_nanos());
        let shed = Span::nanos(u64::from(self.shed)).share(left, FADE.as_nanos());
        shed.as_nanos() as u32
    }

    /// How much is to be shed where the upstream is used far less than it may be; `None` where it is not.
    fn grown(&self, report: &LoadReport, stands_for: Span) -> Option<u32> {
        let most = u64::from(report.threshold).saturating_mul(u64::from(WHOLE));
        let times = most.checked_div(u64::from(self.utilisation.max(1)))?;
        if times < NEAR || self.shed == 0 {
            return None;
        }
        let growth = times.min(GROWTH_MAX).saturating_sub(u64::from(WHOLE));
        let passes = admitted(&report.offered, self.shed);
        let before = report.admitted.unwrap_or(passes);
        // Where next to nothing passes, it grows as if the slowest part of the next priority did.
        let next = weight(&report.offered, next_of(self.shed));
        let least = millionths(next.into(), SLOWEST as u64);
        let more = millionths(u64::from(before).max(least), growth);
        let wanted = u64::from(before).saturating_add(more);
        let missing = Span::nanos(wanted.saturating_sub(u64::from(passes)));
        let now = missing.share(stands_for.min(GROWN).as_millis(), GROWN.as_millis());
        Some(opened(self.shed, now.as_nanos(), &report.offered))
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

/// So many millionths of a value.
fn millionths(value: u64, parts: u64) -> u64 {
    const ALL: u64 = WHOLE as u64;
    value.saturating_mul(parts) / ALL
}

/// How much of a priority passes where so much is shed, in millionths.
fn passing(shed: u32, priority: u8) -> u32 {
    let below = PRIORITIES.saturating_sub(1).saturating_sub(priority);
    let reached = u32::from(below).saturating_mul(WHOLE);
    let most = WHOLE.saturating_sub(KEPT);
    WHOLE.saturating_sub(shed.saturating_sub(reached).min(most))
}

/// The priority that is let in next, where so much is shed: the highest of which anything is.
fn next_of(shed: u32) -> u8 {
    let wholly = (shed.saturating_sub(1) / WHOLE) as u8;
    PRIORITIES.saturating_sub(1).saturating_sub(wholly)
}

/// How much is shed once so much more of what is offered passes, in millionths.
fn opened(mut shed: u32, mut more: u64, offered: &Offered) -> u32 {
    while shed > 0 {
        let next = next_of(shed);
        let full =
            u32::from(PRIORITIES.saturating_sub(1).saturating_sub(next)).saturating_mul(WHOLE);
        let part = u64::from(shed.saturating_sub(full));
        let weight = u64::from(weight(offered, next));
        let worth = millionths(weight, part);
        if worth > more {
            let step = more.saturating_mul(u64::from(WHOLE)).checked_div(weight);
            return shed.saturating_sub(u32::try_from(step.unwrap_or(0)).unwrap_or(u32::MAX));
        }
        more = more.saturating_sub(worth);
        shed = full;
    }
    0
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
