//! 200 Envoys with a request a second each, and an upstream that answers nothing but 503.

use seawall_harness::measure::Measure;
use seawall_harness::sim::{Lane, play};

use crate::{DEFAULTS, fleet, one_a_second_each, scenario};

const ENVOYS: u64 = 200;
const DEAD: &str = "errors,at=0s,for=1h";

/// When the last of the breakers opened for the first time, in milliseconds; `None` if one never did.
fn all_open_after_ms(measure: &Measure) -> Option<u64> {
    let first = |envoy: u64| {
        let made = measure.by_envoy.get(&(envoy as usize))?;
        let open = made.iter().find(|made| made.change == "closed -> open");
        open.map(|made| made.at_ms)
    };
    let all: Option<Vec<u64>> = (0..ENVOYS).map(first).collect();
    all?.into_iter().max()
}

#[test]
fn all_breakers_are_open_within_15_s() {
    let envoys = fleet(ENVOYS, DEFAULTS);
    let trace = one_a_second_each(ENVOYS, 20);
    let measure = play(&scenario(DEAD), &trace, &Lane::downstream(&envoys), || ());
    let after = all_open_after_ms(&measure);
    println!("all {ENVOYS} open after {after:?} ms");
    assert!(after.is_some_and(|millis| millis <= 15_000), "{after:?}");
}

#[test]
fn all_breakers_are_open_within_15_s_with_retries_too() {
    let envoys = fleet(
        ENVOYS,
        r#"{"version":1,"policies":{"default":{"retries":{}}}}"#,
    );
    let trace = one_a_second_each(ENVOYS, 20);
    let measure = play(&scenario(DEAD), &trace, &Lane::both(&envoys), || ());
    let after = all_open_after_ms(&measure);
    println!("all {ENVOYS} open after {after:?} ms");
    assert!(after.is_some_and(|millis| millis <= 15_000), "{after:?}");
}

#[test]
fn without_breakers_the_fleet_sends_at_most_1_35_times_the_load() {
    let envoys = fleet(
        ENVOYS,
        r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"retries":{}}}}"#,
    );
    let trace = one_a_second_each(ENVOYS, 60);
    let measure = play(&scenario(DEAD), &trace, &Lane::both(&envoys), || ());
    println!(
        "{ENVOYS} Envoys for 60 s: {:.4} attempts a request",
        measure.load()
    );
    assert!(measure.load() <= 1.35, "{}", measure.load());
    assert!(
        measure.load() > 1.05,
        "the budget is used: {}",
        measure.load()
    );
}
