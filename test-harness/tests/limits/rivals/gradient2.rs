//! Gradient2: a short average of the latency against a long one (`Gradient2Limit.java`), with its own defaults and the
//! tolerance of 1.5 that its later versions have.

use super::{Rule, Window};

const SMOOTHING: f64 = 0.2;
const TOLERANCE: f64 = 1.5;
const QUEUE: f64 = 4.0;
/// The long average's length, in windows.
const LONG: f64 = 600.0;
/// So many first windows are simply averaged.
const WARM_UP: f64 = 10.0;

#[derive(Default)]
pub(super) struct Gradient2 {
    long_ms: f64,
    seen: f64,
}

impl Rule for Gradient2 {
    fn update(&mut self, limit: f64, window: &Window) -> f64 {
        let Some(short) = window.rtt_ms else {
            return limit;
        };
        self.seen += 1.0;
        self.long_ms += if self.seen <= WARM_UP {
            (short - self.long_ms) / self.seen
        } else {
            (short - self.long_ms) * 2.0 / (LONG + 1.0)
        };
        if self.long_ms / short > 2.0 {
            self.long_ms *= 0.95;
        }
        if !window.is_half(limit) {
            return limit;
        }
        let gradient = (TOLERANCE * self.long_ms / short).clamp(0.5, 1.0);
        limit * (1.0 - SMOOTHING) + (limit * gradient + QUEUE) * SMOOTHING
    }
}
