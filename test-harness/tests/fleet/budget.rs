//! The retry budget of one Envoy with four workers: whatever fails, the load stays below it.

use seawall_harness::worker::{Process, ProcessOptions};
use seawall_harness::world::{Lane, START, play};

use crate::{module, one_a_second_each, scene};

const RETRIES: &str =
    r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"retries":{}}}}"#;

#[test]
#[ignore = "needs retries in the filter"]
fn the_budget_holds_the_load_at_every_failure_rate() {
    // Attempts 2 and a budget of 20 %: until a fifth fails every retry is paid for, then a fifth of the requests' are.
    for percent in [0, 5, 10, 15, 30, 50, 80, 100] {
        let options = ProcessOptions {
            workers: 4,
            configuration: RETRIES.as_bytes().to_vec(),
            seed: 1,
            ..ProcessOptions::default()
        };
        let envoy = [Process::start(&module(), options, START).expect("the filter starts")];
        let trace = one_a_second_each(200, 60);
        let scene = scene(&format!("errors,at=0s,for=1h,share={percent}"));
        let measure = play(&scene, &trace, &Lane::both(&envoy), || ());
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
