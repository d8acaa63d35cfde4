mod evidence;

use super::blame::{AfterHeaders, Class, ROWS, Side};
use super::end::{Afterwards, Judgement, RequestTiming, TimeLimits};
use super::pool::PoolWait;
use super::*;
use crate::deadline::LimitSource;
use crate::time::{Span, Timestamp};

fn at(millis: u64) -> Timestamp {
    Timestamp::nanos(millis * 1_000_000)
}

/// A complete request without limits, looked at after so many milliseconds.
fn after(millis: u64) -> RequestTiming {
    RequestTiming {
        exempt: false,
        sent: true,
        admitted_at: at(0),
        complete_at: Some(at(0)),
        pool: PoolWait::None,
        limits: TimeLimits::default(),
        slow_over: Some(Span::secs(2)),
        now: at(millis),
    }
}

fn set(millis: u64, owner: LimitSource) -> TimeLimits {
    TimeLimits {
        set: Some((Span::millis(millis), owner)),
        caller: None,
    }
}

fn judge(status: u16, grpc: Option<u16>, request: &RequestTiming) -> Judgement {
    Rules::default().judge(&facts(status, grpc), request)
}

fn facts(status: u16, grpc: Option<u16>) -> ResponseFacts {
    ResponseFacts {
        status,
        grpc,
        not_grpc: false,
        origin: ResponseSource::Upstream,
        refused: None,
    }
}

#[test]
fn what_the_upstream_answers_is_judged_by_status() {
    for (status, grpc, expected) in [
        (200, None, Outcome::Success),
        (404, None, Outcome::Success),
        (501, None, Outcome::Success),
        (500, None, Outcome::Failure),
        (503, None, Outcome::Failure),
        (429, None, Outcome::Overloaded),
        (200, Some(0), Outcome::Success),
        (200, Some(5), Outcome::Success),
        (200, Some(14), Outcome::Failure),
        (200, Some(8), Outcome::Overloaded),
        (0, None, Outcome::Success),
    ] {
        let judged = judge(status, grpc, &after(5));
        assert_eq!(judged, expected.into(), "{status} {grpc:?}");
    }
}

/// The statuses of Envoy's own answers that have a row, as Envoy 1.40 gives them; and none of the upstream's usual ones.
#[test]
fn whatever_envoy_may_have_answered_itself_is_looked_at() {
    let rules = Rules::default();
    for status in [0, 400, 403, 404, 408, 413, 429, 500, 502, 503, 504] {
        assert!(rules.is_suspect(status, None), "{status}");
    }
    for status in [101, 200, 204, 301, 304] {
        assert!(!rules.is_suspect(status, None), "{status}");
    }
    for grpc in 1..=16 {
        assert!(rules.is_suspect(200, Some(grpc)), "{grpc}");
    }
    assert!(!rules.is_suspect(200, Some(0)));
}

/// The limit that follows latency is passed on too: what keeps to it has not failed, whether the caller has a limit or not.
#[test]
fn a_limit_that_follows_latency_is_no_failure_where_the_upstream_keeps_to_it() {
    for caller in [None, Some(Span::secs(30))] {
        let judged = |status, grpc, elapsed| {
            let request = RequestTiming {
                limits: TimeLimits {
                    caller,
                    ..set(1_000, LimitSource::Adaptive)
                },
                ..after(elapsed)
            };
            judge(status, grpc, &request)
        };
        for (status, grpc) in [(200, Some(4)), (504, None)] {
            assert_eq!(judged(status, grpc, 990), Ignored::Ours.into());
            assert_eq!(judged(status, grpc, 100), Outcome::Failure.into());
        }
    }
}

/// A caller that is patient does not hide a service whose own deadlines pass.
#[test]
fn status_4_is_the_callers_limit_only_when_that_limit_is_near() {
    for brought in [1_000, 2_000, 30_000] {
        let judged = |elapsed: u64| {
            let request = RequestTiming {
                limits: TimeLimits {
                    set: None,
                    caller: Some(Span::millis(brought)),
                },
                ..after(elapsed)
            };
            let at_headers = judge(200, Some(4), &request);
            let in_trailers = Rules::default().judge_trailers(4, &request);
            assert_eq!(in_trailers, Some(at_headers));
            at_headers
        };
        for share in [1, 50, 74] {
            let failed = Outcome::Failure.into();
            assert_eq!(judged(brought * share / 100), failed, "{brought} {share}");
        }
        for share in [75, 95, 100, 120] {
            let outcome = judged(brought * share / 100).outcome;
            assert_ne!(outcome, Outcome::Failure, "{brought} {share}");
        }
    }
}

/// What each row says of a complete and of an unfinished request, before headers, soon and after a long silence.
#[test]
fn each_flag_blames_its_side_before_the_headers() {
    let rules = Rules::default();
    for row in &ROWS {
        let ended = |complete: bool, millis| {
            let request = RequestTiming {
                complete_at: complete.then_some(at(0)),
                ..after(millis)
            };
            rules.judge_end(row.bit, &request)
        };
        let silent = |why: Ignored| [why.into(), Outcome::Slow.into(), Ignored::Unfinished.into()];
        let (soon_late_unfinished, side) = match row.class {
            Some(Class::Client) => (silent(Ignored::ClientGone), Side::Client),
            Some(Class::Envoy) => ([Ignored::Envoy.into(); 3], row.side),
            Some(Class::OtherFilter) => ([Ignored::OtherFilter.into(); 3], Side::OtherFilter),
            None => ([Ignored::OtherFilter.into(); 3], row.side),
            Some(Class::Connect) => ([Outcome::Failure.into(); 3], Side::Path),
            Some(Class::Limit | Class::Broken) => {
                let failed = Outcome::Failure.into();
                ([failed, failed, Ignored::Unfinished.into()], Side::Upstream)
            }
        };
        assert_eq!(row.side, side, "{}", row.name);
        let judged = [ended(true, 5), ended(true, 2_000), ended(false, 9_000)];
        assert_eq!(judged, soon_late_unfinished, "{}", row.name);
    }
}

#[test]
fn each_flag_blames_its_side_after_the_headers() {
    let rules = Rules::default();
    for row in &ROWS {
        let ended = |flowing| rules.judge_afterwards(row.bit, false, flowing, &after(20_000));
        let expected = match row.after {
            AfterHeaders::Stalled => [Afterwards::AskOthers { limit: true }; 2],
            AfterHeaders::Idle => [Afterwards::AskOthers { limit: false }; 2],
            AfterHeaders::Cut => [Afterwards::Failed, Afterwards::AskOthers { limit: false }],
            AfterHeaders::Stands => [Afterwards::Stands(None); 2],
        };
        assert_eq!([ended(true), ended(false)], expected, "{}", row.name);
        let tunnel = rules.judge_afterwards(row.bit, true, true, &after(20_000));
        let expected = row.class.map(|_| Ignored::TunnelEnd);
        assert_eq!(tunnel, Afterwards::Stands(expected), "{}", row.name);
    }
}

#[test]
fn no_client_opens_the_breaker_by_leaving_and_no_silence_is_lost_when_it_does() {
    let rules = Rules::default();
    for row in ROWS.iter().filter(|row| row.side == Side::Client) {
        for other in &ROWS {
            for (millis, expected) in [
                (1_999, Ignored::ClientGone.into()),
                (2_000, Outcome::Slow.into()),
            ] {
                let judged = rules.judge_end(row.bit | other.bit, &after(millis));
                assert_eq!(judged, expected, "{} {}", row.name, other.name);
            }
            let exempt = RequestTiming {
                exempt: true,
                ..after(60_000)
            };
            let judged = rules.judge_end(row.bit | other.bit, &exempt);
            assert_eq!(judged, Ignored::ClientGone.into());
        }
    }
}

#[test]
fn a_limit_is_a_failure_only_if_the_operator_set_it() {
    let rules = Rules::default();
    let timeout = flag::UPSTREAM_TIMEOUT;
    let caller = |millis| TimeLimits {
        set: None,
        caller: Some(Span::millis(millis)),
    };
    let both = |own: u64, brought: u64| TimeLimits {
        caller: Some(Span::millis(brought)),
        ..set(own, LimitSource::Policy)
    };
    let (failure, slow) = (Outcome::Failure.into(), Outcome::Slow.into());
    for (what, limits, millis, expected) in [
        ("the route's own", TimeLimits::default(), 500, failure),
        ("the policy's", set(500, LimitSource::Policy), 500, failure),
        (
            "set for the caller",
            set(500, LimitSource::Caller),
            500,
            Ignored::CallerLimit.into(),
        ),
        (
            "set for the caller, long",
            set(3_000, LimitSource::Caller),
            3_000,
            slow,
        ),
        (
            "enforced by Envoy",
            caller(500),
            500,
            Ignored::CallerLimit.into(),
        ),
        ("enforced by Envoy, long", caller(3_000), 3_000, slow),
        (
            "the route's, below the caller's",
            caller(10_000),
            3_000,
            failure,
        ),
        (
            "the policy's, below the caller's",
            both(500, 600),
            600,
            failure,
        ),
        (
            "the caller's, below the policy's",
            both(5_000, 600),
            600,
            Ignored::CallerLimit.into(),
        ),
        (
            "adaptive",
            set(500, LimitSource::Adaptive),
            500,
            Ignored::Ours.into(),
        ),
        (
            "adaptive, long",
            set(2_500, LimitSource::Adaptive),
            2_500,
            slow,
        ),
    ] {
        let request = RequestTiming {
            limits,
            ..after(millis)
        };
        assert_eq!(rules.judge_end(timeout, &request), expected, "{what}");
        let unfinished = RequestTiming {
            complete_at: None,
            ..request
        };
        let judged = rules.judge_end(timeout, &unfinished);
        assert_eq!(judged, Ignored::Unfinished.into(), "{what}");
    }
    let brought = RequestTiming {
        limits: caller(15_000),
        ..after(15_000)
    };
    assert_eq!(
        rules.judge_afterwards(timeout, false, false, &brought),
        Afterwards::Stands(Some(Ignored::CallerLimit))
    );
}

#[test]
fn a_deadline_of_the_caller_is_no_failure_when_the_upstream_keeps_it() {
    let brought = |millis| RequestTiming {
        limits: TimeLimits {
            set: None,
            caller: Some(Span::millis(1_000)),
        },
        ..after(millis)
    };
    assert_eq!(
        judge(200, Some(4), &brought(900)),
        Ignored::CallerLimit.into()
    );
    assert_eq!(judge(504, None, &brought(900)), Ignored::CallerLimit.into());
    assert_eq!(judge(504, None, &brought(100)), Outcome::Failure.into());
    assert_eq!(judge(200, Some(4), &after(900)), Outcome::Failure.into());
    assert_eq!(judge(200, Some(14), &brought(900)), Outcome::Failure.into());
    let late = |request| Rules::default().judge_trailers(4, &request);
    assert_eq!(late(brought(900)), Some(Ignored::CallerLimit.into()));
    assert_eq!(late(brought(2_500)), Some(Outcome::Slow.into()));
    assert_eq!(late(after(900)), Some(Outcome::Failure.into()));
}

#[test]
fn slow_is_later_than_the_bound_from_the_end_of_the_request_on_and_never_a_failure_or_a_stream() {
    assert_eq!(judge(200, None, &after(2_000)), Outcome::Success.into());
    assert_eq!(judge(200, None, &after(2_001)), Outcome::Slow.into());
    assert_eq!(judge(503, None, &after(2_001)), Outcome::Failure.into());
    let exempt = RequestTiming {
        exempt: true,
        ..after(60_000)
    };
    assert_eq!(judge(200, None, &exempt), Outcome::Success.into());
    let upload = |complete| RequestTiming {
        complete_at: complete,
        ..after(60_000)
    };
    assert_eq!(judge(200, None, &upload(None)), Outcome::Success.into());
    assert_eq!(
        judge(200, None, &upload(Some(at(58_000)))),
        Outcome::Success.into()
    );
    assert_eq!(
        judge(200, None, &upload(Some(at(57_999)))),
        Outcome::Slow.into()
    );
}

#[test]
fn silence_says_nothing_where_slow_calls_are_off_or_another_filter_held_the_request() {
    let off = RequestTiming {
        slow_over: None,
        ..after(60_000)
    };
    assert_eq!(judge(200, None, &off), Outcome::Success.into());
    let unsent = RequestTiming {
        sent: false,
        ..after(60_000)
    };
    for request in [off, unsent] {
        let gone = Rules::default().judge_end(0x4000, &request);
        assert_eq!(gone, Ignored::ClientGone.into());
    }
}

#[test]
fn flags_that_the_policy_does_not_name_are_no_failures() {
    let rules = Rules {
        failure_flags: flag::UPSTREAM_CONNECT,
        ..Rules::default()
    };
    let judged = |flags| rules.judge_end(flags, &after(5)).outcome;
    assert_eq!(judged(flag::UPSTREAM_CONNECT), Outcome::Failure);
    assert_eq!(judged(flag::UPSTREAM_TERMINATION), Outcome::Ignored);
    assert_eq!(judged(flag::UPSTREAM_TIMEOUT), Outcome::Ignored);
}

#[test]
fn a_limit_that_ends_a_stream_or_a_long_poll_says_nothing() {
    let rules = Rules::default();
    for row in ROWS.iter().filter(|row| row.class == Some(Class::Limit)) {
        let waits = after(15_000);
        let exempt = RequestTiming {
            exempt: true,
            ..waits
        };
        assert_eq!(
            rules.judge_end(row.bit, &exempt),
            Ignored::TunnelEnd.into(),
            "{}",
            row.name
        );
        assert_eq!(
            rules.judge_afterwards(row.bit, false, false, &exempt),
            Afterwards::Stands(Some(Ignored::TunnelEnd)),
            "{}",
            row.name
        );
        assert_eq!(rules.judge_end(row.bit, &waits), Outcome::Failure.into());
    }
}
