//! The figures of a part of a run, for probes that are asked in the middle of it.

use super::Measure;
use super::figures::{Figures, Latency};

impl Measure {
    /// The figures of what ended in this time, in nanoseconds since the trace began, to a slot. Times to detect and to recover are
    /// of the whole run, and not among them.
    pub fn window(&self, lane: &str, from: u64, to: u64) -> Figures {
        let (answers, reached, latency_us, seconds) = self.slots.window(from, to);
        let good = |quantile| latency_us.value_at_quantile(quantile) as f64 / 1_000.0;
        Figures {
            lane: lane.to_owned(),
            answers,
            reached_upstream: reached,
            good_latency: (answers.good > 0).then(|| Latency {
                p50_ms: good(0.5),
                p90_ms: good(0.9),
                p99_ms: good(0.99),
                p999_ms: good(0.999),
            }),
            goodput_per_s: answers.good as f64 / seconds.max(1) as f64,
            amplification: reached as f64 / answers.all().max(1) as f64,
            ..Figures::default()
        }
    }

    /// The breakers that are not closed at this time, in milliseconds since the trace began, each as the state that it is in.
    pub fn not_closed_at(&self, at_ms: u64) -> Vec<&str> {
        let mut states = Vec::new();
        for changes in self.by_envoy.values() {
            let mut last = std::collections::BTreeMap::new();
            for made in changes.iter().take_while(|made| made.at_ms <= at_ms) {
                last.insert(made.upstream(), made.state());
            }
            states.extend(last.into_values().filter(|state| *state != CLOSED));
        }
        states
    }

    /// When, from a time on, the upstream had no more to do than it ever had before another one: it has worked off what came while
    /// it was sick. In nanoseconds since the trace began.
    pub fn worked_off(&self, from: u64, calm: u64) -> u64 {
        let most = self.slots.most_in_flight(0, calm);
        self.slots.in_flight_under(from, most)
    }

    /// The arrival of the last request that got no good answer, in milliseconds since the trace began.
    pub fn last_trouble_ms(&self) -> Option<u64> {
        Some(self.last_trouble? / 1_000_000)
    }
}

/// The state in which all requests go.
const CLOSED: &str = "closed";
