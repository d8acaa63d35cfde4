//! What clients and callers did, and other Seawalls said, is no evidence against the upstream.

use super::*;

/// Whoever ends it, and however it ends: a request that no connection took says nothing where the upstream takes others.
#[test]
fn a_request_that_waits_for_a_connection_that_others_hold_says_nothing() {
    let rules = Rules::default();
    let limits = [
        TimeLimits::default(),
        set(1_000, LimitSource::Policy),
        set(1_000, LimitSource::Route),
        set(1_000, LimitSource::Caller),
        set(1_000, LimitSource::Adaptive),
    ];
    for row in &ROWS {
        for limits in limits {
            let ended = |pool| {
                let request = RequestTiming {
                    limits,
                    pool,
                    ..after(15_000)
                };
                rules.judge_end(row.bit, &request)
            };
            let waits = ended(PoolWait::Waits);
            match row.class {
                Some(Class::Client | Class::Limit) => {
                    assert_eq!(waits, Ignored::Envoy.into(), "{} {limits:?}", row.name);
                    assert!(ended(PoolWait::None).outcome.counts(), "{}", row.name);
                }
                _ => assert_eq!(waits, ended(PoolWait::None), "{}", row.name),
            }
        }
    }
}

#[test]
fn latency_runs_from_the_connection_on_where_that_came_after_the_request() {
    for (left, now, expected) in [
        (12_000, 14_000, Outcome::Success),
        (11_999, 14_000, Outcome::Slow),
        (0, 2_001, Outcome::Slow),
    ] {
        let request = RequestTiming {
            pool: PoolWait::Left(at(left)),
            ..after(now)
        };
        assert_eq!(judge(200, None, &request), expected.into(), "{left} {now}");
    }
    let upload = RequestTiming {
        complete_at: Some(at(9_000)),
        pool: PoolWait::Left(at(1_000)),
        ..after(11_001)
    };
    assert_eq!(judge(200, None, &upload), Outcome::Slow.into());
}

/// A Seawall behind this one gives its refusal any status, by a static fallback.
#[test]
fn a_callers_deadline_that_is_enforced_behind_is_the_callers_and_load_there_is_load() {
    let brought = |millis, limits| RequestTiming {
        limits,
        ..after(millis)
    };
    let own = TimeLimits {
        set: None,
        caller: Some(Span::millis(21)),
    };
    let answered = |status, grpc, refused, request: &RequestTiming| {
        let answer = ResponseFacts {
            refused: Some(refused),
            ..facts(status, grpc)
        };
        Rules::default().judge(&answer, request)
    };
    for (status, grpc) in [
        (504, None),
        (503, None),
        (500, None),
        (200, Some(4)),
        (200, Some(14)),
    ] {
        for limits in [own, set(21, LimitSource::Caller)] {
            let judged = |millis| {
                let request = brought(millis, limits);
                answered(status, grpc, RefusedBehind::Deadline, &request)
            };
            assert_eq!(judged(1), Ignored::CallerLimit.into(), "{status} {grpc:?}");
            assert_eq!(judged(2_000), Outcome::Slow.into(), "{status} {grpc:?}");
        }
        for limits in [TimeLimits::default(), set(21, LimitSource::Policy)] {
            let request = brought(1, limits);
            let judged = answered(status, grpc, RefusedBehind::Deadline, &request);
            assert_eq!(judged, Outcome::Failure.into(), "{status} {grpc:?}");
        }
        let judged = answered(status, grpc, RefusedBehind::Load, &after(1));
        assert_eq!(judged, Outcome::Overloaded.into(), "{status} {grpc:?}");
    }
}

#[test]
fn an_error_for_a_request_that_its_client_left_unfinished_says_nothing() {
    let strict = Rules {
        overloaded_fails: true,
        ..Rules::default()
    };
    for (status, grpc) in [
        (500, None),
        (503, None),
        (504, None),
        (429, None),
        (200, Some(14)),
    ] {
        let judged = |complete: Option<u64>, millis| {
            let request = RequestTiming {
                complete_at: complete.map(at),
                ..after(millis)
            };
            strict.judge(&facts(status, grpc), &request)
        };
        let fails = judged(Some(0), 5);
        assert!(
            strict.verdict(fails.outcome) == Outcome::Failure,
            "{status}"
        );
        for (complete, millis, expected) in [
            (None, 1_000, fails),
            (None, 1_001, Ignored::Unfinished.into()),
            (None, 60_000, Ignored::Unfinished.into()),
            (Some(900), 1_001, fails),
            (Some(59_000), 60_000, fails),
        ] {
            let judged = judged(complete, millis);
            assert_eq!(judged, expected, "{status} {complete:?} {millis}");
        }
    }
    let unfinished = RequestTiming {
        complete_at: None,
        ..after(60_000)
    };
    assert_eq!(judge(200, None, &unfinished), Outcome::Success.into());
    assert_eq!(judge(404, None, &unfinished), Outcome::Success.into());
    assert_eq!(judge(429, None, &unfinished), Outcome::Overloaded.into());
}

#[test]
fn a_response_that_is_not_grpc_says_nothing_unless_its_http_status_does() {
    for (status, expected) in [
        (200, Ignored::NotGrpc.into()),
        (503, Outcome::Failure.into()),
        (429, Outcome::Overloaded.into()),
    ] {
        let answer = ResponseFacts {
            not_grpc: true,
            ..facts(status, None)
        };
        let judged = Rules::default().judge(&answer, &after(5));
        assert_eq!(judged, expected, "{status}");
    }
}
