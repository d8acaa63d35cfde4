//! A breaker opens while workers act on what they remember of it.

use super::{TICK, listed, scenario};
use crate::explore::scenario::{Forced, Scenario, Step};

const GOOD: Step = Step::Answer(200, false);
const BAD: Step = Step::Answer(503, false);

/// A breaker that opens at the first failure among some good responses.
fn breaker() -> String {
    r#"{"version":1,"policies":{"default":{"breaker":{"minimum_calls":3,"failure_rate":10,"consecutive":0,
        "slow_call":{"rate":0},"ramp":"0s","hosts":{"grace":"0s"},"open":{"for":"20s","up_to":"20s","jitter":0}}}}}"#
        .to_owned()
}

/// Each worker has seen the record, but the second one not since it changed last. A request of the first one is on its way.
fn remembered() -> Vec<Forced> {
    let asked = [Forced::Each(Step::Ask), Forced::Each(GOOD)];
    [listed(), asked.to_vec(), vec![Forced::One(0, Step::Ask)]].concat()
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            before: remembered(),
            scripts: vec![vec![BAD], vec![Step::Ask], vec![Step::Ask, GOOD, Step::Ask]],
            ..scenario(
                "heeded",
                "a breaker opens, and nobody acts on what was before",
                breaker(),
            )
        },
        Scenario {
            before: remembered(),
            scripts: vec![vec![BAD], vec![Step::Tick, Step::Ask]],
            kills: 1,
            // Who opened it may have died before it told.
            after: vec![
                Forced::Wait(TICK),
                Forced::Each(Step::Tick),
                Forced::Each(Step::Ask),
            ],
            ..scenario(
                "heeded-kill",
                "whoever opens it dies before it tells, and a tick makes up for that",
                breaker(),
            )
        },
    ]
}
