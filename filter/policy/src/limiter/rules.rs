//! What a limiter makes of a window.

use super::window::{Pressure, Seen};
use super::{Limiter, PLACE, Point, Settings, Trial};
use crate::time::Span;

/// Dropped requests say that far too much is in flight where they are at least this share, in basis points.
const DROPPED_SHARE: u32 = 1_000;
/// This share of them is as good as all, whatever was before.
const DROPPED_ALL: u32 = 9_700;
/// The most by which a window changes the limit: up by a quarter, down by a third. Down by a thirty-second at least, so that
/// it soon shows what that is good for.
const UP_MAX: (u64, u64) = (5, 4);
const DOWN_MAX: (u64, u64) = (2, 3);
const DOWN_MIN: (u64, u64) = (31, 32);
/// A latency below so much of another says that something became faster, and is not chance.
const FASTER: (u64, u64) = (5, 6);
/// A trial is decided once there is a third less in flight, or half as much again: so much more than chance makes of a
/// latency.
const FEWER: (u64, u64) = (2, 3);
const MORE: (u64, u64) = (3, 2);
/// What chance may add to a latency.
const CHANCE: (u64, u64) = (23, 20);
/// What is taken of a latency for the base if there was a queue in it.
const QUEUED: (u64, u64) = (17, 20);
/// At the floor, a latency above so much of what is wanted is worth a trial.
const MUCH: (u64, u64) = (5, 4);
/// The limit goes back to what it was by so many times in each window.
const LEAP: u64 = 3;
/// The base rises by the least latency of so many windows in a row in which nothing was held back.
const UNCONTENDED_WINDOWS: u8 = 4;

impl Limiter {
    /// Thinks about a window that is over.
    pub(super) fn think(&mut self, settings: &Settings, seen: &Seen) {
        let share = seen.dropped_share();
        let bearable = self.base.share(settings.tolerance(), 100);
        let bearable = bearable.share(MUCH.0, MUCH.1);
        let goes_well = seen.answered > 0 && seen.latency <= bearable;
        let known = self.dropped.saturating_add(self.dropped / 4);
        if share >= known.clamp(DROPPED_SHARE, DROPPED_ALL) {
            self.drop(seen, share, goes_well);
            return;
        }
        // What no limit helps against is forgotten by and by.
        let less = self.dropped.saturating_sub(self.dropped.div_ceil(8));
        self.dropped = less.max(share.min(self.dropped));
        if self.returns() && goes_well {
            // A window may be small here, and its latency says no more than that.
            self.limit = self.limit.saturating_mul(LEAP).min(self.before);
        } else {
            if self.returns() {
                self.before = 0;
            }
            self.observe(seen);
            self.follow(settings, seen);
            self.latest = seen.latency;
        }
    }

    /// Requests were dropped: the limit falls by their share, at most by half. Latencies of such a window say nothing. Where
    /// as many are dropped after the limit fell to a half, and the others are answered in time, it was of no use: something
    /// else is wrong with those, and such a share of them is taken no notice of.
    fn drop(&mut self, seen: &Seen, share: u32, goes_well: bool) {
        if !self.returns() {
            self.before = self.limit;
            self.first = share;
        }
        if goes_well && self.limit <= self.before / 2 && share >= self.first / 2 {
            self.dropped = share.max(self.first);
            self.limit = self.before;
            return;
        }
        let samples = u64::from(seen.samples());
        let kept = u64::from(seen.answered).max(samples / 2);
        self.limit = scaled(self.limit, kept, samples);
        self.trial = Trial::None;
    }

    /// The base follows: down always, up where nothing is held back for a while. Where it is set anew while requests are
    /// held back, the latency has a queue in it, perhaps: that shows as the limit grows.
    fn observe(&mut self, seen: &Seen) {
        let (base, latency) = (self.base, seen.latency);
        if seen.pressure > Pressure::None {
            self.calm = 0;
        } else {
            // A queue that builds up shows in one window more than in the one before; a slower service in all of them.
            self.least = match self.calm {
                0 => latency,
                _ => self.least.min(latency),
            };
            self.calm = self.calm.saturating_add(1);
        }
        let unknown = base == Span::ZERO;
        let faster = latency.max(self.latest) < base.share(FASTER.0, FASTER.1);
        if self.calm == 0 {
            if unknown || faster {
                self.question_baseline(Point::of(seen));
            }
        } else if unknown {
            self.base = latency;
        } else if latency < base {
            self.base = nearer(base, latency, 4);
        } else if self.calm >= UNCONTENDED_WINDOWS {
            self.calm = 0;
            self.base = nearer(base, self.least.max(base), 3);
            self.trial = Trial::None;
        }
    }

    /// Takes a latency for the base that may have a queue in it. If it has, the base is somewhat less: how much less cannot
    /// be known, and with that the limit stays near to where it is.
    fn question_baseline(&mut self, from: Point) {
        self.base = from.latency;
        self.trial = Trial::Growing {
            from,
            otherwise: from.latency.share(QUEUED.0, QUEUED.1),
        };
    }

    /// The limit follows the gradient: half of what is missing or too much in this window.
    fn follow(&mut self, settings: &Settings, seen: &Seen) {
        let here = Point::of(seen);
        let held = seen.pressure == Pressure::Held;
        if held && self.tries(settings, here) {
            return;
        }
        let longest = self.base.share(settings.tolerance(), 100);
        let (wanted, is) = (longest.as_nanos(), seen.latency.as_nanos().max(1));
        let half = scaled(self.limit, wanted.saturating_add(is), is.saturating_mul(2));
        if is > wanted {
            if held {
                let most = scaled(self.limit, DOWN_MIN.0, DOWN_MIN.1);
                let least = scaled(self.limit, DOWN_MAX.0, DOWN_MAX.1);
                self.limit = half.clamp(least, most);
                self.before = 0;
            }
            return;
        }
        let used = u64::from(seen.in_flight_max).saturating_mul(PLACE);
        let unused = used.saturating_mul(2) < self.limit && seen.pressure == Pressure::None;
        // Where something became faster the next window tells how much, if nothing else changes.
        let faster = held && seen.latency < self.latest.share(FASTER.0, FASTER.1);
        if unused || faster {
            return;
        }
        let next = half.min(scaled(self.limit, UP_MAX.0, UP_MAX.1));
        self.limit = match held {
            // Room for twice as much as there is.
            false => next.min(used.saturating_mul(2)).max(self.limit),
            // What it can do at all is not known yet.
            true if self.before == u64::MAX && is <= scaled(wanted, 4, 5) => {
                next.max(self.limit.saturating_mul(2))
            }
            true => next,
        };
    }

    /// What two points of load say about the base, while the limit holds requests back. Says whether the limit has been
    /// set, or has to stay as it is to see more.
    fn tries(&mut self, settings: &Settings, here: Point) -> bool {
        let cut = Trial::Cut {
            from: here,
            limit: self.limit,
        };
        match self.trial {
            Trial::Cut { from, limit } => {
                if here.in_flight > scaled(from.in_flight, FEWER.0, FEWER.1) {
                    if here.in_flight >= from.in_flight {
                        self.trial = cut;
                    }
                } else if here.latency > self.base && !was_queue(here, from) {
                    self.trial = Trial::Again { from, limit };
                    return true;
                } else {
                    self.trial = cut;
                }
                self.is_stuck(settings, here)
            }
            Trial::Again { from, limit } => {
                if here.in_flight >= from.in_flight || was_queue(here, from) {
                    self.trial = cut;
                    return self.is_stuck(settings, here);
                }
                let latency = nearer(here.latency, self.latest, 2);
                self.trial = Trial::Growing {
                    from: Point { latency, ..here },
                    otherwise: self.base,
                };
                self.base = self.base.max(latency);
                self.limit = limit;
                true
            }
            Trial::Growing { from, otherwise } => {
                let more = here.in_flight >= scaled(from.in_flight, MORE.0, MORE.1);
                let fewer = here.in_flight <= scaled(from.in_flight, FEWER.0, FEWER.1);
                let queue = more && was_queue(from, here);
                if queue {
                    self.base = otherwise;
                }
                if more || fewer {
                    self.trial = cut;
                }
                queue
            }
            Trial::None => {
                self.trial = cut;
                self.is_stuck(settings, here)
            }
        }
    }

    /// At the floor the limit cannot fall, and so cannot show anything. Where latency is far too long there, it is taken for
    /// the base, and growing shows whether it is.
    fn is_stuck(&mut self, settings: &Settings, here: Point) -> bool {
        let floor = u64::from(settings.floor.max(1)).saturating_mul(PLACE);
        let bearable = self.base.share(settings.tolerance(), 100);
        let stuck = self.limit <= floor && here.latency > bearable.share(MUCH.0, MUCH.1);
        if stuck {
            self.question_baseline(here);
        }
        stuck
    }
}

impl Point {
    const fn of(seen: &Seen) -> Self {
        Self {
            in_flight: seen.in_flight,
            latency: seen.latency,
        }
    }
}

/// Whether there was a queue at the lower of two points already: latency grew from there along with what is in flight.
/// Without one there it grew less, if at all.
fn was_queue(low: Point, high: Point) -> bool {
    let in_proportion = scaled(high.latency.as_nanos(), low.in_flight, high.in_flight);
    low.latency.as_nanos() <= scaled(in_proportion, CHANCE.0, CHANCE.1)
}

/// A part of the way from one latency to another.
fn nearer(from: Span, to: Span, parts: u64) -> Span {
    let (from, to) = (from.as_nanos(), to.as_nanos());
    let step = from.abs_diff(to).checked_div(parts).unwrap_or(0);
    Span::nanos(match to > from {
        true => from.saturating_add(step),
        false => from.saturating_sub(step),
    })
}

/// `value * numerator / denominator`.
fn scaled(value: u64, numerator: u64, denominator: u64) -> u64 {
    Span::nanos(value).share(numerator, denominator).as_nanos()
}
