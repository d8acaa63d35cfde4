//! Times that lie ahead: damage where they lie too far, and none where the worker stood still.

use super::*;
use crate::breaker::{FORCED_FOR_MAX, Forced};
use crate::shared::store::{Found, HostError};

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
            probing.holders.take(1, 1, 1);
            probing.wait_from = Some(at);
            record.breaker.state = State::HalfOpen(Box::new(probing));
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
            store.swap(K.as_str(), &record.encode(), 0).unwrap();
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

/// What a worker sees that stood still between its clock and the record: shared data, and a clock that is later.
struct StoodStill<'a> {
    store: &'a Memory,
    wakes: Timestamp,
}

impl SharedStore for StoodStill<'_> {
    fn clock(&self, _begun: Timestamp) -> Timestamp {
        self.wakes
    }

    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        self.store.load(key)
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        self.store.swap(key, bytes, cas)
    }
}

#[test]
fn what_others_wrote_while_a_worker_stood_still_is_no_damage() {
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    let begun = at(100_000);
    let ahead = Span::secs(2 * 2 * 60);
    for (name, put) in times() {
        for (stood_still, damaged) in [(Span::secs(10), false), (Span::secs(1), true)] {
            let store = Memory::default();
            let mut record = Record::new(upstream.claim());
            put(&mut record, begun.now.after(ahead.plus(Span::secs(4))));
            store.swap(K.as_str(), &record.encode(), 0).unwrap();
            let woken = StoodStill {
                store: &store,
                wakes: begun.now.after(stood_still),
            };
            let (_, notes) = admit(&woken, &upstream, &request(0), begun);
            assert_eq!(notes.repaired, damaged, "{name} after {stood_still:?}");
        }
    }
}

#[test]
fn an_upstream_that_was_forced_for_as_long_as_may_be_is_forced_for_those_who_began_before() {
    let policy = policy(Mode::Enforce(Share::ALL));
    let upstream = upstream(&policy);
    let forced = at(100_000).now;
    let store = Memory::default();
    let mut record = Record::new(upstream.claim());
    let force = Forced::new(Force::Open, FORCED_FOR_MAX, "ops", forced);
    record.forced = Some(Box::new(force));
    store.swap(K.as_str(), &record.encode(), 0).unwrap();
    let began_before = StoodStill {
        store: &store,
        wakes: forced,
    };
    let (decision, notes) = admit(&began_before, &upstream, &request(0), at(99_999));
    assert!(!notes.repaired);
    assert!(!matches!(decision, Decision::Admit(_)), "{decision:?}");
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
    store.swap(K.as_str(), &record.encode(), 0).unwrap();
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
