//! What an operator asks of one upstream, as a step on its record: it holds for all workers once it stands in shared data.

use crate::breaker::{Cause, Forced, Moment, Transitions};
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::state::{Change, SharedState};
use crate::shared::upstream::{StepReport, update_record};

/// Forces an upstream for a time, or takes back what was forced. Its breaker stays as it is.
pub fn force(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    forced: Option<&Forced>,
    moment: Moment,
) -> StepReport {
    update_record(store, upstream, moment, &mut |record| {
        record.forced = forced.cloned().map(Box::new);
        (Transitions::new(), Change::Store)
    })
}

/// Takes back what was forced, and lets the breaker begin closed and empty: what is on its way counts no more.
pub fn reset(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    moment: Moment,
) -> StepReport {
    update_record(store, upstream, moment, &mut |record| {
        record.forced = None;
        let breaker = &mut record.breaker;
        let made = breaker.restart(breaker.geometry, moment.now, Cause::Operator);
        (made.into_iter().collect(), Change::Store)
    })
}
