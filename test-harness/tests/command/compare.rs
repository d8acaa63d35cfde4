//! `seawall compare`: lanes, exit codes, what it writes, and that it does the same again.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::seawall;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const WORLD: &str = "
version: 1
services:
  shop: {hosts: 3, calls: [{service: db, timeout: 1s}]}
  db: {}
";

const RULE: &str = "
kind: DestinationRule
metadata: {name: all}
spec:
  host: upstream
  trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1}}, loadBalancer: {simple: RANDOM}}
";

fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let made = seawall(
        place.path(),
        &[
            "trace",
            "generate",
            "--rate",
            "100",
            "--for",
            "30s",
            "-o",
            "trace.jsonl",
        ],
    );
    assert!(made.status.success(), "{}", said(&made));
    for (name, text) in [
        ("world.yaml", WORLD),
        ("rule.yaml", RULE),
        ("a.yaml", "version: 1\npolicies: {default: {}}"),
        (
            "b.yaml",
            "version: 1\npolicies: {default: {breaker: {mode: 'off'}}}",
        ),
    ] {
        std::fs::write(place.path().join(name), text).unwrap();
    }
    place
}

fn lanes(output: &Output) -> Vec<(String, Value)> {
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let lanes = report["lanes"].as_array().expect("lanes").clone();
    let named = |lane: Value| (lane["lane"].as_str().unwrap_or_default().to_owned(), lane);
    lanes.into_iter().map(named).collect()
}

#[test]
fn policies_stand_beside_what_one_has_without_them() {
    let place = place();
    let arguments = [
        "compare",
        "--trace",
        "trace.jsonl",
        "--fault",
        "errors,at=10s,for=10s,share=100",
        "--policy",
        "b.yaml",
        "--policy",
        "a.yaml",
        "--baseline",
        "rule.yaml",
        "--json",
    ];
    let output = seawall(place.path(), &arguments);
    assert!(output.status.success(), "{}", said(&output));
    let lanes = lanes(&output);
    let names: Vec<&str> = lanes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "no protection",
            "naive retries",
            "Envoy's own",
            "rule",
            "b",
            "a"
        ]
    );
    let reached = |name: &str| {
        let lane = lanes.iter().find(|(lane, _)| lane == name).expect(name);
        lane.1["reached_upstream_in_fault"]
            .as_u64()
            .expect("a count")
    };
    assert_eq!(reached("b"), reached("no protection"), "all is off");
    assert!(reached("naive retries") > 3 * reached("no protection"));
    assert!(reached("a") < reached("no protection") / 2);
    let failed = &lanes[3].1["answers"]["failed"];
    assert!(
        failed.as_u64().unwrap() > 1_000,
        "one request at a time: {failed}"
    );
    assert!(said(&output).contains("nothing is taken from loadBalancer"));
    let again = seawall(place.path(), &arguments);
    assert!(
        output.stdout == again.stdout,
        "the same again, whatever ran beside what"
    );
}

#[test]
fn a_criterion_decides_the_exit_code_for_the_last_policy() {
    let place = place();
    let compare = |policy: &str, criterion: &str| {
        let fault = ["--fault", "errors,at=10s,for=10s"];
        let rest = [
            "--policy",
            policy,
            "--lanes",
            "none",
            "--criteria",
            criterion,
        ];
        let arguments = [
            ["compare", "--trace", "trace.jsonl"].as_slice(),
            &fault,
            &rest,
        ]
        .concat();
        seawall(place.path(), &arguments).status.code()
    };
    assert_eq!(compare("a.yaml", "failed<25%"), Some(0));
    assert_eq!(compare("b.yaml", "failed<25%"), Some(1));
}

#[test]
fn a_world_is_played_and_told_again() {
    let place = place();
    let output = seawall(
        place.path(),
        &[
            "compare",
            "--trace",
            "trace.jsonl",
            "--world",
            "world.yaml",
            "--fault",
            "crash,at=10s,for=5s,service=db",
            "--json",
        ],
    );
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = report["reproduce"].as_str().unwrap();
    assert!(
        line.contains("--world world.yaml") && !line.contains("--workers"),
        "{line}"
    );
    let programs = Path::new(env!("CARGO_BIN_EXE_seawall")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let again = Command::new("sh")
        .args(["-c", &format!("{line} --json")])
        .current_dir(place.path())
        .env("PATH", path)
        .env(
            "SEAWALL_WASM",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm"),
        )
        .output();
    let again = again.unwrap_or_else(|error| panic!("{error}"));
    assert!(output.stdout == again.stdout, "{}", said(&again));
}

#[test]
fn an_incident_in_a_log_ends_in_a_manifest_that_refuses_nothing() {
    let place = place();
    let lines = (0..3_000).map(|number: u64| {
        let status = if (1_000..2_000).contains(&number) { 503 } else { 200 };
        format!(
            "{{\"start_time\":\"2026-01-01T00:00:{:02}.{:03}Z\",\"duration\":5,\"response_code\":{status},\"upstream_cluster\":\"upstream\"}}\n",
            number / 100,
            number % 100 * 10
        )
    });
    let log: String = lines.collect();
    std::fs::write(place.path().join("yesterday.json"), log).unwrap();
    let output = seawall(
        place.path(),
        &[
            "compare",
            "--access-log",
            "yesterday.json",
            "--baseline",
            "rule.yaml",
            "--manifest",
            "shadow.yaml",
            "--json",
        ],
    );
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["recorded_outcomes"], true);
    assert_eq!(
        report["lanes"][0]["answers"]["failed"], 1_000,
        "as in the log"
    );
    assert!(
        report["assumptions"]
            .as_array()
            .is_some_and(|all| all.len() == 5)
    );
    let check = seawall(place.path(), &["check", "shadow.yaml"]);
    assert!(check.status.success(), "{}", said(&check));
    let manifest = std::fs::read_to_string(place.path().join("shadow.yaml")).unwrap();
    assert!(
        manifest.contains("mode: shadow") && !manifest.contains("enforce"),
        "{manifest}"
    );
}

#[test]
fn bad_input_is_told_and_ends_with_2() {
    let place = place();
    std::fs::write(
        place.path().join("bad.yaml"),
        "version: 1\nservices: {a: {hosts: 0}}",
    )
    .unwrap();
    for (arguments, why) in [
        (
            ["--trace", "trace.jsonl", "--world", "bad.yaml"].as_slice(),
            "bad.yaml: services.a.hosts: 0",
        ),
        (
            &[
                "--trace",
                "trace.jsonl",
                "--world",
                "world.yaml",
                "--workers",
                "2",
            ],
            "cannot be used with",
        ),
        (
            &["--trace", "trace.jsonl", "--baseline", "a.yaml"],
            "a.yaml: there is no DestinationRule",
        ),
        (&["--policy", "a.yaml"], "--trace <FILE>"),
        (
            &["--trace", "trace.jsonl", "--lanes", "nothing"],
            "possible values",
        ),
        (
            &["--trace", "trace.jsonl", "--fault", "slow,at=1s,for=1s"],
            "slow needs it",
        ),
    ] {
        let output = seawall(place.path(), &[["compare"].as_slice(), arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            said(&output).contains(why),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn what_a_run_says_of_itself_repeats_it_and_other_chance_is_told() {
    let place = place();
    std::fs::rename(
        place.path().join("trace.jsonl"),
        place.path().join("-t.jsonl"),
    )
    .unwrap();
    let run = |seed: &str, more: &[&str]| {
        let arguments = [
            "compare",
            "--trace=-t.jsonl",
            "--lanes",
            "none",
            "--seed",
            seed,
        ];
        seawall(place.path(), &[arguments.as_slice(), more].concat())
    };
    let output = run("1", &["--out", "first", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = report["reproduce"].as_str().unwrap();
    assert!(line.contains(" --trace=-t.jsonl "), "{line}");
    for (seed, told) in [("1", false), ("2", true)] {
        let output = run(seed, &["--compare-with", "first/report.json"]);
        let said = said(&output);
        assert_eq!(said.contains("is chance"), told, "{said}");
    }
}
