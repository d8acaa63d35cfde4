//! How often workers want to tick.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_policy::time::Span;
use seawall_policy::worker::TICK_MILLIS;

/// How often a worker ticks, in milliseconds, unless it says otherwise.
pub(crate) const USUAL_MILLIS: u32 = TICK_MILLIS;

/// The shortest period that a worker wants, in milliseconds.
static WANTED: Mutex<u32> = Mutex::new(USUAL_MILLIS);
static CHANGED: Condvar = Condvar::new();

fn wanted() -> MutexGuard<'static, u32> {
    WANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker wants to tick so often.
pub(crate) fn wanted_every(millis: u32) {
    let mut wanted = wanted();
    if millis < *wanted {
        *wanted = millis;
        CHANGED.notify_one();
    }
}

/// The shortest period that any worker wants now.
pub(crate) fn set(millis: u32) {
    let mut wanted = wanted();
    if *wanted != millis {
        *wanted = millis;
        CHANGED.notify_one();
    }
}

/// Waits for one period. `false` if another is wanted meanwhile.
pub(crate) fn passes() -> bool {
    let wanted = wanted();
    let period = *wanted;
    let span = Duration::from_millis(u64::from(period.max(1)));
    let waits = CHANGED.wait_timeout_while(wanted, span, |wanted| *wanted == period);
    waits.is_ok_and(|(_, result)| result.timed_out())
}

/// When a tick is due: a bit earlier than the period says, since timers are not exact.
pub(crate) const fn nearly(period: Span) -> Span {
    Span::nanos(period.as_nanos().saturating_sub(period.as_nanos() / 16))
}
