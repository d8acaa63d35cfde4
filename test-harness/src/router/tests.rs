//! The router by table: what Envoy reads, what it tries again, what it answers.

use super::*;
use crate::abi::stream::{HeaderMap, headers, value};
use crate::random::{Seed, chance};

const MILLI: u64 = 1_000_000;

fn orders(route: &Route, pairs: &[(&str, &str)]) -> (Orders, HeaderMap) {
    let mut request = headers(pairs);
    (Orders::take(route, &mut request), request)
}

fn machine(route: &Route, pairs: &[(&str, &str)]) -> Machine {
    let mut machine = Machine::new(orders(route, pairs).0, Seed::of(1, "test"));
    assert_eq!(machine.start(), [Step::Send(1)]);
    machine
}

fn no_back_off(on: RetryOn, retries: u32) -> Route {
    Route {
        back_off: None,
        ..Route::retrying(on, retries)
    }
}

fn status(code: u16) -> HeaderMap {
    headers(&[(":status", &code.to_string())])
}

#[track_caller]
fn answer(steps: &[Step]) -> (u16, u64, &str) {
    match steps.last() {
        Some(Step::Answer(answer)) => (answer.status, answer.flags, &answer.details),
        other => panic!("no answer but {other:?}"),
    }
}

#[test]
fn control_headers_are_read_and_removed() {
    let (orders, left) = orders(
        &Route::default(),
        &[
            (":path", "/"),
            ("x-envoy-upstream-rq-timeout-ms", "900"),
            ("x-envoy-upstream-rq-per-try-timeout-ms", "300"),
            ("x-envoy-retry-on", "reset, connect-failure,rubbish"),
            ("x-envoy-retry-grpc-on", "unavailable"),
            ("x-envoy-max-retries", "2"),
            ("x-envoy-retriable-status-codes", "404, x,500"),
            ("x-envoy-retriable-header-names", "X-Seawall-Retry"),
            ("x-envoy-hedge-on-per-try-timeout", "true"),
            ("x-envoy-other", "stays"),
        ],
    );
    let on = RetryOn::RESET | RetryOn::CONNECT_FAILURE | RetryOn::grpc(14);
    assert_eq!((orders.on, orders.retries, orders.hedge), (on, 2, true));
    assert_eq!(
        (orders.total, orders.per_try),
        (Some(900 * MILLI), Some(300 * MILLI))
    );
    assert_eq!(
        (orders.codes, orders.headers),
        (vec![404, 500], vec!["x-seawall-retry".into()])
    );
    assert_eq!(left, headers(&[(":path", "/"), ("x-envoy-other", "stays")]));
}

#[test]
fn headers_join_the_routes_conditions_and_override_its_numbers() {
    let route = Route::retrying(RetryOn::SERVER_ERROR, 3);
    for (pairs, retries, on_reset) in [
        (vec![], 3, false),
        (vec![("x-envoy-max-retries", "0")], 0, false),
        (vec![("x-envoy-retry-on", "refused-stream")], 3, true),
        (vec![("x-envoy-max-retries", "x")], 3, false),
    ] {
        let (orders, _) = orders(&route, &pairs);
        assert_eq!(orders.retries, retries, "{pairs:?}");
        assert!(orders.on.has(RetryOn::SERVER_ERROR), "{pairs:?}");
        assert_eq!(
            orders.on.has(RetryOn::REFUSED_STREAM),
            on_reset,
            "{pairs:?}"
        );
    }
    assert_eq!(
        orders(&Route::default(), &[("x-envoy-retry-on", "5xx")])
            .0
            .retries,
        1
    );
}

#[test]
fn limits_are_the_headers_then_the_routes_and_one_attempt_has_less_than_all() {
    let total = "x-envoy-upstream-rq-timeout-ms";
    let one = "x-envoy-upstream-rq-per-try-timeout-ms";
    for (pairs, all, each, expected) in [
        (vec![], Some(15_000), None, Some("15000")),
        (vec![(total, "0")], None, None, None),
        (vec![(total, "0"), (one, "50")], None, Some(50), Some("50")),
        (
            vec![(total, "100"), (one, "100")],
            Some(100),
            None,
            Some("100"),
        ),
        (
            vec![(total, "100"), (one, "99")],
            Some(100),
            Some(99),
            Some("99"),
        ),
        (vec![(total, "x")], Some(15_000), None, Some("15000")),
    ] {
        let (orders, mut left) = orders(&Route::default(), &pairs);
        let nanos = |millis: Option<u64>| millis.map(|millis| millis * MILLI);
        assert_eq!(
            (orders.total, orders.per_try),
            (nanos(all), nanos(each)),
            "{pairs:?}"
        );
        orders.tell_expected(&mut left, 0);
        let told = value(&left, "x-envoy-expected-rq-timeout-ms");
        assert_eq!(told.as_deref(), expected, "{pairs:?}");
    }
    let (orders, mut left) = orders(&Route::default(), &[(total, "100"), (one, "60")]);
    for (elapsed, expected) in [(0, "60"), (70, "30"), (100, "1"), (200, "1")] {
        orders.tell_expected(&mut left, elapsed * MILLI);
        let told: Vec<_> = left.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(told, [expected.as_bytes()], "told once, after {elapsed} ms");
    }
}

#[test]
fn answers_are_tried_again_as_their_conditions_say() {
    for (on, more, code, answer, again) in [
        ("5xx", "", 500, vec![], true),
        ("5xx", "", 404, vec![], false),
        ("gateway-error", "", 503, vec![], true),
        ("gateway-error", "", 500, vec![], false),
        ("retriable-4xx", "", 409, vec![], true),
        ("retriable-status-codes", "404", 404, vec![], true),
        ("retriable-status-codes", "404", 503, vec![], false),
        ("reset", "404", 404, vec![], false),
        (
            "retriable-headers",
            "x-again",
            200,
            vec![("x-again", "1")],
            true,
        ),
        ("retriable-headers", "x-again", 503, vec![], false),
        ("5xx", "", 503, vec![("x-envoy-ratelimited", "true")], false),
        (
            "envoy-ratelimited",
            "",
            429,
            vec![("x-envoy-ratelimited", "true")],
            true,
        ),
        ("envoy-ratelimited", "", 503, vec![], false),
        ("", "", 503, vec![], false),
    ] {
        let pairs = [
            ("x-envoy-retry-on", on),
            ("x-envoy-retriable-status-codes", more),
            ("x-envoy-retriable-header-names", more),
        ];
        let (orders, _) = orders(&Route::default(), &pairs);
        let all = [status(code), headers(&answer)].concat();
        assert_eq!(
            orders.covers(code, &all),
            again,
            "{on} {more} {code} {answer:?}"
        );
    }
}

#[test]
fn resets_are_tried_again_as_their_conditions_say() {
    let ends = [
        End::Refused,
        End::Reset,
        End::StreamReset,
        End::StreamRefused,
        End::AttemptTimedOut,
    ];
    for (on, covered) in [
        ("5xx", "11111"),
        ("gateway-error", "11111"),
        ("reset", "11111"),
        ("connect-failure", "10000"),
        ("refused-stream", "00010"),
        ("reset-before-request", "10000"),
        ("retriable-headers,retriable-status-codes", "00000"),
    ] {
        let conditions = RetryOn::parse(on);
        let found: String = ends
            .map(|end| if conditions.covers(end) { '1' } else { '0' })
            .iter()
            .collect();
        assert_eq!(found, covered, "{on}");
        assert!(!conditions.covers(End::TimedOut), "{on}");
    }
}

#[test]
fn the_last_end_is_the_answer_with_envoys_flags_and_details() {
    let route = no_back_off(RetryOn::CONNECT_FAILURE, 1);
    for (end, code, flags, details) in [
        (End::Reset, 503, 0x40, "connection_termination"),
        (End::StreamReset, 503, 0x10, "remote_reset"),
        (End::Garbage, 502, 0x80_0000, "protocol_error"),
        (End::StreamRefused, 503, 0x10, "remote_refused_stream_reset"),
        (End::AttemptTimedOut, 504, 0x4, "upstream_per_try_timeout"),
    ] {
        let steps = machine(&route, &[]).failed(1, end, &mut Retries::default());
        assert_eq!(steps.first(), Some(&Step::End(1)), "{end:?}");
        let (found, with, said) = answer(&steps);
        assert_eq!((found, with), (code, flags), "{end:?}");
        assert!(said.contains(details), "{end:?}: {said}");
    }
    let mut twice = machine(&route, &[]);
    let retries = &mut Retries::default();
    assert_eq!(
        twice.failed(1, End::Refused, retries),
        [Step::End(1), Step::Wait(0)]
    );
    assert_eq!(twice.retry_due(), [Step::Send(2)]);
    let steps = twice.failed(2, End::Refused, retries);
    assert_eq!(
        (answer(&steps).0, answer(&steps).1),
        (503, 0x8020),
        "UF and URX"
    );
    assert_eq!(retries, &Retries::default(), "its place was given back");
    let late = machine(&route, &[]).timed_out(retries);
    assert_eq!(answer(&late), (504, 0x4, "response_timeout"));
}

#[test]
fn retries_end_with_the_limit_and_say_so() {
    let mut machine = machine(&no_back_off(RetryOn::SERVER_ERROR, 2), &[]);
    let retries = &mut Retries::default();
    for attempt in 1..=2 {
        let steps = machine.answered(attempt, 503, status(503), retries);
        assert_eq!(steps, [Step::End(attempt), Step::Wait(0)]);
        assert_eq!(
            machine.answered(attempt, 200, status(200), retries),
            [],
            "it is over"
        );
        assert_eq!(machine.retry_due(), [Step::Send(attempt + 1)]);
    }
    let steps = machine.answered(3, 503, status(503), retries);
    assert_eq!(
        answer(&steps),
        (503, flag::RETRIES_EXHAUSTED, "via_upstream")
    );
    assert_eq!(machine.retry_due(), []);
    assert_eq!(machine.attempts(), 3);
}

#[test]
fn the_clusters_limit_refuses_retries_and_says_so() {
    let route = no_back_off(RetryOn::SERVER_ERROR, 1);
    let retries = &mut Retries::default();
    let mut machines: Vec<_> = (0..30).map(|_| machine(&route, &[])).collect();
    let overflown = machines
        .iter_mut()
        .map(|machine| machine.answered(1, 503, status(503), retries))
        .filter(|steps| matches!(steps.last(), Some(Step::Answer(answer)) if answer.flags == 0x80))
        .count();
    assert_eq!(overflown, 27, "as on a real Envoy with 30 at a time");
    for machine in &mut machines {
        machine.abandon(retries);
    }
    assert_eq!(retries, &Retries::default(), "all places were given back");
    let mut free = machine(&route, &[]);
    let steps = free.answered(1, 503, status(503), &mut Retries::limited(None));
    assert_eq!(steps, [Step::End(1), Step::Wait(0)]);
}

#[test]
fn back_off_doubles_up_to_ten_times_with_full_jitter() {
    let mut random = chance(2, "back-off");
    let back_off = BackOff::default();
    for (retry, bound) in [
        (1, 25),
        (2, 50),
        (3, 100),
        (4, 200),
        (5, 250),
        (60, 250),
        (99, 250),
    ] {
        let waits: Vec<u64> = (0..2_000)
            .map(|_| back_off.wait(retry, &mut random))
            .collect();
        let most = waits.iter().max().copied().unwrap_or_default();
        assert!(
            most < bound * MILLI && most > bound * MILLI * 99 / 100,
            "{retry}: {most}"
        );
        let mean = waits.iter().sum::<u64>() / 2_000;
        assert!(
            mean.abs_diff(bound * MILLI / 2) < bound * MILLI / 20,
            "{retry}: {mean}"
        );
    }
    assert_eq!(BackOff::from_base(0).wait(1, &mut random), 0);
}

const HEDGE: [(&str, &str); 3] = [
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-hedge-on-per-try-timeout", "true"),
    ("x-envoy-upstream-rq-per-try-timeout-ms", "100"),
];

fn hedged() -> (Machine, Retries) {
    let mut machine = machine(&no_back_off(RetryOn::NONE, 1), &HEDGE);
    let mut retries = Retries::default();
    assert_eq!(machine.attempt_timed_out(1, &mut retries), [Step::Wait(0)]);
    assert_eq!(
        machine.attempt_timed_out(1, &mut retries),
        [],
        "hedged once"
    );
    assert_eq!(machine.retry_due(), [Step::Send(2)]);
    (machine, retries)
}

#[test]
fn of_two_hedged_attempts_the_first_good_answer_wins() {
    for winner in [1, 2] {
        let (mut machine, mut retries) = hedged();
        let steps = machine.answered(winner, 200, status(200), &mut retries);
        assert_eq!(steps[..2], [Step::End(1), Step::End(2)]);
        assert_eq!(answer(&steps), (200, 0, "via_upstream"), "attempt {winner}");
    }
}

#[test]
fn a_hedged_attempt_that_fails_waits_for_the_other() {
    for first in [1, 2] {
        let (mut machine, mut retries) = hedged();
        let second = 3 - first;
        let steps = machine.answered(first, 503, status(503), &mut retries);
        assert_eq!(steps, [Step::End(first)], "attempt {first}");
        let steps = machine.failed(second, End::Reset, &mut retries);
        let flags = 0x40 | flag::RETRIES_EXHAUSTED;
        assert_eq!(
            (answer(&steps).0, answer(&steps).1),
            (503, flags),
            "attempt {second}"
        );
    }
    // A hedge that never answers, as a parked one: the client waits for the total.
    let (mut machine, mut retries) = hedged();
    assert_eq!(machine.failed(1, End::Reset, &mut retries), [Step::End(1)]);
    assert_eq!(
        answer(&machine.timed_out(&mut retries)).2,
        "response_timeout"
    );
}

#[test]
fn a_request_without_conditions_is_never_tried_again() {
    for end in [End::Refused, End::Reset, End::AttemptTimedOut] {
        let pairs = [("x-envoy-max-retries", "3")];
        let steps = machine(&Route::default(), &pairs).failed(1, end, &mut Retries::default());
        assert_eq!(answer(&steps).1, end.downstream().flags);
    }
    let mut hedging = machine(&Route::default(), &HEDGE[1..]);
    assert_eq!(hedging.attempt_timed_out(1, &mut Retries::default()), []);
    assert_eq!(
        answer(&hedging.answered(1, 503, status(503), &mut Retries::default())).1,
        0
    );
}
