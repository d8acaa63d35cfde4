//! Whether a retry would be paid for, as a record stands.

use super::attempts::Denial;
use crate::breaker;
use crate::retry_budget::{Budget, RETRY, Settings};
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::record::Record;
use crate::time::Timestamp;

/// Whether a retry would be paid for after these deposits and the one of the request that asks, as the record stands;
/// `None` where the policy has no retries.
#[inline(never)]
pub(crate) fn foresee(
    record: &Record,
    upstream: &GovernedUpstream<'_>,
    deposits: u64,
    now: Timestamp,
) -> Option<Result<(), Denial>> {
    let settings = &upstream.policy.retries.as_ref()?.budget;
    if !stays_closed(record, upstream, now) {
        return Some(Err(Denial::Breaker));
    }
    // On a copy, and in the account's own order: what comes in pays debts first.
    let mut budget = record.budget.clone()?;
    budget.deposit(settings, deposits.saturating_add(1), now);
    let there = budget.balance(settings, now);
    Some(if there < RETRY {
        Err(Denial::Budget)
    } else {
        Ok(())
    })
}

/// Whether the account holds enough for a retry now.
pub(super) fn is_payable(budget: &mut Budget, settings: &Settings, now: Timestamp) -> bool {
    budget.balance(settings, now) >= RETRY
}

/// Whether retries may go as far as the breaker is asked: it is closed and lets everything in, or refuses nothing.
pub(super) fn stays_closed(
    record: &Record,
    upstream: &GovernedUpstream<'_>,
    now: Timestamp,
) -> bool {
    let settings = &upstream.policy.breaker;
    match settings.mode {
        breaker::Mode::Enforce(_) => record.breaker.admits_all_at(settings, now),
        breaker::Mode::Off | breaker::Mode::Shadow => true,
        breaker::Mode::ForcedOpen => false,
    }
}
