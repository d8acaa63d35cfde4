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
    .into_iter()
    .chain(credits())
    .collect()
}

/// With two workers a lot is two of these places, and they are dealt in lots up to the half of them.
const PLACES: u32 = 34;

/// Places that workers hold in advance: each has an idle one when it begins.
fn credits() -> Vec<Scenario> {
    let good = Step::Answer(200, false);
    let asked = [Forced::Each(Step::Ask), Forced::Each(good)];
    let ahead = [listed(), asked.to_vec()].concat();
    // The first worker has not ticked for two ticks of the other.
    let silent = [Forced::Wait(TICK), Forced::One(1, Step::Tick)].repeat(2);
    // All that the second worker can get, beside those that the first one holds idle.
    let full = vec![Forced::One(1, Step::Ask); PLACES as usize];
    vec![
        Scenario {
            before: ahead.clone(),
            scripts: vec![
                vec![Step::Ask, Step::Ask, Step::Ask, good],
                vec![Step::Ask, Step::Tick, good],
            ],
            after: ticks(2),
            ..scenario(
                "credits",
                "workers use and return places that they hold in advance",
                bulkhead(PLACES),
            )
        },
        Scenario {
            before: ahead.clone(),
            scripts: vec![vec![Step::Ask, Step::Tick], vec![Step::Ask, good]],
            kills: 1,
            after: ticks(6),
            ..scenario(
                "credits-killed",
                "a worker dies with idle places, and they come back",
                bulkhead(PLACES),
            )
        },
        Scenario {
            before: [ahead.clone(), silent].concat(),
            scripts: vec![vec![Step::Ask, good], vec![Step::Tick; 2]],
            time: vec![TICK],
            after: ticks(6),
            ..scenario(
                "credits-stalled",
                "a worker that did not tick for long has no idle places any more",
                bulkhead(PLACES),
            )
        },
        Scenario {
            before: [ahead, full].concat(),
            scripts: vec![
                vec![Step::Ask, good, Step::Tick],
                vec![Step::Ask, Step::Ask, good],
            ],
            after: ticks(2),
            ..scenario(
                "credits-wanted",
                "a worker finds no place while another one holds some idle",
                bulkhead(PLACES),
            )
        },
    ]
}
