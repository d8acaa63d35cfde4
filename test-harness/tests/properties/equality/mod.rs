//! The core natively equals the `.wasm`: the same policies, requests, faults and draws give the same decisions, headers, local
//! replies, log fields, metrics, log lines and bytes in shared data, after each step.
//!
//! Each case is a policy and a list of steps for one to four workers. The first difference is shrunk to the shortest list
//! that shows it, and printed. `PROPTEST_CASES=5000` runs more of them.

mod bodies;
mod cases;
mod comparison;
mod facts;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

use serde_json::Value;

use bodies::Bodies;
use cases::{configuration, policy, steps};

const CASES: u32 = 200;
/// What happens in the cases at least once.
const HAPPENS: [&str; 16] = [
    "seawall_transitions from=closed to=open",
    "seawall_transitions from=half_open to=closed",
    "seawall_transitions from=half_open to=open",
    "seawall_decisions decision=refused reason=breaker_ramp",
    "seawall_decisions decision=refused reason=bulkhead_full",
    "seawall_decisions decision=refused reason=deadline",
    "seawall_decisions decision=refused reason=shed_limit",
    "seawall_decisions decision=refused reason=shed_load",
    "seawall_decisions decision=refused reason=unfinished",
    "seawall_fallbacks rung=cluster reason=open",
    "seawall_fallbacks rung=stale reason=failure",
    "seawall_fallbacks rung=static reason=failure",
    "seawall_retries decision=granted reason=none",
    "seawall_retries decision=refunded reason=none",
    "seawall_stale outcome=kept",
    "seawall_shadow_outcomes outcome=failure",
];

#[test]
fn the_core_natively_equals_the_wasm() {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    let cases = wanted.and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, random);
    let valid = |policy: &Value| seawall_config::parse(configuration(policy).as_bytes()).is_ok();
    let case = (
        policy().prop_filter("a valid policy", valid),
        1..5_usize,
        any::<u64>(),
        steps(),
    );
    let tally = RefCell::new(BTreeMap::new());
    let result = runner.run(&case, |(policy, workers, seed, steps)| {
        let mut bodies = Bodies::start(&policy, workers, seed);
        for (number, step) in steps.iter().enumerate() {
            if let Err(difference) = bodies.step(step) {
                let said = format!("step {number}, {step:?}: {difference}");
                return Err(TestCaseError::fail(said));
            }
        }
        let mut tally = tally.borrow_mut();
        for (name, value) in bodies.process.metrics() {
            let labels = name.split("..");
            let kind: Vec<_> = labels.filter(|label| !is_name(label)).collect();
            *tally.entry(kind.join(" ")).or_insert(0) += value;
        }
        Ok(())
    });
    if let Err(found) = result {
        panic!("{found}");
    }
    let tally = tally.into_inner();
    println!("{tally:#?}");
    // Equal bodies that do nothing would prove nothing.
    for happened in HAPPENS {
        let count = tally.get(happened).copied().unwrap_or(0);
        assert!(count > 0, "{happened} never happened in {cases} cases");
    }
}

/// Whether a label only names a policy or an upstream.
fn is_name(label: &str) -> bool {
    label.starts_with("policy=") || label.starts_with("upstream=")
}
