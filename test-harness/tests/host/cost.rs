//! What the filter costs a request, counted and not timed: fuel and host calls are the same on every machine.

use std::collections::BTreeMap;

use crate::filter::{BREAKER, ask, end, process};

const REQUESTS: u64 = 1_000;

#[test]
fn a_good_request_costs_eleven_host_calls_and_little_fuel() {
    let process = process(1, BREAKER);
    let warm = ask(&process, 0).expect("passes");
    end(&process, warm, "200");
    let (fuel, calls) = (process.fuel(), process.common().calls.borrow().clone());
    for _ in 0..REQUESTS {
        let stream = ask(&process, 0).expect("passes");
        end(&process, stream, "200");
    }
    let fuel = (process.fuel() - fuel) / REQUESTS;
    let calls: BTreeMap<&str, u64> = process
        .common()
        .calls
        .borrow()
        .iter()
        .map(|(name, count)| (*name, (count - calls.get(name).unwrap_or(&0)) / REQUESTS))
        .filter(|(_, count)| *count > 0)
        .collect();
    let all: u64 = calls.values().sum();
    println!("a good request: {fuel} fuel, {all} host calls: {calls:?}");
    assert!(all <= 11, "{all} host calls: {calls:?}");
    assert!(fuel <= 25_000, "{fuel} fuel");
}
