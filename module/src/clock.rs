//! The clocks of the process.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the body in which time is real"
)]

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock's zero lies this long before the module was loaded, so that "long ago" is no time before it.
const BEFORE: Duration = Duration::from_secs(1_000_000);

static LOADED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The monotonic clock in nanoseconds, the same for all threads.
pub(crate) fn monotonic() -> u64 {
    nanos(LOADED.elapsed().saturating_add(BEFORE))
}

/// The wall clock in nanoseconds since 1970; nothing where it shows a time before.
pub(crate) fn wall() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(nanos)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
