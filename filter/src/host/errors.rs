//! Statuses that nobody expected, counted by the name of the call until telemetry takes them.

use std::cell::RefCell;

use super::abi::Status;

thread_local! {
    static COUNTS: RefCell<Vec<(&'static str, u64)>> = const { RefCell::new(Vec::new()) };
}

/// Counts one. The names are those of the calls, so their number is bounded.
pub(super) fn count(call: &'static str) {
    COUNTS.with(|counts| {
        if let Ok(mut counts) = counts.try_borrow_mut() {
            match counts.iter_mut().find(|(known, _)| *known == call) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => counts.push((call, 1)),
            }
        }
    });
}

/// Takes the counts since the last time.
pub(crate) fn take() -> Vec<(&'static str, u64)> {
    COUNTS.with(|counts| {
        counts
            .try_borrow_mut()
            .map(|mut counts| std::mem::take(&mut *counts))
            .unwrap_or_default()
    })
}

/// A result as an option: "not found" and "empty" are nothing, every other status is counted and nothing.
pub(super) fn found<T>(call: &'static str, result: Result<T, Status>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Status::NOT_FOUND | Status::EMPTY) => None,
        Err(_) => {
            count(call);
            None
        }
    }
}

/// Whether a call did what it should; if not, it is counted.
pub(super) fn succeeded(call: &'static str, result: Result<(), Status>) -> bool {
    if result.is_err() {
        count(call);
    }
    result.is_ok()
}
