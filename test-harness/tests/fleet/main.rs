//! Many Envoys before one upstream: each default has to be good for all of them together.

mod budget;
mod dead;
mod probes;
#[path = "../shipped/mod.rs"]
mod shipped;

use seawall_harness::fault::Fault;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::sim::{Environment, START, Scenario};
use seawall_harness::trace::Request;

/// The shipped defaults.
const DEFAULTS: &str = r#"{"version":1,"policies":{"default":{}}}"#;

/// So many Envoys with one worker each, with chance of their own.
fn fleet(size: u64, configuration: &str) -> Vec<Process> {
    let module = shipped::module();
    let envoy = |number| {
        let options = ProcessOptions {
            configuration: configuration.as_bytes().to_vec(),
            seed: number,
            ..ProcessOptions::default()
        };
        let process = Process::start(module, options, START).expect("the filter starts");
        process.take_log();
        process
    };
    (0..size).map(envoy).collect()
}

/// One request a second from each of them for so long, spread over the second.
fn one_a_second_each(size: u64, seconds: u64) -> Vec<Request> {
    (0..size * seconds)
        .map(|number| Request {
            at_us: number * 1_000_000 / size,
            service_us: 5_000,
            ..Request::default()
        })
        .collect()
}

/// An upstream with room for all, with this fault.
fn scenario(fault: &str) -> Scenario {
    Scenario::from(Environment {
        servers: 10_000,
        queue: 0,
        faults: vec![fault.parse::<Fault>().expect("a fault")],
        patience: None,
        seed: 1,
    })
}
