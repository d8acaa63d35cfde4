//! The clock that all VMs of a process share, read once a callback: what happens in one happens at one time, and each
//! reading is a host call.

use std::cell::Cell;

use seawall_policy::environment::Clock;
use seawall_policy::time::{Span, Timestamp};

use super::{abi, errors};
use crate::body::Wasm;

thread_local! {
    static LAST: Cell<u64> = const { Cell::new(0) };
    static FRESH: Cell<bool> = const { Cell::new(false) };
}

/// A callback begins: the next to ask reads the clock.
pub(crate) fn renew() {
    FRESH.set(false);
}

impl Clock for Wasm {
    /// Without a clock, time stands still at the last reading.
    fn now(&self) -> Timestamp {
        if !FRESH.replace(true)
            && let Some(nanos) = errors::found("clock_time_get", abi::monotonic_nanos())
        {
            LAST.set(nanos);
        }
        Timestamp::nanos(LAST.get())
    }

    fn since_wall(&self, nanos: u64) -> Span {
        let now = errors::found("clock_time_get", abi::wall_nanos()).unwrap_or(0);
        Span::nanos(now.saturating_sub(nanos))
    }

    fn until_wall(&self, seconds: u64) -> Span {
        let now = errors::found("clock_time_get", abi::wall_nanos()).unwrap_or(u64::MAX);
        Span::nanos(Span::secs(seconds).as_nanos().saturating_sub(now))
    }
}
