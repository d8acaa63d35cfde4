//! Vegas: an estimate of the queue from the least latency ever seen (`VegasLimit.java`; Brakmo and Peterson, 1995),
//! with its own thresholds.
//!
//! The least latency is forgotten every so often: it counts windows here, and half a minute of them serves it best.

use super::{Rule, Window};

const PROBE_EVERY: u32 = 120;

#[derive(Default)]
pub(super) struct Vegas {
    least_ms: f64,
    windows: u32,
}

impl Rule for Vegas {
    fn update(&mut self, limit: f64, window: &Window) -> f64 {
        let step = limit.log10().max(1.0);
        let Some(rtt) = window.rtt_ms else {
            return limit - step;
        };
        self.windows += 1;
        if self.windows >= PROBE_EVERY {
            (self.windows, self.least_ms) = (0, rtt);
            return limit;
        }
        if self.least_ms == 0.0 || rtt < self.least_ms {
            self.least_ms = rtt;
            return limit;
        }
        if window.dropped {
            return limit - step;
        }
        if !window.is_half(limit) {
            return limit;
        }
        let queue = (limit * (1.0 - self.least_ms / rtt)).ceil();
        let (alpha, beta) = (3.0 * step, 6.0 * step);
        if queue <= step {
            limit + beta
        } else if queue < alpha {
            limit + step
        } else if queue > beta {
            limit - step
        } else {
            limit
        }
    }
}
