//! Real time, for what is about the real world.

use std::time::{Duration, Instant, SystemTime};

/// Now.
#[allow(
    clippy::disallowed_methods,
    reason = "processes, sockets and people live in real time"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Now on the wall clock, since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "processes, sockets and people live in real time"
)]
pub fn wall() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}
