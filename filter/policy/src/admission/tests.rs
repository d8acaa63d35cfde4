//! What is asked of whom, in which mode, and what an undecidable state means.

use super::*;
use crate::breaker::Phase;
use crate::breaker::{Settings, State};
use crate::outcome::Outcome;
use crate::policy::Policy;
use crate::ratio::Share;
use crate::shared::instance::next;
use crate::shared::state::Key;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;
use crate::time::Timestamp;

static K: Key<Record> = Key::test("k");
const INSTANCE: u64 = 7 << 8;
const OTHER: u64 = 9 << 8;
/// A request that is complete, of nobody in particular.
const WHOLE: Asker = Asker {
    peer: 0,
    complete: true,
};

fn policy(mode: Mode) -> Policy {
    let mut policy = Policy {
        name: "p".to_owned(),
        ..Policy::default()
    };
    policy.breaker = Settings {
        mode,
        ramp: Span::ZERO,
        ..policy.breaker
    };
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

fn request(draw: u32) -> Request {
    Request {
        inbound: false,
        asker: WHOLE,
        deposits: 0,
        draw,
        local_permits: holding(0),
        may_hold: MayHold::Yes,
    }
}

/// What this VM believes to hold of the first half-open generation.
fn holding(quantity: u32) -> LocalLease {
    LocalLease {
        instance: INSTANCE,
        generation: 2,
        quantity,
    }
}

fn at(millis: u64) -> Moment {
    Moment {
        now: Timestamp::ZERO.after(Span::millis(millis)),
        draw: 0,
    }
}

fn fail(
    store: &Memory,
    upstream: &GovernedUpstream<'_>,
    permit: Permit,
    millis: u64,
) -> StepReport {
    let verdict = Verdict {
        outcome: Outcome::Failure,
        host: 0,
        retry_after: None,
        peer: 0,
        silent: false,
    };
    settle(
        store,
        upstream,
        permit,
        Settlement::Verdict(verdict),
        at(millis),
    )
}

fn store_phase(store: &Memory) -> Phase {
    let found = store.load(K.as_str()).unwrap().expect("a record");
    Record::decode(&found.bytes).expect("whole").breaker.phase()
}

/// Trips the breaker by failures in a row.
fn trip(store: &Memory, upstream: &GovernedUpstream<'_>) {
    for millis in 0..7 {
        let (decision, _) = admit(store, upstream, &request(0), at(millis));
        let Decision::Admit(Some(permit)) = decision else {
            panic!("{decision:?}");
        };
        fail(store, upstream, permit, millis);
    }
}

#[test]
fn each_mode_does_its_own_with_the_same_state() {
    let store = Memory::default();
    let enforced = policy(Mode::Enforce(Share::ALL));
    trip(&store, &upstream(&enforced));
    let decide = |mode, draw| admit(&store, &upstream(&policy(mode)), &request(draw), at(8)).0;
    let refused = |decision| matches!(decision, Decision::Refuse { .. });

    assert!(refused(decide(Mode::Enforce(Share::ALL), u32::MAX)));
    assert!(refused(decide(Mode::Enforce(Share::percent(5)), 0)));
    let half = Mode::Enforce(Share::percent(50));
    assert_eq!(decide(half, u32::MAX), Decision::Mark(Reason::BreakerOpen));
    assert_eq!(decide(Mode::Shadow, 0), Decision::Mark(Reason::BreakerOpen));
    assert_eq!(decide(Mode::Off, 0), Decision::Admit(None));
    assert!(refused(decide(Mode::ForcedOpen, 0)));
}

#[test]
fn an_inbound_listener_has_no_breaker_unless_asked_for() {
    let store = Memory::default();
    let mut policy = policy(Mode::ForcedOpen);
    let inbound = Request {
        inbound: true,
        ..request(0)
    };
    let decide = |policy: &Policy| admit(&store, &upstream(policy), &inbound, at(1)).0;
    assert_eq!(decide(&policy), Decision::Admit(None));
    policy.breaker.inbound = true;
    assert!(matches!(decide(&policy), Decision::Refuse { .. }));
}

#[test]
fn closed_admissions_and_old_settlements_write_nothing() {
    let store = Memory::default();
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    let (decision, notes) = admit(&store, &upstream, &request(0), at(0));
    assert!(matches!(decision, Decision::Admit(Some(_))));
    assert_eq!(notes.phase, Some(Phase::Closed));
    assert_eq!(
        store.load(K.as_str()),
        Ok(None),
        "nothing was worth storing yet"
    );

    trip(&store, &upstream);
    let before = store.load(K.as_str());
    let old = Permit {
        generation: 0,
        probe: None,
    };
    assert!(fail(&store, &upstream, old, 9).is_committed());
    assert_eq!(store.load(K.as_str()), before);
}

#[test]
fn what_cannot_be_decided_passes_but_an_unstored_permit_is_none() {
    let store = Memory::default();
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    trip(&store, &upstream);
    let later = at(5_100);

    store.refuse(true);
    let (decision, notes) = admit(&store, &upstream, &request(0), later);
    assert_eq!(decision, Decision::Admit(None));
    assert!(notes.undecided.is_some() && !notes.is_committed());
    store.refuse(false);

    store.read_only(true);
    let (decision, notes) = admit(&store, &upstream, &request(0), later);
    assert!(matches!(decision, Decision::Refuse { .. }), "it was read");
    assert!(notes.undecided.is_some());
    store.read_only(false);

    store.intrude(crate::shared::store::TRIES);
    let (decision, notes) = admit(&store, &upstream, &request(0), later);
    assert!(notes.lost_races && notes.transitions.is_empty());
    let half_open = Decision::Refuse {
        reason: Reason::BreakerHalfOpen,
        retry_after: Span::secs(1),
    };
    assert_eq!(decision, half_open);

    let (decision, notes) = admit(&store, &upstream, &request(0), later);
    assert!(matches!(
        decision,
        Decision::Admit(Some(Permit {
            probe: Some(INSTANCE),
            ..
        }))
    ));
    assert_eq!(
        notes.transitions.len(),
        1,
        "the timed transition is told once"
    );
}

/// Permits held and verdicts of a half-open record.
fn counts(store: &Memory) -> (u32, u32) {
    let found = store.load(K.as_str()).unwrap().expect("a record");
    match Record::decode(&found.bytes).expect("whole").breaker.state {
        State::HalfOpen(probing) => (probing.holders.in_flight(), probing.verdicts.calls),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_marked_vm_holds_is_free_in_every_step_and_its_settlements_are_void() {
    let old = Permit {
        generation: 2,
        probe: Some(INSTANCE),
    };
    let other = Request {
        local_permits: LocalLease::none(OTHER),
        ..request(0)
    };
    let mut policy = policy(Mode::Enforce(Share::ALL));
    policy.breaker.half_open.permits = 10;
    for step in 0..4 {
        let store = Memory::default();
        let upstream = upstream(&policy);
        trip(&store, &upstream);
        for _ in 0..policy.breaker.half_open.permits {
            admit(&store, &upstream, &request(0), at(5_100));
        }
        let full = admit(&store, &upstream, &other, at(5_100)).0;
        assert!(matches!(full, Decision::Refuse { .. }));
        let upstream = GovernedUpstream {
            dead: &[INSTANCE],
            ..upstream
        };
        let expected = match step {
            0 => {
                let (decision, _) = admit(&store, &upstream, &other, at(5_200));
                assert!(matches!(decision, Decision::Admit(_)));
                (1, 0)
            }
            1 => {
                let lapsed = Permit { probe: None, ..old };
                fail(&store, &upstream, lapsed, 5_200);
                (0, 1)
            }
            2 => {
                claim(&store, &upstream, at(5_200));
                (0, 0)
            }
            _ => {
                let held = (LocalLease::none(OTHER), false);
                maintain(&store, &upstream, held, &mut |_| false, at(5_200));
                (0, 0)
            }
        };
        assert_eq!(counts(&store), expected, "{step}");
        fail(&store, &upstream, old, 5_600);
        assert_eq!(counts(&store), expected, "{step}: no verdict, no release");
        let own = (holding(10), false);
        assert!(maintain(&store, &upstream, own, &mut |_| false, at(5_700)).expired);
    }
}

#[test]
fn a_tick_takes_back_what_is_gone_and_the_vm_that_held_it_goes_on_under_its_next_number() {
    let store = Memory::default();
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    trip(&store, &upstream);
    admit(&store, &upstream, &request(0), at(5_100));
    let other = (LocalLease::none(OTHER), false);
    maintain(&store, &upstream, other, &mut |_| false, at(5_200));
    assert_eq!(counts(&store), (1, 0));
    let mut seen = Vec::new();
    let mut gone = |lease: &Lease| {
        seen.push(*lease);
        true
    };
    maintain(&store, &upstream, other, &mut gone, at(5_300));
    assert_eq!(counts(&store), (0, 0));
    assert!(seen.iter().all(|lease| lease.instance == INSTANCE));
    let stalled = Request {
        local_permits: holding(1),
        ..request(0)
    };
    let (decision, notes) = admit(&store, &upstream, &stalled, at(5_500));
    assert!(notes.expired, "it learns that it was given up");
    let probe = Some(next(INSTANCE));
    assert!(matches!(decision, Decision::Admit(Some(permit)) if permit.probe == probe));
}

#[test]
fn a_vm_that_is_not_listed_gets_no_permit_and_changes_nothing_before_it_is() {
    let store = Memory::default();
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    let ask = |may_hold, millis| {
        let request = Request {
            may_hold,
            ..request(0)
        };
        let (decision, notes) = admit(&store, &upstream, &request, at(millis));
        (decision, notes.needs_listing, notes.transitions.len())
    };
    let stands = || store.load(K.as_str()).unwrap().map(|found| found.bytes);
    assert!(!ask(MayHold::Unlisted, 0).1, "closed: there are no permits");
    trip(&store, &upstream);
    assert!(!ask(MayHold::Unlisted, 4_900).1, "open");
    let before = stands();
    assert!(ask(MayHold::Unlisted, 5_100).1);
    assert_eq!(stands(), before);
    let (refused, needs, transitions) = ask(MayHold::No, 5_100);
    assert!(matches!(
        refused,
        Decision::Refuse {
            reason: Reason::BreakerHalfOpen,
            ..
        }
    ));
    assert!(!needs && transitions == 1 && counts(&store) == (0, 0));
    assert!(matches!(ask(MayHold::Yes, 5_100).0, Decision::Admit(_)));
    assert!(ask(MayHold::Unlisted, 5_200).1, "half-open");
}

/// Each time of a record, and how to put another one there.
mod ahead;
mod forced;
