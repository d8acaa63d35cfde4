//! Half-open: who gets permits, what verdicts make of it, and permits that lapse.

use super::{SECOND, TICK, breaker, opened, scenario, tripped, unlisted};
use crate::explore::scenario::{Forced, Scenario, Step};

/// A call is slow by default after this. A permit lapses a second later.
const SLOW: u64 = 2 * SECOND;

/// Slow calls are on, and each request is a long poll: its silence is no verdict, so that its permit lapses.
fn polls() -> String {
    breaker(2, 2).replace(
        r#""slow_call":{"rate":0}"#,
        r#""slow_call":{"long_poll":[{"path":"/"}]}"#,
    )
}

/// Half-open for so long that requests whose silence says nothing get permits. All were listed as members a tick ago.
fn probing_for_a_second() -> Vec<Forced> {
    vec![
        Forced::Each(Step::Ask),
        Forced::Each(Step::Answer(503, false)),
        Forced::Wait(2 * SECOND - TICK),
        Forced::Each(Step::Tick),
        Forced::Wait(TICK),
    ]
}

pub(super) fn all() -> Vec<Scenario> {
    let good = Step::Answer(200, false);
    let bad = Step::Answer(503, false);
    vec![
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask]; 3],
            probes: Some(2),
            ..scenario(
                "permits",
                "three workers ask for two permits",
                breaker(3, 2),
            )
        },
        Scenario {
            before: unlisted(),
            scripts: vec![vec![Step::Ask]; 3],
            probes: Some(2),
            ..scenario(
                "unlisted",
                "three workers list themselves and ask for two permits",
                breaker(3, 2),
            )
        },
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask, good]; 3],
            ..scenario(
                "probes",
                "three probes go and come back well",
                breaker(3, 3),
            )
        },
        Scenario {
            before: tripped(),
            scripts: vec![
                vec![Step::Ask, bad],
                vec![Step::Ask, good],
                vec![Step::Ask, Step::Leave],
            ],
            ..scenario(
                "failing-probe",
                "of three probes one fails and one is left",
                breaker(3, 2),
            )
        },
        Scenario {
            before: opened(),
            scripts: vec![vec![Step::Ask], vec![Step::Tick], vec![Step::Ask, good]],
            time: vec![SECOND],
            ..scenario(
                "open-time-ends",
                "the open time ends while workers ask and tick",
                breaker(3, 1),
            )
        },
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask]; 6],
            preemptions: Some(3),
            probes: Some(3),
            ..scenario(
                "six-workers",
                "six workers ask for three permits",
                breaker(6, 3),
            )
        },
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask, good, Step::Ask]; 3],
            ..scenario(
                "after-probes",
                "probes, their verdicts, and who comes after",
                breaker(3, 2),
            )
        },
        Scenario {
            before: probing_for_a_second(),
            scripts: vec![
                vec![Step::Ask, Step::Tick, good],
                vec![Step::Ask, Step::Tick, Step::Ask, good],
            ],
            time: vec![SLOW + SECOND + TICK],
            ..scenario(
                "lapses",
                "permits lapse where the upstream is silent, and answers come late",
                polls(),
            )
        },
    ]
}
