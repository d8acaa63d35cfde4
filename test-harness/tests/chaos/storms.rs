//! Storms: nothing that must hold breaks under policies that are well set, and a badly set one is found and made small.

use seawall_harness::chaos::{Gust, Invariant, Storm, Tried, shrink};
use seawall_harness::parallel::{self, cores};
use serde_json::{Value, json};

use crate::shipped;

const SEED: u64 = 1;

fn tried(policy: Value) -> Tried {
    Tried::new(json!({"version": 1, "policies": {"default": policy}})).unwrap()
}

#[test]
fn no_storm_breaks_what_must_hold() {
    let policies = [
        json!({}),
        json!({"retries": {"attempts": 3}, "timeout": {"total": "5s"}}),
        json!({"bulkhead": {"max_concurrent": 40}}),
    ];
    let policies = policies.map(tried);
    let module = shipped::module();
    let found = parallel::each(36, cores(), |number| {
        let storm = Storm::draw(SEED, number as u64);
        let broken = policies[number % policies.len()].broken(&storm, module);
        broken
            .expect("it can be played")
            .map(|broken| (number, broken))
    });
    let found = found.expect("all were played");
    let broken: Vec<_> = found.into_iter().flatten().collect();
    assert!(broken.is_empty(), "seed {SEED}: {broken:?}");
}

#[test]
fn a_breaker_that_wants_a_thousand_probes_is_found_and_the_storm_is_made_small() {
    let bad = tried(json!({"breaker": {"half_open": {"permits": 1000}, "open": {"up_to": "10s"}}}));
    let module = shipped::module();
    let mut storms = (0..30).map(|number| Storm::draw(SEED, number));
    let storm = storms.find(|storm| {
        let broken = bad.broken(storm, module).expect("it can be played");
        storm.gusts.len() > 1 && broken.is_some_and(|broken| broken.invariant == Invariant::Closes)
    });
    let storm = storm.expect("one of thirty storms opens the breaker");
    let shrunk = shrink(&bad, &storm, module, || {})
        .unwrap()
        .expect("it breaks something");
    assert_eq!(shrunk.broken.invariant, Invariant::Closes);
    let [gust] = shrunk.storm.gusts.as_slice() else {
        panic!("one thing is enough to open a breaker: {:?}", shrunk.storm);
    };
    assert!(matches!(gust, Gust::Fault(_)) && gust.at() == 0, "{gust:?}");
    assert_eq!((shrunk.storm.hosts, shrunk.storm.workers), (1, 1));
    // It still breaks, as a file that anybody can play; and nothing is broken by nothing.
    let again = bad.broken(&shrunk.storm, module).unwrap();
    assert_eq!(
        again.map(|broken| broken.invariant),
        Some(Invariant::Closes)
    );
    let nothing = Storm {
        gusts: Vec::new(),
        ..shrunk.storm
    };
    assert!(shrink(&bad, &nothing, module, || {}).unwrap().is_none());
}
