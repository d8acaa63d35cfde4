//! Traces with gaps: nothing happens in them, and a run does not wait for it.

use seawall_harness::measure::Figures;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::sim::{Environment, Lane, START, Scenario, play};
use seawall_harness::trace::Request;

use super::environment;
use crate::shipped;

const HOUR_US: u64 = 3_600_000_000;
/// When the second busy minute begins.
const GAP_END_MS: u64 = 3_600_000;

/// The figures, and how much all callbacks of the filter took.
fn run(
    trace: &[Request],
    environment: &Environment,
    policy: &str,
    skips_idle: bool,
) -> (Figures, u64) {
    let options = ProcessOptions {
        workers: 4,
        configuration: policy.as_bytes().to_vec(),
        seed: 1,
        ..ProcessOptions::default()
    };
    let process = Process::start(shipped::module(), options, START).expect("the filter starts");
    let scenario = Scenario {
        skips_idle,
        ..Scenario::from(environment.clone())
    };
    let lane = Lane::both(std::slice::from_ref(&process));
    let figures = play(&scenario, trace, &lane, || ()).figures("with", scenario.faulty());
    (figures, process.fuel())
}

/// Busy minutes of 20 requests a second, so far apart.
fn minutes(count: u64, apart_us: u64) -> Vec<Request> {
    let at = |number: u64| number / 1_200 * apart_us + number % 1_200 * 50_000;
    let request = |number| Request {
        at_us: at(number),
        service_us: 20_000,
        ..Request::default()
    };
    (0..count * 1_200).map(request).collect()
}

#[test]
fn a_gap_of_days_takes_no_time_to_play() {
    let apart = |hours: u64| -> Vec<Request> {
        let request = |number| Request {
            at_us: number * hours * HOUR_US,
            service_us: 5_000,
            ..Request::default()
        };
        (0..11).map(request).collect()
    };
    let environment = environment(&[], None);
    let (days, little) = run(&apart(16), &environment, super::DEFAULTS, true);
    let (hours, much) = run(&apart(1), &environment, super::DEFAULTS, false);
    assert_eq!((days.answers.good, hours.answers.good), (11, 11));
    // Seven days in less than a third of what ten hours take with every tick.
    assert!(little < much / 3, "{little} and {much}");
}

#[test]
fn a_gap_that_is_skipped_changes_nothing_before_its_end() {
    // Slots are held, a breaker opens, and the gap begins while it is open.
    let policy = r#"{"version":1,"policies":{"default":{"bulkhead":{"max_concurrent":100},"timeout":{"total":"2s"}}}}"#;
    let trace = minutes(2, HOUR_US);
    for fault in ["errors,at=40s,for=30m", "hang,at=3630s,for=20s"] {
        let environment = environment(&[fault], None);
        let [skipped, whole] =
            [true, false].map(|skips| run(&trace, &environment, policy, skips).0);
        let before = |figures: &Figures| {
            let made = figures.transitions.iter();
            let made = made.filter(|made| made.at_ms < GAP_END_MS).cloned();
            let slots = (GAP_END_MS / figures.series.slot_ms) as usize;
            let series = &figures.series;
            let all = [
                &series.good,
                &series.refused,
                &series.failed,
                &series.reached_upstream,
            ];
            let counts = all.map(|counts| counts[..slots].to_vec());
            (made.collect::<Vec<_>>(), counts)
        };
        assert_eq!(before(&skipped), before(&whole), "{fault}");
        // Behind the gap chance is drawn anew, but the filter sees the same.
        let behind = |figures: &Figures| {
            let mut made = figures.transitions.iter();
            let made = made.find(|made| made.at_ms >= GAP_END_MS).cloned();
            made.map(|made| (made.change, made.at_ms / 2_000))
        };
        assert_eq!(behind(&skipped), behind(&whole), "{fault}");
    }
}
