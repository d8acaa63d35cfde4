//! Slots of a bulkhead: taken, given back, held by workers that die or stall.

use super::{TICK, listed, scenario, ticks};
use crate::explore::scenario::{Forced, Scenario, Step};

/// A bulkhead alone.
fn bulkhead(places: u32) -> String {
    format!(
        r#"{{"version":1,"policies":{{"default":{{"breaker":{{"mode":"off"}},
        "bulkhead":{{"max_concurrent":{places}}}}}}}}}"#
    )
}

pub(super) fn all() -> Vec<Scenario> {
    let good = Step::Answer(200, false);
    vec![
        Scenario {
            scripts: vec![vec![Step::Ask]; 3],
            ..scenario("slots", "three workers ask for two places", bulkhead(2))
        },
        Scenario {
            before: listed(),
            scripts: vec![vec![Step::Ask, good], vec![Step::Ask, good, Step::Ask]],
            ..scenario("one-slot", "one place goes to and fro", bulkhead(1))
        },
        Scenario {
            before: listed(),
            scripts: vec![vec![Step::Ask, Step::Leave], vec![Step::Ask, Step::Tick]],
            ..scenario(
                "client-cancels",
                "a client goes away while another worker asks and ticks",
                bulkhead(1),
            )
        },
        Scenario {
            before: listed(),
            scripts: vec![vec![Step::Ask, good], vec![Step::Ask]],
            kills: 1,
            after: ticks(6),
            ..scenario(
                "holder-killed",
                "a worker dies with its places, and they come back",
                bulkhead(2),
            )
        },
        Scenario {
            before: [listed(), vec![Forced::One(0, Step::Ask)]].concat(),
            scripts: vec![vec![good], vec![Step::Tick], vec![Step::Ask]],
            time: vec![TICK; 4],
            ..scenario(
                "stalled-worker",
                "a worker that does not tick for long gives its place back",
                bulkhead(1),
            )
        },
    ]
}
