//! AIMD: up by steps, down by a share where answers are too late or dropped (`AIMDLimit.java`; Chiu and Jain, 1989).
//!
//! It must be told what too late is, and gets the best there is for the service as it starts: two and a half times its
//! time. Down by a tenth, as there; up by four a window instead of one a sample, which is what windows make of it.

use super::{Rule, Window};

const BACK_OFF: f64 = 0.9;
const STEP: f64 = 4.0;

pub(super) struct Aimd {
    late_ms: f64,
}

impl Aimd {
    pub(super) fn new(service_ms: f64) -> Self {
        Self {
            late_ms: service_ms * 2.5,
        }
    }
}

impl Rule for Aimd {
    fn update(&mut self, limit: f64, window: &Window) -> f64 {
        if window.dropped || window.rtt_ms.is_some_and(|rtt| rtt > self.late_ms) {
            limit * BACK_OFF
        } else if window.is_half(limit) {
            limit + STEP
        } else {
            limit
        }
    }
}
