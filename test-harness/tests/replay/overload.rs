//! More than the upstream can do, in four priorities: the filter itself, in its VMs, before simulated servers with a queue.
//!
//! The limiter and the shares alone are held against rivals in the suite `limits`; here is all of the filter, with its places
//! in shared data, over four workers that do not tick together with what happens.

use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::sim::{Environment, Lane, START, Scenario, play};
use seawall_harness::trace::{poisson, with_priorities};
use seawall_policy::priority::Priority;

use crate::shipped;

/// Peers are believed, and `min` is what the upstream works on at once, as docs/load.md advises; everything else is as it is
/// when a policy says `shedding: {}`.
fn policy(min: u32) -> String {
    format!(
        r#"{{"version":1,"trust":{{"addresses":["10.1.0.0/16"]}},"policies":{{"default":{{"shedding":{{"min":{min}}}}}}}}}"#
    )
}

const LENGTH_S: f64 = 60.0;
/// A user waits so long, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
/// Seconds until the limit is found: goodput is taken from here on. What a priority gets is taken from the start.
const FINDING_S: usize = 10;
/// The mean of a log-normal time with this sigma is so many times its median.
const SIGMA: f64 = 0.5;

/// What is offered, in shares of the capacity, the most important first.
type Offered = [f64; 4];

#[derive(Clone, Copy, Debug)]
struct Upstream {
    servers: u32,
    mean_ms: f64,
}

impl Upstream {
    /// Requests a second.
    fn capacity(self) -> f64 {
        f64::from(self.servers) * 1e3 / self.mean_ms
    }
}

#[derive(Debug)]
struct Found {
    /// In shares of the capacity.
    goodput: f64,
    /// The share of good answers of each priority, the most important first.
    good: [f64; 4],
}

fn overloaded(upstream: Upstream, offered: Offered, process: Option<&Process>, seed: u64) -> Found {
    let rate = upstream.capacity() * offered.iter().sum::<f64>();
    let median_us = upstream.mean_ms * 1e3 / (SIGMA * SIGMA / 2.0).exp();
    let trace = poisson(rate, LENGTH_S, median_us, SIGMA, seed).expect("a trace");
    let weights: Vec<_> = Priority::ALL.into_iter().zip(offered).collect();
    let trace = with_priorities(trace, &weights, seed)
        .expect("weights")
        .collect::<Vec<_>>();
    let scenario = Scenario::from(Environment {
        servers: upstream.servers as usize,
        queue: usize::MAX,
        faults: Vec::new(),
        patience: Some(PATIENCE),
        seed,
    });
    let lane = process.map_or_else(Lane::default, |process| {
        Lane::downstream(std::slice::from_ref(process))
    });
    let measure = play(&scenario, &trace, &lane, || ());
    let judged = &measure.ended_per_second()[FINDING_S..LENGTH_S as usize];
    let answered: u64 = judged.iter().map(|second| second.good).sum();
    let goodput = answered as f64 / judged.len() as f64 / upstream.capacity();
    let figures = measure.figures("", None);
    let good = Priority::ALL.map(|priority| {
        let mut all = figures.answers_by_priority.iter();
        let of = all.find(|of| of.priority == priority.name());
        of.map_or(f64::NAN, |of| {
            of.answers.good as f64 / of.answers.all() as f64
        })
    });
    Found { goodput, good }
}

fn with_the_filter(upstream: Upstream, offered: Offered, seed: u64) -> Found {
    let options = ProcessOptions {
        workers: 4,
        configuration: policy(upstream.servers).into(),
        seed,
        ..ProcessOptions::default()
    };
    let process = Process::start(shipped::module(), options, START).expect("the filter starts");
    overloaded(upstream, offered, Some(&process), seed)
}

const UPSTREAMS: [Upstream; 3] = [
    Upstream {
        servers: 20,
        mean_ms: 100.0,
    },
    Upstream {
        servers: 20,
        mean_ms: 20.0,
    },
    Upstream {
        servers: 50,
        mean_ms: 50.0,
    },
];

#[track_caller]
fn holds(what: &str, offered: Offered, upstreams: &[Upstream]) {
    for &upstream in upstreams {
        for seed in 1..=3 {
            let found = with_the_filter(upstream, offered, seed);
            println!("{what}, {upstream:?}, seed {seed}: {found:.4?}");
            let [highest, high, low, lowest] = found.good;
            assert!(
                found.goodput >= 0.95,
                "{what}, {upstream:?}, seed {seed}: {found:?}"
            );
            assert!(
                highest >= 0.999,
                "{what}, {upstream:?}, seed {seed}: {found:?}"
            );
            assert!(
                high >= low && low >= lowest - 0.001,
                "{what}, {upstream:?}, seed {seed}: {found:?}"
            );
        }
        let bare = overloaded(upstream, offered, None, 1);
        println!("{what}, {upstream:?}, no filter: {bare:.4?}");
    }
}

#[test]
fn twice_the_capacity_is_used_and_the_least_important_pays() {
    holds("2C", [0.5; 4], &UPSTREAMS);
}

#[test]
fn ten_times_the_capacity_costs_the_most_important_nothing() {
    holds("10C", [0.5, 3.166, 3.167, 3.167], &UPSTREAMS[..2]);
}
