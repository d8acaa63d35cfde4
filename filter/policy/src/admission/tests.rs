//! What is asked of whom, in which mode, and what an undecidable state means.

use super::*;
use crate::breaker::Phase;
use crate::breaker::Settings;
use crate::outcome::Outcome;
use crate::policy::Policy;
use crate::ratio::Share;
use crate::shared::state::Key;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;
use crate::time::Timestamp;

static K: Key<Record> = Key::test("k");
const INSTANCE: u64 = 7;
const SPARE: u64 = 8;
/// A request that is complete, of nobody in particular.
const WHOLE: Asker = Asker {
    peer: 0,
    complete: true,
};
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

fn upstream(policy: &Policy) -> GovernedUpstream<'_> {
    GovernedUpstream {
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
        next_instance: SPARE,
    }
}

/// What this VM believes to hold of the first half-open generation.
fn holding(permits: u32) -> LocalPermits {
    LocalPermits {
        instance: INSTANCE,
        generation: 2,
        permits,
    }
}

fn holder(beat: u32) -> Liveness {
    Liveness {
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
    let found = store.load("k").unwrap().expect("a record");
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
    assert_eq!(store.load("k"), Ok(None), "nothing was worth storing yet");

    trip(&store, &upstream);
    let before = store.load("k");
    let old = Permit {
        generation: 0,
        probe: None,
    };
    assert!(fail(&store, &upstream, old, 9).is_committed());
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
    let tend = |held, dead: &[Liveness], millis| {
        maintain(&store, &upstream, holding(held), dead, at(millis))
    };
    assert_eq!(tend(10, &[], 5_200).1, vec![holder(FIRST + 11)]);
    let (_, holders) = tend(0, &[holder(FIRST + 10)], 5_300);
    assert_eq!(holders, vec![holder(FIRST + 11)], "it showed life since");
    assert!(tend(0, &[holder(FIRST + 11)], 5_400).1.is_empty());

    let stalled = Request {
        local_permits: holding(10),
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
    let counts = || {
        let found = store.load("k").unwrap().expect("a record");
        match Record::decode(&found.bytes).expect("whole").breaker.state {
            State::HalfOpen(probing) => (probing.holders.in_flight(), probing.verdicts.calls),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(counts(), (1, 0));
    fail(&store, &upstream, old, 5_600);
    assert_eq!(counts(), (1, 0), "it gives no verdict and releases nothing");
    assert!(tend(10, &[], 5_700).0.expired);
}

/// Each time of a record, and how to put another one there.
/// Which time, and how it is set.
type Setter = (&'static str, fn(&mut Record, Timestamp));

fn times() -> Vec<Setter> {
    fn closed(record: &mut Record) -> &mut crate::breaker::Closed {
        match &mut record.breaker.state {
            State::Closed(closed) => closed,
            other => panic!("{other:?}"),
        }
    }
    vec![
        ("configured_at", |record, at| record.configured_at = at),
        ("last", |record, at| record.breaker.last = at),
        ("until", |record, at| {
            record.breaker.state = State::Open { until: at };
        }),
        ("wait_from", |record, at| {
            let mut probing = crate::breaker::Probing::default();
            probing.holders.acquire(1, 1);
            probing.wait_from = Some(at);
            record.breaker.state = State::HalfOpen(probing);
        }),
        ("last_failure", |record, at| {
            closed(record).last_failure = at
        }),
        ("ramp_from", |record, at| {
            closed(record).ramp_from = Some(at)
        }),
        ("grace_from", |record, at| {
            closed(record).grace_from = Some(at)
        }),
        ("newest", |record, at| {
            let number = record.breaker.geometry.slice_at(at);
            if let crate::breaker::window::Window::Time(window) = &mut closed(record).window {
                window.newest = number;
            }
        }),
        ("floor_at", |record, at| {
            let budget = record
                .budget
                .get_or_insert(crate::retry_budget::Budget::new(Span::secs(1)));
            budget.floor_at = at;
        }),
        ("bucket", |record, at| {
            let budget = record
                .budget
                .get_or_insert(crate::retry_budget::Budget::new(Span::secs(1)));
            budget.newest = at.as_nanos() / Span::secs(1).as_nanos();
        }),
    ]
}

#[test]
fn a_time_too_far_ahead_is_damage_wherever_it_stands() {
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    let now = at(100_000);
    // Twice the longest open time, with jitter.
    let ahead = Span::secs(2 * 2 * 60);
    for (name, put) in times() {
        for (at, damaged) in [
            (now.now.after(ahead.plus(Span::secs(2))), true),
            (Timestamp::nanos(u64::MAX), true),
            (now.now.after(ahead), false),
            (now.now, false),
        ] {
            let store = Memory::default();
            let mut record = Record::new(upstream.claim());
            put(&mut record, at);
            store.swap("k", &record.encode(), 0).unwrap();
            let (decision, notes) = admit(&store, &upstream, &request(0), now);
            assert_eq!(notes.repaired, damaged, "{name} at {at:?}");
            if damaged {
                assert!(
                    matches!(decision, Decision::Admit(Some(_))),
                    "{name}: {decision:?}"
                );
                assert_eq!(store_phase(&store), Phase::Closed);
            }
        }
    }
}

/// Somebody who writes an absurd time again and again is answered with a fresh record each time; once it stops, all is well.
#[test]
fn an_open_time_without_end_ends() {
    let (store, policy) = (Memory::default(), policy(Mode::Enforce(Share::ALL)));
    let upstream = upstream(&policy);
    let mut record = Record::new(upstream.claim());
    let now = at(100_000);
    record.breaker.state = State::Open {
        until: now.now.after(Span::secs(240)),
    };
    store.swap("k", &record.encode(), 0).unwrap();
    let admitted = |millis| {
        matches!(
            admit(&store, &upstream, &request(0), at(millis)).0,
            Decision::Admit(Some(_))
        )
    };
    assert!(!admitted(339_000));
    assert!(
        admitted(340_000),
        "a time within the bound is over when it is"
    );
}
