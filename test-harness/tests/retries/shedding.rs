//! A queue fed at twice what its servers can do: with a bound on the wait, and without.

use rand_distr::{Distribution, Exp1};
use seawall_harness::measure::Measure;
use seawall_harness::random::chance;
use seawall_harness::sim::ControlledDelay;
use seawall_harness::sim::{Lane, play};

use crate::storms::arrivals;
use crate::{near, scenario};

/// One server that works 1 ms on average, and a thousand places to wait: a second's worth.
fn overloaded(delay: Option<ControlledDelay>, seed: u64) -> Measure {
    let mut scenario = scenario(seed, &[]);
    scenario.service.servers = 1;
    scenario.service.queue = 1_000;
    scenario.service.delay = delay;
    let mut trace = arrivals(2_000.0, 60.0, 0, seed);
    let mut random = chance(seed, "work");
    for request in &mut trace {
        let times: f64 = Exp1.sample(&mut random);
        request.service_us = (times * 1_000.0) as u64;
    }
    play(&scenario, &trace, &Lane::default(), || ())
}

#[test]
fn a_bound_on_the_wait_gives_quick_answers_at_equal_throughput() {
    const DELAY: ControlledDelay = ControlledDelay {
        target: 5_000_000,
        interval: 100_000_000,
    };
    // The sum of a thousand exponential times has its 99th percentile at 1,075; runs of a minute differ by some percent.
    for seed in 1..=3 {
        let (none, bound) = (overloaded(None, seed), overloaded(Some(DELAY), seed));
        near(
            "p99 without, ms",
            none.good_latency_ms(0.99),
            1_041.0,
            0.06 * 1_041.0,
        );
        near(
            "p99 with, ms",
            bound.good_latency_ms(0.99),
            62.8,
            0.2 * 62.8,
        );
        // What still waits at the end is worked off in both.
        near("throughput", bound.success(), none.success(), 0.02);
    }
}
