//! The retry budget of one Envoy with four workers: whatever fails, the load stays below it.

use seawall_harness::measure::Measure;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::sim::{Lane, START, play};

use crate::shipped::module;
use crate::{one_a_second_each, scenario};

const RETRIES: &str =
    r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"retries":{}}}}"#;

/// 200 requests a second for a minute under this fault.
fn run(configuration: &str, fault: &str) -> Measure {
    let options = ProcessOptions {
        workers: 4,
        configuration: configuration.as_bytes().to_vec(),
        seed: 1,
        ..ProcessOptions::default()
    };
    let envoy = [Process::start(module(), options, START).expect("the filter starts")];
    let trace = one_a_second_each(200, 60);
    play(&scenario(fault), &trace, &Lane::both(&envoy), || ())
}

#[test]
fn the_budget_holds_the_load_at_every_failure_rate() {
    // Attempts 2 and a budget of 20 %: until a fifth fails every retry is paid for, then a fifth of the requests' are.
    for percent in [0, 5, 10, 15, 30, 50, 80, 100] {
        let fault = match percent {
            // It begins when all is over.
            0 => "errors,at=2h,for=1h".to_owned(),
            percent => format!("errors,at=0s,for=1h,share={percent}"),
        };
        let measure = run(RETRIES, &fault);
        let p = f64::from(percent) / 100.0;
        let (load, success) = (1.0 + p.min(0.2), 1.0 - p + p.min(0.2) * (1.0 - p));
        let (found, won) = (measure.load(), measure.success());
        println!("p={p}: load {found:.4} for {load:.4}, success {won:.4} for {success:.4}");
        assert!(
            (found - load).abs() <= 0.015,
            "p={p}: {found} is not {load}"
        );
        assert!(
            (won - success).abs() <= 0.015,
            "p={p}: {won} is not {success}"
        );
    }
}

#[test]
fn one_retry_mends_what_only_first_attempts_meet() {
    for kind in ["errors", "refuse", "reset", "refuse_stream", "reset_stream"] {
        let measure = run(RETRIES, &format!("{kind},at=0s,for=1h,share=10,attempts=1"));
        println!(
            "{kind}: load {}, success {}",
            measure.load(),
            measure.success()
        );
        assert!(measure.success() > 0.998, "{kind}: {}", measure.success());
        assert!(
            (1.09..=1.11).contains(&measure.load()),
            "{kind}: {}",
            measure.load()
        );
    }
    let not_found = run(RETRIES, "not_found,at=0s,for=1h,share=10");
    assert_eq!(not_found.load(), 1.0, "an answer is an answer");
}

#[test]
fn nothing_is_tried_again_while_the_breaker_is_not_closed() {
    const BOTH: &str = r#"{"version":1,"policies":{"default":{"retries":{}}}}"#;
    let measure = run(BOTH, "errors,at=10s,for=50s");
    let dead: u64 = measure.reached_per_second().iter().skip(20).sum();
    println!("{dead} attempts at a dead upstream in 40 s of 8,000 requests");
    assert!(dead < 200, "probes alone: {dead}");
}
