//! What a file must say, what its journal says, and when it is aborted.

use std::path::Path;

use seawall_harness::chaos::{Experiment, Stage, Status};
use serde_json::{Value, json};

use crate::{on, shipped};

fn step(kind: &str, name: &str, arguments: &[&str]) -> Value {
    let mut words = vec!["chaos"];
    words.extend(arguments);
    json!({"type": kind, "name": name, "provider": {"type": "process", "path": "seawall", "arguments": words}})
}

fn probe(name: &str, ask: &str) -> Value {
    let mut probe = step("probe", name, &["probe", "x", ask]);
    probe["tolerance"] = json!(0);
    probe
}

/// Errors for 20 seconds, and a breaker.
fn document() -> Value {
    json!({
        "title": "a title",
        "description": "a description",
        "steady-state-hypothesis": {"title": "well", "probes": [probe("nothing fails", "failed<1%")]},
        "method": [
            step("action", "errors", &["fault", "x", "errors,for=20s"]),
            step("action", "time", &["wait", "x", "20s"]),
            probe("no errors", "success>99%"),
            step("action", "heal", &["heal", "x", "60s"]),
        ],
        "rollbacks": [step("action", "the end", &["end", "x"])],
        "extensions": [{
            "name": "seawall",
            "workload": {"rate": 50},
            "policy": {"version": 1, "policies": {"default": {"breaker": {"open": {"up_to": "10s", "jitter": 0}}}}},
        }],
    })
}

fn read(document: Value) -> Result<Experiment, String> {
    Experiment::of(document, Path::new("x.yaml")).map_err(|error| error.to_string())
}

#[test]
fn a_wrong_file_says_where_and_what_would_be_right() {
    read(document()).unwrap();
    let python =
        json!({"type": "action", "name": "a", "provider": {"type": "python", "module": "os"}});
    for (place, value, expected) in [
        ("/method/0", python, "method[0]: a: a simulation plays"),
        (
            "/method/0/provider/arguments/3",
            json!("flood,for=1s"),
            "no kind of fault",
        ),
        (
            "/method/0/type",
            json!("probe"),
            "a probe asks, an action does",
        ),
        ("/method/2/tolerance", json!("yes"), "expected an exit code"),
        (
            "/method/3/provider/arguments/1",
            json!("wait"),
            "expected a step `chaos heal`",
        ),
        (
            "/method/1/provider/arguments/2",
            json!("${y}"),
            "the configuration has no y",
        ),
        (
            "/steady-state-hypothesis/probes/0/tolerance",
            Value::Null,
            "expected a `tolerance`",
        ),
        ("/extensions/0/name", json!("other"), "name: seawall"),
        (
            "/extensions/0/policy/version",
            json!(7),
            "extensions.seawall.policy: version",
        ),
        ("/extensions/0/workload/rate", json!(0), "above 0"),
        ("/extensions/0/policy", json!("none.yaml"), "none.yaml"),
    ] {
        let mut wrong = document();
        *wrong.pointer_mut(place).unwrap() = value;
        let told = read(wrong)
            .err()
            .unwrap_or_else(|| panic!("{place} is read"));
        assert!(told.contains(expected), "{place}: {told}");
    }
    for (key, value, expected) in [
        (
            "control",
            json!([{"name": "c", "fails": ["nothing"]}]),
            "no probe with a tolerance",
        ),
        (
            "world",
            json!({"version": 1, "services": {"upstream": {"host": 1}}}),
            "unknown field",
        ),
        ("workers", json!(9), "1 to 8"),
        ("abort", json!(["speed<1"]), "no figure"),
    ] {
        let mut wrong = document();
        wrong["extensions"][0][key] = value;
        let told = read(wrong).err().unwrap_or_else(|| panic!("{key} is read"));
        assert!(told.contains(expected), "{key}: {told}");
    }
}

fn judged(document: Value) -> seawall_harness::chaos::Verdict {
    let experiment = read(document).unwrap();
    let stage = Stage::new(&experiment, shipped::module()).unwrap();
    let played = stage.run(&experiment.seawall(), on).unwrap();
    played.verdict
}

#[test]
fn a_probe_in_the_method_that_is_out_of_its_tolerance_is_a_deviation() {
    let verdict = judged(document());
    assert_eq!(verdict.journal.status, Status::Completed);
    assert!(verdict.journal.deviated && !verdict.passed);
    assert_eq!(verdict.missed, ["no errors"]);
    assert!(verdict.healing.met, "{:?}", verdict.healing);
    let steady = &verdict.journal.steady_states;
    assert!(steady.before.as_ref().unwrap().steady_state_met);
    assert!(steady.after.as_ref().unwrap().steady_state_met);
    assert_eq!(
        (verdict.journal.run.len(), verdict.journal.rollbacks.len()),
        (4, 1)
    );
}

#[test]
fn what_is_not_well_before_is_not_begun_and_rolled_back() {
    let mut document = document();
    document["extensions"][0]["world"] =
        json!({"version": 1, "services": {"upstream": {}}, "faults": ["errors,at=2s,for=3s"]});
    let verdict = judged(document);
    assert_eq!(verdict.journal.status, Status::Failed);
    assert!(!verdict.journal.deviated && !verdict.passed);
    assert!(verdict.journal.run.is_empty() && verdict.journal.steady_states.after.is_none());
    assert_eq!(verdict.journal.rollbacks.len(), 1);
}

#[test]
fn a_condition_to_abort_ends_the_method_and_rolls_back() {
    let mut document = document();
    document["extensions"][0]["abort"] = json!(["success<50%"]);
    let verdict = judged(document);
    assert_eq!(verdict.journal.status, Status::Aborted);
    let done: Vec<&str> = verdict
        .journal
        .run
        .iter()
        .filter_map(|entry| entry.activity["name"].as_str())
        .collect();
    assert_eq!(done, ["errors", "time"], "what came later was not done");
    assert!(verdict.journal.steady_states.after.is_none() && !verdict.passed);
    assert_eq!(verdict.journal.rollbacks.len(), 1);
    assert!(
        (15.0..18.0).contains(&verdict.journal.duration),
        "{}",
        verdict.journal.duration
    );
}

#[test]
fn time_passes_in_pauses_and_not_while_something_is_done_in_the_background() {
    let mut document = document();
    document["method"][0]["pauses"] = json!({"before": 5, "after": 2});
    document["method"][1]["background"] = json!(true);
    let experiment = read(document).unwrap();
    let stage = Stage::new(&experiment, shipped::module()).unwrap();
    let second = 1_000_000_000;
    // The errors begin at 15 s; the steps behind the wait do not wait, and so they end at 17 s.
    assert_eq!(stage.trouble(), Some((15 * second, 17 * second)));
    assert_eq!(stage.timeline.clock, 77 * second);
}
