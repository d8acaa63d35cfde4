//! Overload that retries keep alive after its cause has gone.

use seawall_harness::measure::Measure;
use seawall_harness::router::BackOff;
use seawall_harness::sim::{Clients, Lane, Network, play};
use seawall_harness::trace::{Request, poisson};

use crate::{near, scenario};

const SECOND: u64 = 1_000_000_000;

/// Poisson arrivals whose work takes `service_us`.
pub(crate) fn arrivals(rate: f64, seconds: f64, service_us: u64, seed: u64) -> Vec<Request> {
    let mut trace = poisson(rate, seconds, 1.0, 0.0, seed).expect("a trace");
    trace
        .iter_mut()
        .for_each(|request| request.service_us = service_us);
    trace
}

/// What ended well in each second of this span, on average.
fn good_per_second(measures: &[Measure], from: usize, to: usize) -> f64 {
    let good = |measure: &Measure| -> u64 {
        let seconds = measure.ended_per_second().iter().take(to).skip(from);
        seconds.map(|counts| counts.good).sum()
    };
    let all: u64 = measures.iter().map(good).sum();
    all as f64 / (to - from) as f64 / measures.len() as f64
}

/// M. Brooker, "What is backoff for?" (2022): 40 requests/s with a spike to 80 from 20 s to 25 s, answers after 1 s and
/// 10 ms for each request in work, ways of 100 ms on average, three tries of 3 s. One run for each seed.
fn spike(back_off: Option<BackOff>, runs: u64) -> Vec<Measure> {
    let run = |seed| {
        let mut trace = arrivals(40.0, 80.0, 1_000_000, seed);
        let more = arrivals(40.0, 5.0, 1_000_000, seed + 1_000);
        trace.extend(more.into_iter().map(|request| Request {
            at_us: request.at_us + 20_000_000,
            ..request
        }));
        trace.sort_by_key(|request| request.at_us);
        let mut scenario = scenario(seed, &[]);
        scenario.patience = Some(3 * SECOND);
        scenario.service.network = Network::exponential(SECOND / 10);
        scenario.service.crowding = SECOND / 100;
        scenario.clients = Clients {
            back_off,
            ..Clients::trying(3)
        };
        play(&scenario, &trace, &Lane::default(), || ())
    };
    (1..=runs).map(run).collect()
}

#[test]
fn without_back_off_three_of_four_spikes_never_end() {
    // A run either comes back to 40/s or ends at 0: an average of ten runs is a lottery (13.5/s was drawn once). The
    // published simulator gives 10.6/s over 800 runs of its own, and this one 9.6/s over 800 seeds.
    let runs = spike(None, 200);
    near("before", good_per_second(&runs, 5, 20), 40.0, 1.0);
    near("after", good_per_second(&runs, 40, 80), 10.6, 3.0);
    let good = |run: &Measure| good_per_second(std::slice::from_ref(run), 60, 80);
    let back = runs.iter().filter(|run| good(run) > 35.0).count();
    let down = runs.iter().filter(|run| good(run) < 1.0).count();
    println!("of {} runs {back} came back and {down} did not", runs.len());
    assert!(back + down >= 198, "nothing in between");
    assert!(down >= 130, "{down}");
}

#[test]
fn back_off_with_jitter_ends_the_spike_by_50_s() {
    let back_off = BackOff {
        base: 20 * SECOND,
        max: 40 * SECOND,
    };
    let runs = spike(Some(back_off), 50);
    near("from 50 s on", good_per_second(&runs, 50, 80), 40.0, 1.5);
    for run in &runs {
        let good = good_per_second(std::slice::from_ref(run), 60, 80);
        assert!(good > 35.0, "every run is back: {good}");
    }
}

/// 1,000 requests/s of capacity; clients try three times and wait 6 s each time; what is left of a request that nobody
/// waits for is still worked on. From 10 s on a fifth of the speed is left, for so long.
fn trigger(seconds: u64, rate: f64, seed: u64) -> Measure {
    let mut scenario = scenario(seed, &[]);
    scenario.service.servers = 100;
    scenario.service.queue = usize::MAX;
    scenario.patience = Some(6 * SECOND);
    scenario.clients = Clients::trying(3);
    let slow = format!("slow,at=10s,for={seconds}s,left=20");
    scenario.faults = vec![slow.parse().expect("a fault")];
    let trace = arrivals(rate, 100.0, 100_000, seed);
    play(&scenario, &trace, &Lane::default(), || ())
}

#[test]
fn ten_seconds_without_most_of_the_cpu_are_metastable_and_nine_are_not() {
    for seed in 1..=5 {
        for (seconds, rate, expected) in [(10, 700.0, 0.0), (9, 700.0, 700.0), (10, 490.0, 490.0)] {
            let run = [trigger(seconds, rate, seed)];
            let what = format!("{seconds} s at {rate} requests/s, seed {seed}");
            near(&what, good_per_second(&run, 80, 100), expected, 0.03 * rate);
        }
    }
}
