//! What is asked of whom, in which mode, and what an undecidable state means.

use super::*;
use crate::breaker::Settings;
use crate::outcome::Outcome;
use crate::share::Share;
use crate::store::tests::Memory;

const INSTANCE: u64 = 7;
const SPARE: u64 = 8;
/// The beats of the second generation follow this one.
const FIRST: u32 = 2 << 16;

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

fn upstream(policy: &Policy) -> Upstream<'_> {
    Upstream {
        policy,
        key: Some("k"),
        configured_at: Timestamp::nanos(1),
    }
}

fn request(draw: u32) -> Request {
    Request {
        inbound: false,
        deposits: 0,
        draw,
        holding: holding(0),
        spare: SPARE,
    }
}

/// What this VM believes to hold of the first half-open generation.
fn holding(permits: u32) -> Holding {
    Holding {
        instance: INSTANCE,
        generation: 2,
        permits,
    }
}

fn holder(beat: u32) -> Sign {
    Sign {
        instance: INSTANCE,
        beat,
    }
}

fn at(millis: u64) -> Moment {
    Moment {
        now: Timestamp::ZERO.after(Span::millis(millis)),
        draw: 0,
    }
}

fn fail(store: &Memory, upstream: &Upstream<'_>, permit: Permit, millis: u64) -> Notes {
    let verdict = Verdict {
        outcome: Outcome::Failure,
        host: 0,
        retry_after: None,
    };
    settle(
        store,
        upstream,
        permit,
        Settlement::Verdict(verdict),
        at(millis),
    )
}

/// Trips the breaker by failures in a row.
fn trip(store: &Memory, upstream: &Upstream<'_>) {
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
    assert_eq!(store.load("k"), Ok(None), "nothing was worth storing yet");

    trip(&store, &upstream);
    let before = store.load("k");
    let old = Permit {
        generation: 0,
        probe: None,
    };
    assert!(fail(&store, &upstream, old, 9).stands());
    assert_eq!(store.load("k"), before);
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
    assert!(notes.undecided.is_some() && !notes.stands());
    store.refuse(false);

    store.read_only(true);
    let (decision, notes) = admit(&store, &upstream, &request(0), later);
    assert!(matches!(decision, Decision::Refuse { .. }), "it was read");
    assert!(notes.undecided.is_some());
    store.read_only(false);

    store.intrude(crate::store::TRIES);
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

#[test]
fn a_holder_that_shows_no_life_loses_its_permits_to_others() {
    let store = Memory::default();
    let mut policy = policy(Mode::Enforce(Share::ALL));
    policy.breaker.half_open.permits = 10;
    let upstream = upstream(&policy);
    trip(&store, &upstream);
    for _ in 0..policy.breaker.half_open.permits {
        admit(&store, &upstream, &request(0), at(5_100));
    }
    let tend =
        |held, dead: &[Sign], millis| tend(&store, &upstream, holding(held), dead, at(millis));
    assert_eq!(tend(10, &[], 5_200).1, vec![holder(FIRST + 11)]);
    let (_, holders) = tend(0, &[holder(FIRST + 10)], 5_300);
    assert_eq!(holders, vec![holder(FIRST + 11)], "it showed life since");
    assert!(tend(0, &[holder(FIRST + 11)], 5_400).1.is_empty());

    let stalled = Request {
        holding: holding(10),
        ..request(0)
    };
    let (decision, notes) = admit(&store, &upstream, &stalled, at(5_500));
    assert!(notes.expired, "it learns that it was given up");
    let probe = Some(SPARE);
    assert!(matches!(decision, Decision::Admit(Some(permit)) if permit.probe == probe));
    let old = Permit {
        generation: 2,
        probe: Some(INSTANCE),
    };
    let before = store.load("k").unwrap().map(|found| found.bytes);
    fail(&store, &upstream, old, 5_600);
    let after = store.load("k").unwrap().map(|found| found.bytes);
    assert_eq!(
        Record::decode(&before.unwrap()).unwrap().breaker.state,
        Record::decode(&after.unwrap()).unwrap().breaker.state
    );
    assert!(tend(10, &[], 5_700).0.expired);
}
