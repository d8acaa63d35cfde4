//! What Envoy says while a lane is played: attempts at the upstream by its counters, changes of state by its log.
//!
//! An attempt whose connection is refused has reached the upstream too, as far as the upstream's machine and the network are
//! concerned, and counts in the simulation. The upstream program never sees it: so Envoy's counters are asked.

use std::time::Duration;

use anyhow::Context;
use seawall_harness::fault::Fault;
use seawall_harness::measure::Transition;

use super::recorder::{Recorder, nanos};
use crate::envoy::Envoy;

/// Attempts that got a connection, and those whose connection was not made.
const ATTEMPTS: [&str; 2] = ["upstream_rq_total", "upstream_rq_pending_failure_eject"];
/// Attempts that are on their way.
const ACTIVE: &str = "upstream_rq_active";
/// Each line of the log begins with its time: seconds since 1970, and milliseconds.
pub(super) const LOG: [&str; 2] = ["--log-format", "[%E.%e] %v"];

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Watch {
    cluster: String,
    faults: Vec<Fault>,
    /// The wall clock when the trace began.
    began: Duration,
    attempts: u64,
    looked: u64,
    lines: usize,
}

impl Watch {
    pub(super) fn new(cluster: &str, faults: &[Fault], began: Duration) -> Self {
        Self {
            cluster: format!("cluster.{cluster}."),
            faults: faults.to_vec(),
            began,
            attempts: 0,
            looked: 0,
            lines: 0,
        }
    }

    /// Looks, and writes down what is new.
    ///
    /// # Errors
    /// If Envoy does not answer, or has no such counter.
    pub(super) async fn look(&mut self, envoy: &Envoy, recorder: &Recorder) -> anyhow::Result<()> {
        let text = envoy.admin("/stats?filter=upstream_rq_").await?;
        let now = recorder.now();
        let of = |name: &str| {
            let mut lines = text
                .lines()
                .filter_map(|line| line.strip_prefix(&self.cluster));
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let value = value.and_then(|value| value.parse::<u64>().ok());
            value.with_context(|| format!("Envoy shows no {}{name}", self.cluster))
        };
        let [sent, unconnected] = ATTEMPTS;
        let attempts = of(sent)? + of(unconnected)?;
        let (active, new) = (of(ACTIVE)?, attempts.saturating_sub(self.attempts));
        let span = now.saturating_sub(self.looked);
        recorder.with(|measure| {
            // They came at some time since the last look: evenly spread.
            for number in 0..new {
                let at = self.looked + span * (2 * number + 1) / (2 * new);
                let in_fault = self.faults.iter().any(|fault| fault.holds(at));
                measure.reached(at, in_fault);
            }
            let active = usize::try_from(active).unwrap_or(usize::MAX);
            measure.level(now, active, recorder.waiting());
        });
        (self.attempts, self.looked) = (attempts, now);
        self.read(&envoy.log(), recorder);
        Ok(())
    }

    /// What the filter logged since the last look. A line that is not whole yet is for the next one.
    fn read(&mut self, log: &str, recorder: &Recorder) {
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines().skip(self.lines) {
            self.lines += 1;
            let Some((time, line)) = stamped(line) else {
                continue;
            };
            let at_ms = nanos(time.saturating_sub(self.began)) / 1_000_000;
            if let Some(made) = Transition::logged(at_ms, line) {
                recorder.with(|measure| measure.changed(0, made));
            }
        }
    }
}

/// The time of a line, and what stands behind it.
fn stamped(line: &str) -> Option<(Duration, &str)> {
    let (time, line) = line.strip_prefix('[')?.split_once("] ")?;
    let (seconds, millis) = time.split_once('.')?;
    let time =
        Duration::from_secs(seconds.parse().ok()?) + Duration::from_millis(millis.parse().ok()?);
    Some((time, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_has_its_time() {
        let (time, line) = stamped("[1700000000.042] wasm log: seawall: a [b] c").unwrap();
        assert_eq!(time, Duration::from_millis(1_700_000_000_042));
        assert_eq!(line, "wasm log: seawall: a [b] c");
        assert_eq!(stamped("[2026-01-31 12:00:00.123][1][info] x"), None);
    }
}
