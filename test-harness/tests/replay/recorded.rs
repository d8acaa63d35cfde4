//! Logs that are replayed: what their times, outcomes, clusters and gaps become, and what the report says of it.

use std::fmt::Write as _;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shipped;

const OFF: &str = "version: 1\npolicies: {default: {breaker: {mode: off}}}\n";

fn place(files: &[(&str, &str)]) -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(place.path().join(name), text).expect("written");
    }
    place
}

fn replay(place: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command
        .arg("replay")
        .args(arguments)
        .current_dir(place.path())
        .env("SEAWALL_WASM", shipped::wasm());
    command.output().expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn line(at_ms: u64, took_ms: u64, (status, flags): (u16, &str), cluster: &str) -> String {
    json!({"start_time": format!("{}.{:03}", 1_775_368_800 + at_ms / 1_000, at_ms % 1_000), "duration": took_ms,
        "status": status, "response_flags": flags, "upstream_cluster": cluster})
    .to_string()
}

/// Thirty seconds at 20 requests a second to one cluster; from 10 s to 20 s they end so, after so many milliseconds.
fn outage(status: u16, flags: &str, took_ms: u64) -> String {
    let mut log = String::new();
    for number in 0..600 {
        let sick = (200..400).contains(&number);
        let (took, end) = if sick {
            (took_ms, (status, flags))
        } else {
            (10, (200, "-"))
        };
        let _ = writeln!(log, "{}", line(number * 50, took, end, "c"));
    }
    log
}

#[test]
fn no_limit_of_the_route_ends_what_took_longer_in_the_log() {
    let mut log = String::new();
    for number in 0..200 {
        let took = if number % 10 == 0 { 20_000 } else { 10 };
        let _ = writeln!(log, "{}", line(number * 100, took, (200, "-"), "c"));
    }
    let place = place(&[
        ("long.json", &log),
        ("p.yaml", OFF),
        ("ut.json", &outage(504, "UT", 30_000)),
    ]);
    let long = ["--trace", "long.json", "--policy", "p.yaml"];
    let output = replay(&place, &[&long[..], &["--json"]].concat());
    let all = report(&output);
    assert_eq!(all["route_timeout_ms"], 21_000);
    for lane in 0..2 {
        assert_eq!(all["lanes"][lane]["answers"]["failed"], 0, "{lane}");
        let p99 = all["lanes"][lane]["p99_ms"].as_f64();
        assert!(p99 > Some(20_000.0) && p99 < Some(20_100.0), "{p99:?}");
    }
    assert!(
        said(&output).contains("--route-timeout"),
        "{}",
        said(&output)
    );
    let asked = replay(
        &place,
        &[&long[..], &["--route-timeout", "15s", "--json"]].concat(),
    );
    let all = report(&asked);
    assert_eq!(all["lanes"][0]["answers"]["failed"], 20);
    assert!(
        all["reproduce"]
            .as_str()
            .is_some_and(|line| line.contains("--route-timeout 15000000000ns"))
    );
    assert!(shown(&replay(&place, &long)).contains("route limit 21 s"));
    let recorded = [
        "--trace",
        "ut.json",
        "--policy",
        "p.yaml",
        "--recorded-outcomes",
        "--json",
    ];
    let all = report(&replay(&place, &recorded));
    assert_eq!(all["lanes"][0]["answers"]["failed"], 200);
    let p99 = all["lanes"][0]["p99_ms"].as_f64();
    assert!(
        p99 > Some(30_000.0) && p99 < Some(30_100.0),
        "as recorded: {p99:?}"
    );
}

#[test]
fn what_the_log_says_failed_and_what_reached_the_upstream_is_one_truth_in_all_that_is_told() {
    for (status, flags, reached, failed) in [
        // Every flag with every status is a unit test of what becomes of an attempt.
        (503, "UH", 400, 200),
        (429, "RL", 400, 0),
        (503, "UF,URX", 600, 200),
        (408, "SI", 600, 0),
    ] {
        let place = place(&[("log.json", &outage(status, flags, 5)), ("p.yaml", OFF)]);
        let arguments = [
            "--trace",
            "log.json",
            "--policy",
            "p.yaml",
            "--recorded-outcomes",
            "--json",
        ];
        let output = replay(&place, &arguments);
        let all = report(&output);
        let lane = &all["lanes"][0];
        assert_eq!(lane["reached_upstream"], reached, "{status} {flags}");
        assert_eq!(lane["answers"]["failed"], failed, "{status} {flags}");
        let words = said(&output);
        let told = words.contains(&format!("{failed} of them failed, as the log says"));
        assert_eq!(told, failed > 0, "{status} {flags}: {words}");
        assert_eq!(
            words.contains("nothing fails"),
            failed == 0,
            "{status} {flags}: {words}"
        );
    }
    // Failures too few for an outage fail too, and nobody says otherwise.
    let mut log = String::new();
    for number in 0..200 {
        let end = if number % 50 == 0 {
            (503, "UF")
        } else {
            (200, "-")
        };
        let _ = writeln!(log, "{}", line(number * 100, 10, end, "c"));
    }
    let place = place(&[("log.json", &log), ("p.yaml", OFF)]);
    let output = replay(
        &place,
        &[
            "--trace",
            "log.json",
            "--policy",
            "p.yaml",
            "--recorded-outcomes",
            "--json",
        ],
    );
    assert_eq!(report(&output)["lanes"][0]["answers"]["failed"], 4);
    assert!(
        said(&output).contains("holds no outage; 4 requests failed"),
        "{}",
        said(&output)
    );
}

/// Two clusters of ten requests a second each: a is sick from 10 s to 20 s, b from 15 s to 30 s.
fn two() -> String {
    let mut log = String::new();
    for number in 0..400 {
        let at = number * 100;
        for (name, sick) in [("a", 10_000..20_000), ("b", 15_000..30_000)] {
            let end = if sick.contains(&at) {
                (503, "UF")
            } else {
                (200, "-")
            };
            let _ = writeln!(log, "{}", line(at, 10, end, name));
        }
    }
    log
}

#[test]
fn each_cluster_is_sick_in_its_own_outages_alone() {
    let policy = "version: 1\npolicies:\n  a: {breaker: {mode: enforce}}\n  rest: {breaker: {mode: off}}\n\
                  upstreams:\n- {cluster: a, policy: a}\n- {cluster: 'nomatch*', policy: a}\n- {cluster: '*', policy: rest}\n";
    let place = place(&[("two.json", &two()), ("p.yaml", policy)]);
    let output = replay(
        &place,
        &[
            "--trace",
            "two.json",
            "--policy",
            "p.yaml",
            "--recorded-outcomes",
            "--json",
        ],
    );
    let all = report(&output);
    // 100 requests of a and 150 of b; over the union of both outages it would be 400.
    assert_eq!(all["lanes"][0]["reached_upstream_in_fault"], 250);
    assert_eq!(all["lanes"][0]["answers_in_fault"]["failed"], 250);
    assert_eq!(all["lanes"][0]["answers_in_fault"]["good"], 0);
    // Entry by entry: a governs requests, and its second entry gets none.
    let words = said(&output);
    assert!(
        words.contains("no request of the trace comes to upstreams[1] (cluster \"nomatch*\")"),
        "{words}"
    );
    assert!(!words.contains("governs no request"), "{words}");
}

#[test]
fn what_changes_nothing_is_told_and_what_is_no_number_is_refused_with_what_would_be_right() {
    let policy = "version: 1\npolicies: {default: {breaker: {mode: off}}}\n";
    let envoy = "admin: {}\nstatic_resources: {}\n";
    let place = place(&[
        ("two.json", &two()),
        ("p.yaml", policy),
        ("envoy.yaml", envoy),
    ]);
    let trace = ["--trace", "two.json", "--policy", "p.yaml"];
    for (more, code, words) in [
        (
            &["--cluster", "zzz"][..],
            0,
            "--cluster zzz changes nothing",
        ),
        (
            &["--service-time", "5ms"],
            0,
            "--service-time changes nothing",
        ),
        (&["--servers", "0"], 2, "expected 1 or more"),
        (&["--scale", "0"], 2, "expected a number above 0"),
        (&["--speed", "0"], 2, "expected a number above 0"),
        (&["--patience", "0s"], 2, "expected a time above 0"),
        (&["--route-timeout", "0s"], 2, "expected a time above 0"),
        (
            &["--fault", "errors,at=1s,for=1s,at=2s"],
            2,
            "at= is given twice",
        ),
        (&["--fault", "errors,at=1s,for=0s"], 2, "hits nothing"),
    ] {
        let output = replay(&place, &[&trace[..], more].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{more:?}: {}",
            said(&output)
        );
        assert!(said(&output).contains(words), "{more:?}: {}", said(&output));
    }
    let other = replay(&place, &["--trace", "two.json", "--policy", "envoy.yaml"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        said(&other).contains("a bootstrap of Envoy")
            && said(&other).contains("--policy wants a policy file"),
        "{}",
        said(&other)
    );
    let both = replay(&place, &["--trace", "-", "--policy", "-"]);
    assert!(
        said(&both).contains("one of them must be a file"),
        "{}",
        said(&both)
    );
}

#[test]
fn the_command_that_does_it_again_does_whatever_names_files_have() {
    let place = place(&[("t'w o.json", &outage(503, "UF", 5)), ("p$a.yaml", OFF)]);
    let wasm = place.path().join("my filter.wasm");
    std::fs::copy(shipped::wasm(), &wasm).expect("copied");
    let arguments = [
        "--trace",
        "t'w o.json",
        "--policy",
        "p$a.yaml",
        "--recorded-outcomes",
        "--cluster",
        "outbound|80||a",
        "--fields",
        "path=a b,flags=response_flags",
        "--wasm",
        "my filter.wasm",
        "--json",
    ];
    let first = report(&replay(&place, &arguments));
    let again = first["reproduce"].as_str().expect("a command");
    let program = env!("CARGO_BIN_EXE_seawall");
    let script = format!("seawall() {{ \"{program}\" \"$@\"; }}; {again} --json");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path())
        .env_remove("SEAWALL_WASM")
        .output()
        .expect("a shell");
    assert_eq!(report(&output), first, "{again}");
}

#[test]
fn one_request_is_one_and_retries_that_outweigh_refusals_are_told() {
    let policy = "version: 1\npolicies: {default: {breaker: {mode: off}, retries: {attempts: 3, budget: {ratio: 100}}}}\n";
    let place = place(&[
        ("p.yaml", OFF),
        ("log.json", &outage(503, "UF", 5)),
        ("retry.yaml", policy),
        ("one.json", &line(0, 5, (200, "-"), "c")),
    ]);
    let one = shown(&replay(
        &place,
        &[
            "--trace",
            "one.json",
            "--policy",
            "p.yaml",
            "--workers",
            "1",
        ],
    ));
    assert!(one.starts_with("1 request over 0.0 s, 1 worker,"), "{one}");
    let output = replay(
        &place,
        &[
            "--trace",
            "log.json",
            "--policy",
            "retry.yaml",
            "--recorded-outcomes",
        ],
    );
    let told = shown(&output);
    assert!(
        told.contains("more than without Seawall") && told.contains("retries"),
        "{told}{}",
        said(&output)
    );
}
