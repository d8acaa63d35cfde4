//! The account of a budget in shared data: what is paid in, drawn and given back, over all workers.
//!
//! A VM collects the deposits of its first attempts and flushes them before it withdraws, and at the tick. So a VM that
//! dies loses the budget its unflushed deposits, and never brings it a retry that nobody paid for.

use super::Settings;
use super::attempts::Denial;
use super::forecast::{foresee, is_payable, stays_closed};
use crate::breaker::{self, Moment};
use crate::retry_budget::RETRY;
use crate::shared::governed_upstream::GovernedUpstream;
use crate::shared::record::Record;
use crate::shared::state::{Change, SharedState};
use crate::shared::upstream::{StepReport, update_record};

/// Something that is done on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing but the deposits.
    Flush,
    /// So many retries were paid and never sent.
    Refund(u8),
    /// So many retries were sent already, and are charged whether there is enough or not.
    Charge(u8),
}

/// Pays for one retry after these deposits, if the breaker is closed and there is enough.
///
/// What could not be stored is not paid, and the deposits are not flushed: the notes say so by not standing.
pub fn withdraw(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    retries: &Settings,
    deposits: u64,
    moment: Moment,
) -> (Result<(), Denial>, StepReport) {
    let mut paid = Err(Denial::Undecided);
    let mut flips = false;
    let mut notes = update_record(store, upstream, moment, &mut |record| {
        let made = advanced(record, upstream, moment);
        let now = moment.now;
        let closed = stays_closed(record, upstream, now);
        paid = match &mut record.budget {
            None => Err(Denial::Undecided),
            Some(budget) => {
                let before = is_payable(budget, &retries.budget, now);
                budget.deposit(&retries.budget, deposits, now);
                let paid = match closed {
                    false => Err(Denial::Breaker),
                    true if budget.withdraw(&retries.budget, now) => Ok(()),
                    true => Err(Denial::Budget),
                };
                flips = before != is_payable(budget, &retries.budget, now);
                paid
            }
        };
        let nothing = made.is_empty() && deposits == 0 && paid.is_err();
        (made, change(nothing))
    });
    notes.moved |= flips && notes.is_committed();
    match notes.is_committed() {
        true => (paid, notes),
        false => (Err(Denial::Undecided), notes),
    }
}

/// Does something else on the account, after these deposits. Says what can be spent then, in units of which a retry costs
/// [`RETRY`].
pub fn enter(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    retries: &Settings,
    deposits: u64,
    entry: Entry,
    moment: Moment,
) -> (Option<u64>, StepReport) {
    let mut left = None;
    let mut flips = false;
    let mut notes = update_record(store, upstream, moment, &mut |record| {
        let made = advanced(record, upstream, moment);
        let nothing = made.is_empty() && deposits == 0 && entry == Entry::Flush;
        let (settings, now) = (&retries.budget, moment.now);
        let there = record.budget.as_mut().map_or(0, |budget| {
            let before = is_payable(budget, settings, now);
            budget.deposit(settings, deposits, now);
            match entry {
                Entry::Flush => {}
                Entry::Refund(count) => budget.refund(settings, u64::from(count), now),
                Entry::Charge(count) => budget.charge(settings, u64::from(count), now),
            }
            let there = budget.balance(settings, now);
            flips = before != (there >= RETRY);
            there
        });
        left = Some(there);
        (made, change(nothing))
    });
    notes.moved |= flips && notes.is_committed();
    (left.filter(|_| notes.undecided.is_none()), notes)
}

/// The same, asked on its own.
pub fn affords(
    store: &impl SharedState,
    upstream: &GovernedUpstream<'_>,
    deposits: u64,
    moment: Moment,
) -> (Result<(), Denial>, StepReport) {
    let mut seen = None;
    let notes = update_record(store, upstream, moment, &mut |record| {
        seen = foresee(record, upstream, deposits, moment.now);
        (breaker::Transitions::new(), Change::Nothing)
    });
    let seen = seen.filter(|_| notes.undecided.is_none());
    (seen.unwrap_or(Err(Denial::Undecided)), notes)
}

fn advanced(
    record: &mut Record,
    upstream: &GovernedUpstream<'_>,
    moment: Moment,
) -> breaker::Transitions {
    let settings = &upstream.policy.breaker;
    match settings.mode.counts() {
        true => record.breaker.advance(settings, moment),
        false => breaker::Transitions::new(),
    }
}

const fn change(nothing: bool) -> Change {
    if nothing {
        Change::Nothing
    } else {
        Change::Store
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Mode, Permit, Verdict};
    use crate::outcome::Outcome;
    use crate::policy::Policy;
    use crate::ratio::Share;
    use crate::shared::state::Key;
    use crate::shared::store::TRIES;
    use crate::shared::store::tests::Memory;
    use crate::time::{Span, Timestamp};

    static K: Key<Record> = Key::test("k");

    fn policy(mode: Mode) -> Policy {
        let mut policy = Policy {
            retries: Some(Settings::default()),
            ..Policy::default()
        };
        policy.breaker.mode = mode;
        policy
    }

    fn upstream(policy: &Policy) -> GovernedUpstream<'_> {
        GovernedUpstream {
            dead: &[],
            policy,
            key: Some(&K),
            standing: &const { crate::shared::configurations::Standing::since(Timestamp::nanos(1)) },
        }
    }

    fn moment(millis: u64) -> Moment {
        Moment {
            now: Timestamp::ZERO.after(Span::millis(millis)),
            draw: 0,
        }
    }

    fn ask(store: &Memory, policy: &Policy, deposits: u64) -> Result<(), Denial> {
        let retries = policy.retries.as_ref().unwrap();
        withdraw(store, &upstream(policy), retries, deposits, moment(1_000)).0
    }

    #[test]
    fn a_retry_is_paid_by_deposits_and_what_was_never_sent_comes_back() {
        let (store, policy) = (Memory::default(), policy(Mode::Off));
        assert_eq!(ask(&store, &policy, 4), Err(Denial::Budget));
        assert_eq!(ask(&store, &policy, 1), Ok(()));
        assert_eq!(ask(&store, &policy, 0), Err(Denial::Budget));
        let retries = policy.retries.as_ref().unwrap();
        let enter = |what| enter(&store, &upstream(&policy), retries, 0, what, moment(1_000)).0;
        assert_eq!(enter(Entry::Refund(1)), Some(RETRY));
        assert_eq!(ask(&store, &policy, 0), Ok(()));
        assert_eq!(enter(Entry::Charge(1)), Some(0), "owed");
        assert_eq!(ask(&store, &policy, 5), Err(Denial::Budget));
        assert_eq!(ask(&store, &policy, 5), Ok(()));
    }

    #[test]
    fn what_a_request_pays_in_itself_counts_for_its_own_retry() {
        let (store, policy) = (Memory::default(), policy(Mode::Off));
        let foreseen = |deposits| affords(&store, &upstream(&policy), deposits, moment(1_000)).0;
        assert_eq!(foreseen(3), Err(Denial::Budget));
        assert_eq!(foreseen(4), Ok(()), "exactly one");
        assert_eq!(
            ask(&store, &policy, 5),
            Ok(()),
            "nothing was spent by asking"
        );
    }

    #[test]
    fn what_could_not_be_stored_is_not_paid() {
        let (store, policy) = (Memory::default(), policy(Mode::Off));
        assert_eq!(ask(&store, &policy, 1), Err(Denial::Budget));
        store.intrude(TRIES);
        assert_eq!(ask(&store, &policy, 100), Err(Denial::Undecided));
        store.refuse(true);
        assert_eq!(ask(&store, &policy, 100), Err(Denial::Undecided));
        store.refuse(false);
        assert_eq!(
            ask(&store, &policy, 3),
            Err(Denial::Budget),
            "nothing was flushed"
        );
        assert_eq!(ask(&store, &policy, 1), Ok(()));
    }

    #[test]
    fn nothing_is_paid_while_the_breaker_is_not_closed_unless_it_refuses_nothing() {
        for (mode, expected) in [
            (Mode::Enforce(Share::ALL), Err(Denial::Breaker)),
            (Mode::Shadow, Ok(())),
        ] {
            let (store, policy) = (Memory::default(), policy(mode));
            assert_eq!(ask(&store, &policy, 10), Ok(()), "closed");
            for _ in 0..policy.breaker.thresholds.consecutive {
                let verdict = Verdict {
                    outcome: Outcome::Failure,
                    host: 0,
                    retry_after: None,
                    peer: 0,
                    silent: false,
                };
                let permit = Permit {
                    generation: 0,
                    probe: None,
                };
                let settlement = crate::admission::Settlement::Verdict(verdict);
                let place = upstream(&policy);
                crate::admission::settle(&store, &place, permit, settlement, moment(1_000));
            }
            assert_eq!(ask(&store, &policy, 10), expected, "{mode:?}");
        }
    }
}
