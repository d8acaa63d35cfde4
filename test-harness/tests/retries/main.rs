//! The simulation against theory and against published simulations: what retries do to an upstream, and what a filter can
//! do about them.

mod load;
mod positions;
mod shedding;
mod storms;

use seawall_harness::fault::Fault;
use seawall_harness::sim::{Environment, Scenario};
use seawall_harness::trace::Request;

/// An upstream that takes everything, with these faults.
fn scenario(seed: u64, faults: &[&str]) -> Scenario {
    Scenario::from(Environment {
        servers: usize::MAX,
        queue: 0,
        faults: faults
            .iter()
            .map(|fault| fault.parse::<Fault>().expect("a fault"))
            .collect(),
        patience: None,
        seed,
    })
}

/// So many requests a second for so many seconds, evenly spaced.
fn even(rate: u64, seconds: u64, service_us: u64) -> Vec<Request> {
    (0..rate * seconds)
        .map(|number| Request {
            at_us: number * 1_000_000 / rate,
            service_us,
            ..Request::default()
        })
        .collect()
}

#[track_caller]
fn near(what: &str, found: f64, expected: f64, tolerance: f64) {
    println!("{what}: {found:.4}, expected {expected:.4} within {tolerance}");
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found} is not {expected}"
    );
}
