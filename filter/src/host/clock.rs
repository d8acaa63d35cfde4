//! The clock that all VMs of a process share.

use std::cell::Cell;

use seawall_policy::time::Timestamp;

use super::{abi, errors};

thread_local! {
    static LAST: Cell<u64> = const { Cell::new(0) };
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
