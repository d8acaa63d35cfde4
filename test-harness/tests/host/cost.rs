//! What the filter costs a request, counted and not timed: fuel and host calls are the same on every machine.

use std::collections::BTreeMap;

use crate::filter::{BREAKER, advance, ask, end, process};

const REQUESTS: u64 = 1_000;

#[test]
fn a_failure_of_long_ago_costs_nothing() {
    let process = process(
        1,
        &BREAKER.replace(r#""hosts":{"grace":"0s"}"#, r#""hosts":{"grace":"5s"}"#),
    );
    let properties = || {
        let calls = process.common().calls.borrow();
        calls.get("proxy_get_property").copied().unwrap_or(0)
    };
    let cost = |status| {
        let before = properties();
        let stream = ask(&process, 0).expect("passes");
        end(&process, stream, status);
        properties() - before
    };
    let well = cost("200");
    cost("503");
    let soon_after: u64 = (0..20).map(|_| cost("200")).sum();
    assert!(
        soon_after > 20 * well,
        "the hosts of answers are looked at while failures are about"
    );
    advance(&process, 11_000);
    cost("200");
    let later: u64 = (0..32).map(|_| cost("200")).sum();
    assert!(later <= 32 * well + 2, "only the sample is left: {later}");
}

#[test]
fn a_good_request_costs_twelve_host_calls_and_little_fuel() {
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
    assert!(all <= 12, "{all} host calls: {calls:?}");
    assert!(fuel <= 25_000, "{fuel} fuel");
}
