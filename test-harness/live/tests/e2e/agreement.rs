//! The same outage on a real Envoy and in the harness: the same transitions in the same order, the same open times.

use std::time::Duration;

use seawall_harness::fault::Fault;
use seawall_harness::measure::Transition;
use seawall_harness::module::Module;
use seawall_harness::process::{Process, ProcessOptions};
use seawall_harness::sim::{self, Environment, START};
use seawall_harness::trace::Request;
use seawall_live::clock;
use seawall_live::envoy::filter;
use seawall_live::upstream::Knobs;
use seawall_policy::breaker::TransitionLine;
use seawall_policy::worker::TICK_MILLIS;
use serde_json::{Value, json};

use crate::support::{Stand, WORKERS, alone, left_out_on_module, policy};

const PER_SECOND: u64 = 100;
const SECONDS: u64 = 14;
const SICK_FROM: u64 = 1;
const SICK_FOR: u64 = 9;
/// One tick of the filter, and what a busy machine takes. There is no jitter.
const TOLERANCE_MS: u64 = TICK_MILLIS as u64 + 100;

fn doubling() -> Value {
    policy(json!({"consecutive": 5, "open": {"for": "1s", "up_to": "4s", "jitter": 0}}))
}

fn simulated() -> anyhow::Result<Vec<Transition>> {
    let module = Module::from_file(&filter()?)?;
    let options = ProcessOptions {
        workers: WORKERS,
        configuration: doubling().to_string().into_bytes(),
        seed: 1,
        ..ProcessOptions::default()
    };
    let process = Process::start(&module, options, START)?;
    let trace: Vec<Request> = (0..SECONDS * PER_SECOND)
        .map(|number| Request {
            at_us: number * 1_000_000 / PER_SECOND,
            service_us: 2_000,
            ..Request::default()
        })
        .collect();
    let fault = format!("errors,at={SICK_FROM}s,for={SICK_FOR}s").parse::<Fault>();
    let environment = Environment {
        servers: 1_000,
        queue: 0,
        faults: vec![fault.map_err(anyhow::Error::msg)?],
        patience: None,
        seed: 1,
    };
    Ok(sim::run(&environment, &trace, Some(&process), || ()).transitions)
}

async fn real() -> anyhow::Result<Vec<Transition>> {
    let stand = Stand::start(doubling()).await?;
    let client = stand.client(20);
    let begin = clock::now();
    let load = tokio::spawn(async move {
        client
            .run("/", PER_SECOND as f64, Duration::from_secs(SECONDS))
            .await
    });
    tokio::time::sleep_until((begin + Duration::from_secs(SICK_FROM)).into()).await;
    stand.upstream.set(Knobs::failing(1.0));
    tokio::time::sleep_until((begin + Duration::from_secs(SICK_FROM + SICK_FOR)).into()).await;
    stand.upstream.set(Knobs::default());
    load.await?;
    let lines = stand.envoy.log_lines("seawall: ");
    let transition = |line: &String| {
        Some(Transition {
            at_ms: millis_of_day(line)?,
            change: TransitionLine::parse(line)?.to_string(),
            line: line.clone(),
        })
    };
    Ok(lines.iter().filter_map(transition).collect())
}

/// The time in Envoy's log, `[2026-01-31 12:00:00.123]...`.
fn millis_of_day(line: &str) -> Option<u64> {
    let (_, time) = line.split_once(' ')?;
    let (time, _) = time.split_once(']')?;
    let parts: Vec<u64> = time
        .split([':', '.'])
        .filter_map(|part| part.parse().ok())
        .collect();
    let [hours, minutes, seconds, millis] = parts.as_slice() else {
        return None;
    };
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis)
}

/// From each trip to the probes that follow it, in milliseconds.
fn open_times(transitions: &[Transition]) -> Vec<u64> {
    const DAY: u64 = 24 * 3_600 * 1_000;
    let pairs = transitions.iter().zip(transitions.iter().skip(1));
    let open = pairs.filter(|(opened, _)| opened.change.ends_with("-> open"));
    open.map(|(opened, probed)| (probed.at_ms + DAY - opened.at_ms) % DAY)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_and_the_harness_make_the_same_transitions() -> anyhow::Result<()> {
    if left_out_on_module("the harness runs the .wasm")? {
        return Ok(());
    }
    let _alone = alone().await;
    let (real, simulated) = (real().await?, simulated()?);
    let changes = |transitions: &[Transition]| -> Vec<String> {
        transitions.iter().map(|made| made.change.clone()).collect()
    };
    assert_eq!(changes(&real), changes(&simulated));
    let (real_times, simulated_times) = (open_times(&real), open_times(&simulated));
    assert!(
        real_times.len() >= 3,
        "at least three trips: {real_times:?}"
    );
    for (real, simulated) in real_times.iter().zip(&simulated_times) {
        assert!(
            real.abs_diff(*simulated) <= TOLERANCE_MS,
            "{real_times:?} and {simulated_times:?}"
        );
    }
    println!("open times in ms: Envoy {real_times:?}, harness {simulated_times:?}");
    Ok(())
}
