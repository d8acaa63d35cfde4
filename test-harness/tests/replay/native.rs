//! The core on its native body plays what the `.wasm` plays: every figure of a run is the same, to the last digit.

use seawall_harness::fault::Fault;
use seawall_harness::measure::{Figures, Measure};
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::router::BackOff;
use seawall_harness::sim::{
    Body, Clients, Core, Environment, Filter, Lane, START, Scenario, Service, play,
};
use seawall_harness::trace::{Request, poisson, with_priorities};
use seawall_policy::priority::Priority;

use crate::{DEFAULTS, shipped};

/// A policy that has all that a simulation can show: retries, hedges, limits, shedding, fallbacks.
const FULL: &str = r#"{"version":1,"policies":{"default":{
  "timeout":{"total":"2s"},
  "breaker":{"open":{"for":"1s","up_to":"4s"},"consecutive":3},
  "retries":{"attempts":3,"hedge":{"after":"60ms"}},
  "bulkhead":{"max_concurrent":60},
  "shedding":{"limit":"adaptive"},
  "fallback":[{"static":{"body":"{}"}}]}}}"#;
const PER_TRY: &str = r#"{"version":1,"policies":{"default":{
  "timeout":{"total":"1s","per_try":"80ms"},
  "retries":{"attempts":2},"breaker":{"slow_call":{"over":"300ms"}}}}}"#;
const SHADOW: &str = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"shadow"}}}}"#;

fn trace(seed: u64) -> Vec<Request> {
    let requests = poisson(150.0, 40.0, 20_000.0, 0.8, seed).expect("a trace");
    let weights = [(Priority::ALL[0], 1.0), (Priority::ALL[3], 2.0)];
    let requests = with_priorities(requests, &weights, seed).expect("priorities");
    requests.collect()
}

fn scenario(faults: &[&str], seed: u64) -> Scenario {
    let faults = faults
        .iter()
        .map(|fault| fault.parse::<Fault>().expect("a fault"));
    Scenario {
        clients: Clients {
            tries: 2,
            back_off: Some(BackOff {
                base: 50_000_000,
                max: 1_000_000_000,
            }),
            ..Clients::default()
        },
        service: Service {
            hosts: 3,
            ..Service::new(8, 200)
        },
        ..Scenario::from(Environment {
            servers: 8,
            queue: 200,
            faults: faults.collect(),
            patience: Some(3_000_000_000),
            seed,
        })
    }
}

fn played<F: Filter>(scenario: &Scenario, trace: &[Request], envoys: &[F]) -> Figures {
    let measure: Measure = play(scenario, trace, &Lane::both(envoys), || ());
    measure.figures("lane", scenario.faulty())
}

#[test]
fn a_run_with_the_core_natively_has_the_figures_of_the_wasm() {
    let (mut changes, mut degraded, mut refused, mut limits) = (0, 0, 0, 0);
    for (number, (policy, faults)) in [
        (DEFAULTS, &["errors,at=10s,for=8s"][..]),
        (
            DEFAULTS,
            &["hang,at=10s,for=8s", "crash,at=25s,for=2s,hosts=0-1"],
        ),
        (
            FULL,
            &[
                "latency,at=10s,for=8s,by=400ms,jitter=200ms",
                "reset,at=20s,for=4s,share=60",
            ],
        ),
        (
            FULL,
            &[
                "slow,at=10s,for=10s,left=20",
                "errors,at=25s,for=2s,attempts=1",
            ],
        ),
        (
            PER_TRY,
            &[
                "hang,at=10s,for=8s,share=40",
                "refuse,at=22s,for=5s,hosts=0-0",
            ],
        ),
        (SHADOW, &["errors,at=10s,for=8s,share=70"]),
        (
            FULL,
            &[
                "limit_data,at=10s,for=6s,bytes=3000,share=70",
                "bandwidth,at=20s,for=5s,rate=9",
                "slicer,at=26s,for=5s,average_size=64,size_variation=9,by=300us",
            ],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = 11 + number as u64;
        let (trace, mut scenario) = (trace(seed), scenario(faults, seed));
        if scenario.faults.iter().any(|fault| fault.kind.is_of_bytes()) {
            scenario.service.body = Body {
                request: 1_000,
                answer: 4_000,
                until_close: false,
            };
        }
        let workers = 1 + number % 4;
        let wasm = || {
            let options = ProcessOptions {
                workers,
                configuration: policy.as_bytes().to_vec(),
                seed,
                ..ProcessOptions::default()
            };
            let process = Process::start(shipped::module(), options, START).expect("it starts");
            process.take_log();
            process
        };
        let native = || Core::start(policy, workers, seed, START).expect("a valid policy");
        let there = played(&scenario, &trace, &[wasm(), wasm()]);
        let here = played(&scenario, &trace, &[native(), native()]);
        changes += there.transitions.len();
        degraded += there.answers.degraded;
        refused += there.answers.refused;
        limits += there.series.limit.iter().flatten().count();
        let limited = there.series.limit.iter().any(Option::is_some);
        assert_eq!(limited, policy == FULL, "{policy}");
        let most = there.series.limit.iter().flatten().max();
        assert!(most <= Some(&120), "two bulkheads of 60: {most:?}");
        let text = |figures: &Figures| serde_json::to_string_pretty(figures).expect("JSON");
        let (there, here) = (text(&there), text(&here));
        let differing = there.lines().zip(here.lines()).find(|(a, b)| a != b);
        assert_eq!(differing, None, "{policy} {faults:?}: wasm and native");
        assert!(there == here);
    }
    // Equal runs in which nothing happens would prove nothing.
    let happened = (changes > 15, degraded > 50, refused > 500, limits > 60);
    assert_eq!(
        happened,
        (true, true, true, true),
        "{changes} changes, {degraded} degraded, {refused} refused, {limits} seconds with a limit"
    );
}
