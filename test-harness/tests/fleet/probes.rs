//! 1,000 Envoys with a request a second each, whose breakers are open, and an upstream that comes back.
//!
//! All trip within seconds of each other, so their first probes come together whatever the settings; chance in the open
//! times drives them apart, outage by outage. What is bounded here is a second of probing once the outage is minutes old.

use seawall_harness::measure::Measure;
use seawall_harness::sim::{Lane, play};

use crate::{DEFAULTS, fleet, one_a_second_each, scenario};

const ENVOYS: u64 = 1_000;
/// Probes a second of all together.
const MOST: u64 = 50;

/// An outage of so many seconds, and a minute more.
fn outage(seconds: u64, configuration: &str) -> Measure {
    let envoys = fleet(ENVOYS, configuration);
    let trace = one_a_second_each(ENVOYS, seconds + 60);
    let fault = format!("errors,at=0s,for={seconds}s");
    play(&scenario(&fault), &trace, &Lane::downstream(&envoys), || ())
}

/// The busiest second of these, at the upstream.
fn busiest(measure: &Measure, from: usize, to: usize) -> u64 {
    let seconds = measure.reached_per_second().iter().take(to).skip(from);
    let most = seconds.copied().max().unwrap_or_default();
    println!("{from} s to {to} s: at most {most} probes a second");
    most
}

#[test]
fn the_defaults_probe_with_at_most_50_a_second() {
    let measure = outage(600, DEFAULTS);
    busiest(&measure, 10, 60);
    busiest(&measure, 60, 180);
    assert!(busiest(&measure, 180, 600) <= MOST);
    assert!(
        busiest(&measure, 400, 600) >= 5,
        "it is probed all the time"
    );
}
