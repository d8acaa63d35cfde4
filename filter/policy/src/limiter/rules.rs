//! What a limiter makes of a window.

use super::window::Seen;
use super::{Limiter, PLACE, Point, Settings, Trial};
use crate::time::Span;

/// Dropped requests say that far too much is in flight where they are at least one of so many.
const DROPPED_SHARE: u32 = 10;
/// The most by which a window changes the limit: up by a quarter, down by a third.
const UP_MAX: (u64, u64) = (5, 4);
const DOWN_MAX: (u64, u64) = (2, 3);
/// A latency below so much of the base is that of a faster service, and not chance.
const FASTER: (u64, u64) = (4, 5);
/// A trial is decided once there is a fifth less in flight, or half as much again.
const FEWER: (u64, u64) = (4, 5);
const MORE: (u64, u64) = (3, 2);

impl Limiter {
    /// Thinks about a window that is over.
    pub(super) fn think(&mut self, settings: &Settings, seen: &Seen) {
        let samples = seen.answered.saturating_add(seen.dropped);
        if seen.dropped.saturating_mul(DROPPED_SHARE) >= samples {
            self.drop(seen.dropped, samples);
        } else {
            self.latest = seen.latency;
            self.learn(settings, seen);
            self.follow(settings, seen);
        }
        let floor = u64::from(settings.floor.max(1)).saturating_mul(PLACE);
        let ceiling = u64::from(settings.ceiling).saturating_mul(PLACE);
        self.limit = self.limit.clamp(floor, ceiling.max(floor));
    }

    /// Requests were dropped: the limit falls by their share, at most by half. Latencies of such a window say nothing.
    fn drop(&mut self, dropped: u32, samples: u32) {
        self.before = self.before.max(self.limit);
        let samples = u64::from(samples);
        let kept = samples.saturating_sub(u64::from(dropped)).max(samples / 2);
        self.limit = scaled(self.limit, kept, samples);
        self.trial = Trial::None;
    }

    /// The base follows: down always, up where nothing is held back. Where it is set anew while requests are held back,
    /// the latency has a queue in it, perhaps: that shows as the limit grows.
    fn learn(&mut self, settings: &Settings, seen: &Seen) {
        let (base, latency) = (self.base, seen.latency);
        let unknown = base == Span::ZERO;
        let faster = latency < base.share(FASTER.0, FASTER.1);
        if unknown || (faster && seen.pressed) {
            self.base = latency;
            self.trial = match seen.pressed {
                true => Trial::Growing {
                    from: Point::of(seen),
                    otherwise: latency.share(100, settings.tolerance()),
                },
                false => Trial::None,
            };
        } else if latency < base {
            self.base = nearer(base, latency, 4);
        } else if !seen.pressed {
            self.base = nearer(base, latency, 8);
            self.trial = Trial::None;
        }
    }

    /// The limit follows the gradient: half of what is missing or too much in this window.
    fn follow(&mut self, settings: &Settings, seen: &Seen) {
        let longest = self.base.share(settings.tolerance(), 100);
        let (wanted, is) = (longest.as_nanos(), seen.latency.as_nanos().max(1));
        let here = Point::of(seen);
        if is > wanted {
            if seen.pressed {
                self.cut(here, wanted);
            }
            return;
        }
        if let Trial::Cut { .. } = self.trial {
            self.trial = Trial::None;
        }
        if self.grows_a_queue(here) {
            return;
        }
        let used = u64::from(seen.in_flight_max).saturating_mul(PLACE);
        if used.saturating_mul(2) < self.limit {
            return;
        }
        let half = scaled(self.limit, wanted.saturating_add(is), is.saturating_mul(2));
        let mut next = half.min(scaled(self.limit, UP_MAX.0, UP_MAX.1));
        if self.limit < self.before {
            next = self.limit.saturating_mul(2).min(self.before);
        }
        self.limit = next;
        if self.limit >= self.before {
            self.before = 0;
        }
    }

    /// Latency is too long while the limit holds requests back: it falls, unless falling was seen to be of no use.
    fn cut(&mut self, here: Point, wanted: u64) {
        if self.grows_a_queue(here) {
            return;
        }
        let is = here.latency.as_nanos();
        match self.trial {
            Trial::Cut { from, limit }
                if here.in_flight <= scaled(from.in_flight, FEWER.0, FEWER.1) =>
            {
                if grew_along(here, from) {
                    self.trial = Trial::Cut {
                        from: here,
                        limit: self.limit,
                    };
                } else {
                    self.trial = Trial::Growing {
                        from: here,
                        otherwise: self.base,
                    };
                    self.base = here.latency;
                    self.limit = limit;
                    return;
                }
            }
            Trial::Cut { .. } => {}
            Trial::None | Trial::Growing { .. } => {
                self.trial = Trial::Cut {
                    from: here,
                    limit: self.limit,
                };
            }
        }
        let half = scaled(self.limit, wanted.saturating_add(is), is.saturating_mul(2));
        self.limit = half.max(scaled(self.limit, DOWN_MAX.0, DOWN_MAX.1));
        self.before = 0;
    }

    /// Whether latency turns out to grow along with the limit, after the base was set anew: there was a queue in it. The
    /// base is then what it is otherwise.
    fn grows_a_queue(&mut self, here: Point) -> bool {
        let Trial::Growing { from, otherwise } = self.trial else {
            return false;
        };
        if here.in_flight < scaled(from.in_flight, MORE.0, MORE.1) {
            return false;
        }
        self.trial = Trial::None;
        let queue = grew_along(from, here);
        if queue {
            self.base = otherwise;
        }
        queue
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

/// Whether latency grew at least half as much as what is in flight between two points: then there is a queue.
fn grew_along(low: Point, high: Point) -> bool {
    let in_proportion = scaled(low.latency.as_nanos(), high.in_flight, low.in_flight);
    let middle = low.latency.as_nanos().saturating_add(in_proportion) / 2;
    high.latency.as_nanos() >= middle
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
