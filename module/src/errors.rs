//! What went wrong beside the requests, counted by name until a worker's telemetry takes it.

use std::sync::{Mutex, PoisonError};

/// A hook that panicked: its request passed.
pub(crate) const PANIC: &str = "panic";

static COUNTS: Mutex<Vec<(&'static str, u64)>> = Mutex::new(Vec::new());

/// Counts one. The names are written here and in the ABI, so their number is bounded.
pub(crate) fn count(what: &'static str) {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    match counts.iter_mut().find(|(known, _)| *known == what) {
        Some((_, count)) => *count = count.saturating_add(1),
        None => counts.push((what, 1)),
    }
}

/// Whether something worked; if not, it is counted.
pub(crate) fn succeeded(what: &'static str, worked: bool) -> bool {
    if !worked {
        count(what);
    }
    worked
}

/// Takes the counts since the last time.
pub(crate) fn take() -> Vec<(&'static str, u64)> {
    std::mem::take(&mut *COUNTS.lock().unwrap_or_else(PoisonError::into_inner))
}
