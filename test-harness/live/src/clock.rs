//! Real time, for what is about the real world.

use std::time::Instant;

/// Now.
#[allow(
    clippy::disallowed_methods,
    reason = "processes, sockets and people live in real time"
)]
pub fn now() -> Instant {
    Instant::now()
}
