//! The arithmetic of the breaker: when it trips, and how long it stays open.

use super::{OpenTime, Thresholds};
use crate::breaker::window::{Counts, Geometry, SLICES};
use crate::ratio::Share;
use crate::time::{Span, Timestamp};

/// Whether one failed probe opens the breaker again: where failures in a row are what trips it, and not their rate, and
/// where no rate is on at all.
pub(super) fn one_failure_decides(thresholds: &Thresholds) -> bool {
    thresholds.failure_rate == Share::NONE
        && (thresholds.slow_rate == Share::NONE || thresholds.consecutive > 0)
}

/// Whether the verdicts of half-open open the breaker again.
pub(super) fn probes_failed(thresholds: &Thresholds, counts: Counts) -> bool {
    let reached = |threshold: Share, part| {
        threshold > Share::NONE && threshold.is_reached_by(part, counts.calls)
    };
    reached(thresholds.failure_rate, counts.failures)
        || reached(thresholds.slow_rate, counts.slow)
        || (counts.failures > 0 && one_failure_decides(thresholds))
}

/// The base, doubled for each trip before in the row, up to the cap; at least what the upstream asked for, up to the
/// cap; then the jitter, after the cap: before it a fleet would probe in step.
pub(super) fn open_time(
    open: &OpenTime,
    trips_before: u32,
    draw: u32,
    retry_after: Option<Span>,
) -> Span {
    let doubled = 1_u64.checked_shl(trips_before).unwrap_or(u64::MAX);
    let own = open.base.times(doubled).min(open.cap);
    let asked = retry_after.unwrap_or(Span::ZERO).min(open.cap);
    let length = own.max(asked);
    let jitter = length
        .share(u64::from(open.jitter.as_basis_points()), 10_000)
        .share(u64::from(draw), u64::from(u32::MAX));
    length.plus(jitter)
}

/// The tick of host tracking, and how many ticks are remembered.
pub(super) fn host_clock(geometry: Geometry, verdicts: u32, now: Timestamp) -> (u32, u32) {
    match geometry {
        Geometry::Time { .. } => (geometry.slice_at(now) as u32, SLICES as u32),
        Geometry::Count { calls } => (verdicts, u32::from(calls)),
    }
}
