//! The clock that all VMs of a process share.

use std::cell::Cell;

use seawall_policy::time::{Span, Timestamp};

use super::{abi, errors};

thread_local! {
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// How long ago a point on the wall clock was, in nanoseconds since 1970; nothing if that is not known.
pub(crate) fn since_wall(nanos: u64) -> Span {
    let now = errors::found("clock_time_get", abi::wall_nanos()).unwrap_or(0);
    Span::nanos(now.saturating_sub(nanos))
}

/// Now, on the monotonic clock. Without a clock, time stands still at the last reading.
pub(crate) fn now() -> Timestamp {
    match errors::found("clock_time_get", abi::monotonic_nanos()) {
        Some(nanos) => {
            LAST.set(nanos);
            Timestamp::nanos(nanos)
        }
        None => Timestamp::nanos(LAST.get()),
    }
}
