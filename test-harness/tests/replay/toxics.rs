//! What goes wrong with the bytes of connections, as users, the upstream and the filter see it.

use seawall_harness::measure::Measure;
use seawall_harness::router::{RetryOn, RetryPolicy, Route};
use seawall_harness::sim::Lane;

use crate::worlds::{bare, even, filtered, near, run, success};

/// Answers of 10,000 bytes, their headers among them, after 10 ms of work and 1 ms on the way.
const BODIES: &str = "body: {request: 4800, answer: 9800}";

fn world(body: &str, faults: &[&str]) -> String {
    format!(
        "services: {{shop: {{hosts: 4, time: {{constant: 10ms}}, {body}}}}}\nfaults: {faults:?}"
    )
}

fn play(body: &str, faults: &[&str]) -> Measure {
    bare(&world(body, faults), &even(50, 20))
}

#[test]
fn an_answer_takes_as_long_as_its_last_byte() {
    let until_close = "body: {answer: 9800, until_close: true}";
    for (body, faults, expected) in [
        (BODIES, &[][..], 11.0),
        (BODIES, &["bandwidth,at=0s,for=1h,rate=100"], 111.0),
        // Without a body the headers are what takes time.
        ("", &["bandwidth,at=0s,for=1h,rate=2"], 111.0),
        // 16 pieces of 625 bytes.
        (
            BODIES,
            &["slicer,at=0s,for=1h,average_size=700,by=10ms"],
            161.0,
        ),
        (BODIES, &["slow_close,at=0s,for=1h,by=2s"], 11.0),
        (until_close, &["slow_close,at=0s,for=1h,by=2s"], 2_011.0),
        (
            BODIES,
            &["bandwidth,at=0s,for=1h,rate=100,service=shop,hosts=0-3"],
            111.0,
        ),
        // 5,000 bytes of a request, and all of an answer.
        (
            BODIES,
            &["bandwidth,at=0s,for=1h,rate=100,stream=upstream"],
            61.0,
        ),
        (
            BODIES,
            &[
                "bandwidth,at=0s,for=1h,rate=100,stream=upstream",
                "bandwidth,at=0s,for=1h,rate=100",
            ],
            161.0,
        ),
    ] {
        let measure = play(body, faults);
        near(success(&measure), 1.0, 0.0);
        near(measure.good_latency_ms(0.01), expected, 0.5);
        near(measure.good_latency_ms(0.99), expected, 0.005 * expected);
    }
}

#[test]
fn a_connection_that_is_closed_in_the_middle_is_a_failure_that_nobody_tries_again() {
    let retrying = || Lane::bare(Route::retrying(RetryOn::SERVER_ERROR | RetryOn::RESET, 3));
    let until_close = "body: {answer: 9800, until_close: true}";
    for (body, bytes, good, load) in [
        (BODIES, 9_999, 0.0, 1.0),
        (BODIES, 200, 0.0, 1.0),
        // Before the headers are there it is a reset like any other.
        (BODIES, 199, 0.0, 4.0),
        (BODIES, 10_000, 1.0, 1.0),
        ("", 200, 1.0, 1.0),
        (until_close, 5_000, 1.0, 1.0),
    ] {
        let fault = format!("limit_data,at=0s,for=1h,bytes={bytes}");
        let measure = run(&world(body, &[&fault]), &even(50, 20), &retrying());
        near(success(&measure), good, 0.0);
        near(measure.load(), load, 0.0);
    }
    // What never comes to the host whole never reaches it.
    let fault = "limit_data,at=0s,for=1h,bytes=4999,stream=upstream";
    let measure = run(&world(BODIES, &[fault]), &even(50, 20), &retrying());
    assert_eq!((success(&measure), measure.load()), (0.0, 0.0));
}

#[test]
fn toxicity_hosts_and_schedule_say_which_answers_are_hit() {
    for (fault, hit) in [
        ("limit_data,at=0s,for=1h,bytes=500,share=30", 0.3),
        ("limit_data,at=0s,for=1h,bytes=500,hosts=1-2", 0.5),
        ("limit_data,at=5s,for=5s,bytes=500", 0.25),
        ("limit_data,at=5s,for=5s,bytes=500,stream=upstream", 0.25),
        ("limit_data,at=0s,for=1h,bytes=500,service=shop", 1.0),
    ] {
        let measure = bare(&world(BODIES, &[fault]), &even(200, 20));
        near(success(&measure), 1.0 - hit, 0.03);
    }
    // What is held back when the fault ends comes then.
    let fault = "bandwidth,at=5s,for=10s,rate=1";
    let measure = play(BODIES, &[fault]);
    near(success(&measure), 1.0, 0.0);
    near(measure.good_latency_ms(1.0), 10_000.0, 60.0);
}

#[test]
fn that_a_connection_was_cut_is_seen_later_where_its_end_is_slow() {
    for (fault, expected) in [("crash,at=5s,for=1s", 600), ("reset,at=5s,for=1s", 550)] {
        for (slow, at) in [
            ("slow_close,at=0s,for=1h,by=3s", 8),
            ("slow_close,at=0s,for=1s,by=3s", 5),
        ] {
            let text = world("servers: 500, time: {constant: 1s}", &[fault, slow]);
            let text = text.replace("time: {constant: 10ms}, ", "");
            let measure = bare(&text, &even(500, 20));
            let failed: Vec<u64> = measure
                .ended_per_second()
                .iter()
                .map(|counts| counts.failed)
                .collect();
            let cut = failed[at];
            assert!(cut > expected - 150, "{fault} {slow}: {failed:?}");
        }
    }
}

#[test]
fn the_limit_of_a_request_holds_for_its_body_and_that_of_an_attempt_does_not() {
    let faults = ["bandwidth,at=0s,for=1h,rate=10"];
    for (timeout, per_try, good) in [
        (Some(500_000_000), None, 0.0),
        (Some(2_000_000_000), None, 1.0),
        // The headers are there after 111 ms.
        (None, Some(200_000_000), 1.0),
        (None, Some(50_000_000), 0.0),
    ] {
        let lane = Lane::bare(Route {
            timeout,
            retry: RetryPolicy {
                per_try,
                ..RetryPolicy::default()
            },
            ..Route::default()
        });
        let measure = run(&world(BODIES, &faults), &even(50, 20), &lane);
        near(success(&measure), good, 0.0);
    }
}

#[test]
fn a_breaker_opens_where_answers_break_in_the_middle_and_not_where_they_are_slow() {
    for (fault, opens) in [
        ("limit_data,at=5s,for=20s,bytes=5000", true),
        ("limit_data,at=5s,for=20s,bytes=4000,stream=upstream", true),
        ("bandwidth,at=5s,for=10s,rate=200", false),
        (
            "slicer,at=5s,for=10s,average_size=100,size_variation=50,by=100us",
            false,
        ),
    ] {
        let measure = filtered(&world(BODIES, &[fault]), &even(100, 60));
        let changes = measure.transitions.iter();
        let opened = changes
            .filter(|made| made.change == "closed -> open")
            .count();
        assert_eq!(opened > 0, opens, "{fault}");
        assert_eq!(measure.traps(), 0);
        if opens {
            // Half of a window of ten seconds has failed by then.
            let reached = measure.reached_per_second()[11..25].iter().sum::<u64>();
            assert!(reached < 40, "{fault}: {reached} attempts of 1,400");
        }
        let last = measure.ended_per_second()[59];
        assert_eq!(last.good, last.all(), "{fault}: it is well again");
    }
}
