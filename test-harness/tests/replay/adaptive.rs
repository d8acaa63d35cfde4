//! A limit that follows latency, beside requests that take very different times: the cheap ones must not cut the others.

use seawall_harness::trace::Request;

use super::{environment, run_trace};

const SECOND_US: u64 = 1_000_000;
/// No floor and no factor is written.
const POLICY: &str =
    r#"{"version":1,"policies":{"default":{"timeout":{"adaptive":{"percentile":99}}}}}"#;

/// 600 requests of 1 ms and two pages of 400 ms a second.
fn cheap_and_slow(seconds: u64) -> Vec<Request> {
    let of = |at_us, service_us| Request {
        at_us,
        service_us,
        ..Request::default()
    };
    let each = |second: u64| {
        let begin = second * SECOND_US;
        let cheap = (0..600).map(move |number| of(begin + number * SECOND_US / 600, 1_000));
        let pages = (0..2).map(move |number| of(begin + 1 + number * SECOND_US / 2, 400_000));
        cheap.chain(pages)
    };
    let mut trace: Vec<Request> = (0..seconds).flat_map(each).collect();
    trace.sort_by_key(|request| request.at_us);
    trace
}

#[test]
fn ten_minutes_of_cheap_answers_cut_no_slow_page() {
    let trace = cheap_and_slow(600);
    let figures = run_trace(POLICY, &trace, &environment(&[], None));
    assert_eq!(figures.transitions, vec![]);
    assert_eq!(
        figures.answers.good,
        trace.len() as u64,
        "{:?}",
        figures.answers
    );
}

#[test]
fn an_upstream_that_starts_to_hang_is_noticed_within_two_windows() {
    let mut environment = environment(&["hang,at=60s,for=60s"], None);
    environment.servers = 100_000;
    let figures = run_trace(POLICY, &cheap_and_slow(120), &environment);
    assert!(
        figures
            .time_to_detect_ms
            .is_some_and(|millis| millis <= 20_000),
        "{:?}",
        figures.transitions
    );
    println!("{:?} ms", figures.time_to_detect_ms);
}
