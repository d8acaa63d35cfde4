//! The clock that all VMs of a process share, read once a callback: what happens in one happens at one time, and each
//! reading is a host call.

use std::cell::Cell;

use seawall_policy::time::{Span, Timestamp};

use super::{abi, errors};

thread_local! {
    static LAST: Cell<u64> = const { Cell::new(0) };
    static FRESH: Cell<bool> = const { Cell::new(false) };
}

/// A callback begins: the next to ask reads the clock.
pub(crate) fn renew() {
    FRESH.set(false);
}

/// How long ago a point on the wall clock was, in nanoseconds since 1970; nothing if that is not known.
pub(crate) fn since_wall(nanos: u64) -> Span {
    let now = errors::found("clock_time_get", abi::wall_nanos()).unwrap_or(0);
    Span::nanos(now.saturating_sub(nanos))
}

/// How long it is until a point on the wall clock, in seconds since 1970; nothing if it has passed.
pub(crate) fn until_wall(seconds: u64) -> Span {
    let now = errors::found("clock_time_get", abi::wall_nanos()).unwrap_or(u64::MAX);
    Span::nanos(Span::secs(seconds).as_nanos().saturating_sub(now))
}

/// Now, on the monotonic clock: the same to all who ask in one callback. Without a clock, time stands still at the last
/// reading.
pub(crate) fn now() -> Timestamp {
    if !FRESH.replace(true)
        && let Some(nanos) = errors::found("clock_time_get", abi::monotonic_nanos())
    {
        LAST.set(nanos);
    }
    Timestamp::nanos(LAST.get())
}
