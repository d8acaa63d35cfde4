//! Whose turn it is, over workers that ask at their ticks, and what an answer does.

use proptest::prelude::*;

use super::*;
use crate::breaker::{Asker, Cause, Mode, OpenTime, Phase, Verdict};
use crate::outcome::Outcome;
use crate::policy::Policy;
use crate::ratio::Share;
use crate::shared::record::Record;
use crate::shared::state::Key;
use crate::shared::store::SharedStore;
use crate::shared::store::tests::Memory;
use crate::time::Span;

/// A request that is complete, of nobody in particular.
const WHOLE: Asker = Asker {
    peer: 0,
    complete: true,
};
static KEY: Key<Record> = Key::test("seawall/v1/p/c");

fn settings() -> HealthCheck {
    HealthCheck {
        path: "/healthz".to_owned(),
        host: None,
        every: Span::secs(2),
        timeout: Span::secs(1),
    }
}

fn policy(open: Span) -> Policy {
    let mut policy = Policy {
        name: "p".to_owned(),
        probe: Some(settings()),
        ..Policy::default()
    };
    policy.breaker.mode = Mode::Enforce(Share::ALL);
    policy.breaker.thresholds.consecutive = 1;
    policy.breaker.host_grace = Span::ZERO;
    policy.breaker.open = OpenTime {
        base: open,
        cap: open,
        jitter: Share::NONE,
    };
    policy
}

fn upstream(policy: &Policy) -> GovernedUpstream<'_> {
    GovernedUpstream {
        dead: &[],
        policy,
        key: Some(&KEY),
        standing: &const { crate::shared::configurations::Standing::since(Timestamp::nanos(1)) },
    }
}

fn at(millis: u64) -> Moment {
    Moment {
        now: Timestamp::nanos(1_000_000_000).after(Span::millis(millis)),
        draw: 0,
    }
}

/// Lets one request in and fail; opens a closed breaker, and a half-open one that allows one probe.
fn fail(store: &Memory, upstream: &GovernedUpstream<'_>, millis: u64) {
    use crate::breaker::Admission;
    let settings = &upstream.policy.breaker;
    update_record(store, upstream, at(millis), &mut |record| {
        let (admission, mut made) = record.breaker.admit(settings, at(millis), 1, 0, WHOLE);
        let Admission::Admitted(permit) = admission else {
            panic!("{admission:?}");
        };
        let verdict = Verdict {
            outcome: Outcome::Failure,
            host: 0,
            retry_after: None,
            peer: 0,
            silent: false,
        };
        let settled = record.breaker.settle(settings, at(millis), permit, verdict);
        made.extend(settled.made);
        (made, Change::Store)
    });
}

fn asks(
    store: &Memory,
    upstream: &GovernedUpstream<'_>,
    instance: u64,
    millis: u64,
) -> Option<u64> {
    claim(store, upstream, &settings(), instance, at(millis))
}

/// When anybody probed, as these workers ask at their ticks, each a little later than the one before.
fn turns(
    store: &Memory,
    upstream: &GovernedUpstream<'_>,
    workers: &[u64],
    from: u64,
    to: u64,
) -> Vec<u64> {
    let mut turns = Vec::new();
    for tick in (from..to).step_by(500) {
        for (number, worker) in workers.iter().enumerate() {
            let now = tick + 7 * number as u64;
            turns.extend(asks(store, upstream, *worker, now).map(|_| now));
        }
    }
    turns
}

#[test]
fn one_worker_at_a_time_has_its_turn_and_the_first_comes_after_the_trip() {
    let (store, policy) = (Memory::default(), policy(Span::secs(60)));
    let upstream = upstream(&policy);
    assert_eq!(
        turns(&store, &upstream, &[1, 2, 3], 0, 5_000),
        [0_u64; 0],
        "closed"
    );
    fail(&store, &upstream, 5_000);
    let made = turns(&store, &upstream, &[1, 2, 3], 5_000, 14_000);
    assert_eq!(made, [7_000, 9_000, 11_000, 13_000]);
}

#[test]
fn the_turn_of_a_worker_that_died_lapses() {
    let (store, policy) = (Memory::default(), policy(Span::secs(60)));
    let upstream = upstream(&policy);
    fail(&store, &upstream, 0);
    assert_eq!(turns(&store, &upstream, &[1, 2], 0, 3_000), [2_000]);
    // The first is gone with its probe; the other one asks on.
    assert_eq!(turns(&store, &upstream, &[2], 3_000, 7_000), [4_000, 6_000]);
}

#[test]
fn a_probe_that_takes_long_is_waited_for() {
    let (store, policy) = (Memory::default(), policy(Span::secs(60)));
    let upstream = upstream(&policy);
    let patient = HealthCheck {
        timeout: Span::secs(5),
        ..settings()
    };
    fail(&store, &upstream, 0);
    let asks = |millis| claim(&store, &upstream, &patient, 1, at(millis)).is_some();
    assert!(!asks(0) && asks(2_000) && !asks(6_999) && asks(7_000));
}

#[test]
fn after_further_trips_in_a_row_the_first_probe_comes_later() {
    let (store, mut policy) = (Memory::default(), policy(Span::secs(60)));
    policy.breaker.half_open.permits = 1;
    let upstream = upstream(&policy);
    let mut now = 0;
    for (round, expected) in [2_000, 4_000, 8_000].into_iter().enumerate() {
        fail(&store, &upstream, now);
        let made = turns(&store, &upstream, &[1, 2], now, now + expected + 1_000);
        assert_eq!(made, [now + expected]);
        now += expected + 1_000;
        let notes = settle(&store, &upstream, 2 * round as u64 + 1, true, at(now));
        assert_eq!(notes.phase, Some(Phase::HalfOpen));
        assert_eq!(turns(&store, &upstream, &[1], now, now + 5_000), [0_u64; 0]);
    }
}

#[test]
fn a_good_answer_makes_half_open_and_one_that_comes_late_makes_nothing() {
    let (store, policy) = (Memory::default(), policy(Span::secs(5)));
    let upstream = upstream(&policy);
    fail(&store, &upstream, 0);
    asks(&store, &upstream, 1, 0);
    let generation = asks(&store, &upstream, 1, 2_000).expect("a turn");
    let notes = settle(&store, &upstream, generation, true, at(2_100));
    let made: Vec<_> = notes
        .transitions
        .iter()
        .map(|made| (made.to, made.at, made.cause))
        .collect();
    assert_eq!(made, [(Phase::HalfOpen, at(2_100).now, Cause::OwnProbe)]);
    let late = settle(&store, &upstream, generation, true, at(2_200));
    assert_eq!(
        (late.transitions.len(), late.phase),
        (0, Some(Phase::HalfOpen))
    );
}

#[test]
fn without_a_good_answer_the_open_time_leads_to_half_open() {
    let (store, policy) = (Memory::default(), policy(Span::secs(5)));
    let upstream = upstream(&policy);
    fail(&store, &upstream, 0);
    assert_eq!(turns(&store, &upstream, &[1, 2], 0, 20_000), [2_000, 4_000]);
    let notes = settle(&store, &upstream, 1, true, at(5_100));
    let causes: Vec<_> = notes.transitions.iter().map(|made| made.cause).collect();
    assert_eq!(
        causes,
        [Cause::TimeOver],
        "an answer after that time is late"
    );
}

#[test]
fn nobody_probes_where_shared_data_does_not_answer() {
    let (store, policy) = (Memory::default(), policy(Span::secs(60)));
    let upstream = upstream(&policy);
    fail(&store, &upstream, 0);
    asks(&store, &upstream, 1, 0);
    store.read_only(true);
    assert_eq!(asks(&store, &upstream, 1, 2_000), None);
    store.read_only(false);
    store.refuse(true);
    assert_eq!(asks(&store, &upstream, 1, 2_000), None);
    assert!(!settle(&store, &upstream, 1, true, at(2_000)).is_committed());
    store.refuse(false);
    assert!(asks(&store, &upstream, 1, 2_000).is_some());
}

#[test]
fn the_host_is_the_one_that_is_said_or_asked_for_or_named() {
    let said = HealthCheck {
        host: Some("health.shop".to_owned()),
        ..settings()
    };
    assert_eq!(said.host("payments", Some("shop")), "health.shop");
    assert_eq!(settings().host("payments", Some("shop")), "shop");
    assert_eq!(settings().host("payments", None), "payments");
    assert_eq!(
        settings().host("outbound|443||payments.shop.svc", Some("")),
        "payments.shop.svc"
    );
}

#[test]
fn redirects_are_good_and_errors_are_not() {
    let good: Vec<u16> = (0..=999).filter(|status| is_good(*status)).collect();
    assert_eq!(
        (good.first(), good.last(), good.len()),
        (Some(&200), Some(&399), 200)
    );
}

proptest! {
    #[test]
    fn whatever_stands_there_a_turn_comes_and_only_one(
        rubbish in prop::collection::vec(any::<u8>(), 0..60),
        workers in 1_u64..5,
    ) {
        let (store, policy) = (Memory::default(), policy(Span::secs(60)));
        let upstream = upstream(&policy);
        fail(&store, &upstream, 0);
        store.swap(keys::probe(&KEY).as_str(), &rubbish, 0).unwrap();
        let all: Vec<u64> = (1..=workers).collect();
        prop_assert_eq!(turns(&store, &upstream, &all, 0, 5_000), [2_000, 4_000]);
    }
}
