//! The scenarios that are there.

mod epochs;
mod slots;

use super::scenario::{Forced, HostFault, Scenario, Step};

const SECOND: u64 = 1_000_000_000;
const TICK: u64 = seawall_policy::worker::TICK_MILLIS as u64 * 1_000_000;

/// Scenarios of more than a tenth of a second, in the order in which they are explored.
const LONG: [&str; 5] = [
    "failing-probe",
    "after-probes",
    "first-record",
    "probes",
    "six-workers",
];

/// A breaker that trips at so many failures and lets so many probes through.
fn breaker(minimum: u32, permits: u32) -> String {
    format!(
        r#"{{"version":1,"policies":{{"default":{{"breaker":{{"minimum_calls":{minimum},"consecutive":0,
        "slow_call":{{"rate":0}},"ramp":"0s","hosts":{{"grace":"0s"}},"open":{{"for":"1s","up_to":"1s","jitter":0}},
        "half_open":{{"permits":{permits},"wait":"20s"}}}}}}}}}}"#
    )
}

/// The same beside a breaker that is closed, which says at the admission whether retries can be paid for.
fn both() -> String {
    budget().replace(r#""mode":"off""#, r#""minimum_calls":100"#)
}

/// Retries alone: two first attempts pay for one.
fn budget() -> String {
    r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"retries":{
        "attempts":3,"budget":{"ratio":50,"min_per_second":0}}}}}"#
        .to_owned()
}

fn scenario(name: &'static str, about: &'static str, configuration: String) -> Scenario {
    Scenario {
        name,
        about,
        configuration,
        before: Vec::new(),
        scripts: Vec::new(),
        time: Vec::new(),
        kills: 0,
        fault: None,
        after: Vec::new(),
        preemptions: None,
        verdicts: None,
        latencies: None,
        retries: None,
        probes: None,
    }
}

/// Each worker sees a failure, and the breaker opens. All are listed as members.
fn opened() -> Vec<Forced> {
    vec![
        Forced::Each(Step::Ask),
        Forced::Each(Step::Answer(503, false)),
        Forced::Each(Step::Tick),
    ]
}

/// As [`tripped`], before the first tick of any: nobody is listed.
fn unlisted() -> Vec<Forced> {
    let mut before = tripped();
    before.retain(|forced| *forced != Forced::Each(Step::Tick));
    before
}

/// As [`opened`], and the open time is over.
fn tripped() -> Vec<Forced> {
    [opened(), vec![Forced::Wait(SECOND)]].concat()
}

/// The third worker's request is under way while the breaker trips, and is closed again.
fn stale() -> Vec<Forced> {
    let (good, bad) = (Step::Answer(200, false), Step::Answer(503, false));
    vec![
        Forced::Each(Step::Ask),
        Forced::One(0, bad),
        Forced::One(1, bad),
        Forced::Wait(SECOND),
        Forced::One(0, Step::Ask),
        Forced::One(0, good),
    ]
}

/// Each worker had a request, and is listed at its tick.
fn listed() -> Vec<Forced> {
    vec![
        Forced::Each(Step::Ask),
        Forced::Each(Step::Leave),
        Forced::Wait(TICK),
        Forced::Each(Step::Tick),
    ]
}

/// So many ticks of all.
fn ticks(count: usize) -> Vec<Forced> {
    let tick = [Forced::Wait(TICK), Forced::Each(Step::Tick)];
    std::iter::repeat_n(tick, count).flatten().collect()
}

/// All scenarios, in the order in which they are explored.
pub fn all() -> Vec<Scenario> {
    let mut all = [
        half_open(),
        closed(),
        budgets(),
        epochs::all(),
        slots::all(),
        kills(),
        failures(),
    ]
    .concat();
    // What takes longest comes last.
    all.sort_by_key(|scenario| LONG.iter().position(|name| *name == scenario.name));
    all
}

/// One of them.
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

fn half_open() -> Vec<Scenario> {
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
    ]
}

fn closed() -> Vec<Scenario> {
    let asked = vec![Forced::Each(Step::Ask)];
    let adaptive = r#"{"version":1,"policies":{"default":{"breaker":{"minimum_calls":100},
        "timeout":{"adaptive":{"minimum_samples":1}}}}}"#;
    vec![
        Scenario {
            before: asked.clone(),
            scripts: vec![
                vec![Step::Answer(503, false)],
                vec![Step::Answer(200, false)],
                vec![Step::Answer(503, false)],
            ],
            verdicts: Some(3),
            ..scenario(
                "verdicts",
                "three answers are counted once each",
                breaker(20, 3),
            )
        },
        Scenario {
            before: stale(),
            scripts: vec![
                vec![Step::Ask, Step::Answer(200, false)],
                vec![Step::Tick],
                vec![Step::Answer(503, false)],
            ],
            verdicts: Some(1),
            ..scenario(
                "late-response",
                "an answer comes two generations late",
                breaker(2, 1),
            )
        },
        Scenario {
            before: asked.clone(),
            scripts: vec![
                vec![Step::Answer(503, false), Step::Ask],
                vec![Step::Answer(503, false)],
                vec![Step::Answer(503, false), Step::Ask],
            ],
            ..scenario("trip", "the breaker opens once, for all", breaker(3, 3))
        },
        Scenario {
            scripts: vec![vec![Step::Ask, Step::Answer(200, false)]; 3],
            verdicts: Some(3),
            preemptions: Some(3),
            ..scenario(
                "first-record",
                "nobody was there before: one record is made",
                breaker(20, 3),
            )
        },
        Scenario {
            before: [
                listed(),
                asked,
                vec![Forced::Wait(TICK), Forced::Each(Step::Answer(200, false))],
            ]
            .concat(),
            scripts: vec![vec![Step::Tick]; 3],
            latencies: Some(3),
            ..scenario(
                "latencies",
                "what each worker measured is kept",
                adaptive.to_owned(),
            )
        },
    ]
}

fn budgets() -> Vec<Scenario> {
    let before = vec![
        Forced::Each(Step::Ask),
        Forced::Each(Step::Answer(200, false)),
        Forced::Each(Step::Tick),
    ];
    let retried = Step::Answer(503, true);
    let dropped = Step::Answer(503, false);
    let after = [
        vec![Forced::Each(dropped), Forced::Each(dropped)],
        vec![Forced::Wait(TICK), Forced::Each(Step::Tick)],
    ]
    .concat();
    let asked = [before.clone(), vec![Forced::Each(Step::Ask)]].concat();
    vec![
        Scenario {
            before: asked.clone(),
            scripts: vec![vec![retried]; 3],
            retries: Some(3),
            after: after.clone(),
            ..scenario(
                "votes",
                "three failures, and just enough for three retries",
                budget(),
            )
        },
        Scenario {
            before: vec![
                Forced::One(0, Step::Ask),
                Forced::One(0, Step::Answer(200, false)),
                Forced::One(1, Step::Ask),
                Forced::One(1, Step::Answer(200, false)),
                Forced::Each(Step::Tick),
            ],
            scripts: vec![vec![Step::Tick], vec![Step::Tick], vec![Step::Ask, retried]],
            retries: Some(1),
            after: after.clone(),
            ..scenario(
                "one-retry-left",
                "exactly one retry is there when a request comes",
                both(),
            )
        },
        Scenario {
            before: asked.clone(),
            scripts: vec![vec![retried]; 3],
            retries: Some(1),
            after: after.clone(),
            ..scenario(
                "budget-exhausted",
                "three failures, and enough for one retry",
                budget().replace(r#""ratio":50"#, r#""ratio":20"#),
            )
        },
        Scenario {
            before: asked.clone(),
            scripts: vec![vec![dropped], vec![retried], vec![Step::Reset]],
            after: after.clone(),
            ..scenario(
                "refunds",
                "a vote is dropped, one carried out, an attempt is reset",
                budget(),
            )
        },
        Scenario {
            before: before.clone(),
            scripts: vec![
                vec![Step::Ask, retried],
                vec![Step::Ask, Step::Tick],
                vec![Step::Ask, retried],
            ],
            retries: Some(2),
            after: after.clone(),
            ..scenario(
                "deposits",
                "first attempts pay in, by a withdrawal and by a tick",
                both(),
            )
        },
        Scenario {
            before: asked,
            scripts: vec![vec![retried], vec![Step::Reset], vec![retried]],
            kills: 1,
            after,
            ..scenario("votes-kill", "a VM dies among votes", budget())
        },
    ]
}

/// A breaker beside a bulkhead: a request holds a permit and a slot.
fn breaker_and_bulkhead(permits: u32, places: u32) -> String {
    let bulkhead = format!(r#""default":{{"bulkhead":{{"max_concurrent":{places}}},"#);
    breaker(3, permits).replace(r#""default":{"#, &bulkhead)
}

fn kills() -> Vec<Scenario> {
    let good = Step::Answer(200, false);
    vec![
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask, good], vec![Step::Ask], vec![Step::Tick]],
            kills: 1,
            after: ticks(6),
            ..scenario(
                "permit-and-slot",
                "a VM dies with a permit and a slot, and both come back",
                breaker_and_bulkhead(2, 3),
            )
        },
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask]; 3],
            kills: 1,
            after: ticks(6),
            ..scenario(
                "kill",
                "a VM dies wherever it stands: its permits come back",
                breaker(3, 2),
            )
        },
        Scenario {
            before: tripped(),
            scripts: vec![vec![Step::Ask, good], vec![Step::Ask], vec![Step::Tick]],
            kills: 1,
            after: ticks(6),
            ..scenario(
                "kill-probe",
                "a VM dies with a probe, before its verdict or after",
                breaker(3, 3),
            )
        },
    ]
}

/// The host fails at one write: what it was about is made good at the next tick.
fn failures() -> Vec<Scenario> {
    let failing = |nth| {
        Some(HostFault {
            worker: 1,
            call: "proxy_set_shared_data".to_owned(),
            nth,
            status: 10,
        })
    };
    let (good, bad) = (Step::Answer(200, false), Step::Answer(503, false));
    vec![
        Scenario {
            before: vec![Forced::Each(Step::Ask)],
            scripts: vec![vec![bad], vec![bad], vec![good]],
            fault: failing(1),
            after: ticks(1),
            verdicts: Some(3),
            ..scenario(
                "unstored-verdicts",
                "a verdict that could not be stored is stored later",
                breaker(20, 3),
            )
        },
        Scenario {
            before: vec![
                Forced::Each(Step::Ask),
                Forced::Each(good),
                Forced::Each(Step::Tick),
                Forced::Each(Step::Ask),
            ],
            scripts: vec![vec![Step::Answer(503, true)], vec![Step::Tick], vec![good]],
            fault: failing(2),
            after: [vec![Forced::Each(bad)], ticks(1)].concat(),
            ..scenario(
                "unstored-deposits",
                "deposits that could not be stored are stored later",
                budget(),
            )
        },
    ]
}
