//! Whether a system recovered by itself once nothing was wrong any more, and in time.

use std::collections::BTreeMap;

use seawall_policy::breaker::{Phase, Settings, TransitionLine};
use seawall_policy::ratio::Share;
use seawall_policy::route::Routing;
use seawall_policy::time::Span;
use serde::Serialize;

use crate::measure::Measure;

/// What a breaker may take to close beyond the open interval that is left and the latency of its probes, in milliseconds.
const GRACE_MS: u64 = 2_000;
/// A probe without an answer is judged this long after it was slow, a tick included, in milliseconds.
const JUDGED_MS: u64 = 1_500;

/// How a system healed. Times are in milliseconds since the end of the last fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Healing {
    /// When the last breaker closed; 0 where none was open, null where one never did.
    pub closed_ms: Option<u64>,
    /// When it must: after what was left of its open interval, the latency of its probes, and two seconds. The latency of a probe
    /// that was sent before the end, and hangs, is the time until it is judged.
    pub closed_by_ms: u64,
    /// The arrival of the last request that got no good answer; null while there is no end of them.
    pub admitted_ms: Option<u64>,
    /// When that must be: the policy's ramp after the breaker closed.
    pub admitted_by_ms: u64,
    /// Whether both were in time.
    pub met: bool,
}

/// What breakers did, in milliseconds since the trace began.
#[derive(Default)]
struct Breaker {
    open_until: u64,
    late: u64,
    closed: Option<u64>,
    is_closed: bool,
    not_closed_since: Option<u64>,
    /// Whether probes of before the end may be on their way.
    probes: bool,
}

/// When a probe without an answer is judged, a tick and a second aside.
fn judged_after(breaker: &Settings) -> Span {
    match breaker.thresholds.slow_rate == Share::NONE {
        true => breaker.half_open.wait,
        false => breaker.thresholds.slow_over,
    }
}

impl Healing {
    /// How a lane healed of what ended at `end`, in nanoseconds since the trace began.
    pub fn of(measure: &Measure, end: u64, until: u64, routing: &Routing) -> Self {
        let end = end / 1_000_000;
        let ramp = routing
            .policies
            .iter()
            .map(|policy| policy.breaker.ramp.as_millis());
        let ramp = ramp.max().unwrap_or(0);
        let window = measure.window("", end * 1_000_000, until);
        let latency = window
            .good_latency
            .map_or(0, |good| good.p99_ms.ceil() as u64);
        let judged = routing.policies.iter();
        let judged = judged.map(|policy| judged_after(&policy.breaker).as_millis());
        let hanging = latency.max(judged.max().unwrap_or(0) + JUDGED_MS);
        // What was sent while all was wrong ends so much later, at most.
        let last_sent = end + hanging + GRACE_MS;
        let mut closed = Some(end);
        let mut closed_by = end + latency + GRACE_MS;
        for changes in measure.by_envoy.values() {
            let mut breakers: BTreeMap<&str, Breaker> = BTreeMap::new();
            for made in changes {
                let breaker = breakers.entry(made.upstream()).or_default();
                breaker.is_closed = made.state() == Phase::Closed.name();
                if made.at_ms <= end {
                    breaker.probes = made.state() == Phase::HalfOpen.name();
                }
                match breaker.is_closed {
                    true => {
                        breaker.closed = Some(made.at_ms);
                        if made.at_ms < end {
                            breaker.not_closed_since = None;
                        }
                    }
                    false => {
                        breaker.not_closed_since.get_or_insert(made.at_ms);
                    }
                }
                if made.state() == Phase::Open.name() && made.at_ms <= last_sent {
                    let line = TransitionLine::parse(&made.line);
                    let open_for = line.and_then(|line| line.open_for);
                    let open_for = open_for.map_or(0, |span| span.as_millis());
                    breaker.open_until = made.at_ms + open_for;
                    breaker.late = latency + GRACE_MS;
                }
            }
            for breaker in breakers
                .values()
                .filter(|one| one.not_closed_since.is_some())
            {
                closed_by = closed_by.max(breaker.open_until + breaker.late);
                if breaker.probes {
                    closed_by = closed_by.max(last_sent);
                }
                closed = match (breaker.is_closed, closed, breaker.closed) {
                    (true, Some(all), Some(one)) => Some(all.max(one)),
                    _ => None,
                };
            }
        }
        let admitted_by = closed.unwrap_or(closed_by) + ramp;
        let last = measure.last_trouble_ms().unwrap_or(0).max(end);
        let well = measure.times(None).recovered;
        let admitted = well.then_some(last);
        let healing = Self {
            closed_ms: closed.map(|closed| closed - end),
            closed_by_ms: closed_by - end,
            admitted_ms: admitted.map(|admitted| admitted - end),
            admitted_by_ms: admitted_by - end,
            met: false,
        };
        Self {
            met: healing.closed_in_time() && healing.admitted_in_time(),
            ..healing
        }
    }

    /// Whether the breakers were closed in time.
    pub fn closed_in_time(&self) -> bool {
        self.closed_ms
            .is_some_and(|closed| closed <= self.closed_by_ms)
    }

    /// Whether all requests were admitted in time.
    pub fn admitted_in_time(&self) -> bool {
        self.admitted_ms
            .is_some_and(|admitted| admitted <= self.admitted_by_ms)
    }
}
