//! The page of a suite and its history, as `seawall chaos run` writes them.

use std::path::Path;
use std::process::Command;

use seawall_harness::chaos::Summary;
use serde_json::Value;
use tempfile::TempDir;

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>{{uplot.js}}";

/// Errors for ten seconds, and what the hypothesis is.
fn experiment(title: &str, breaker: &str) -> String {
    let step = |name: &str, arguments: &str| {
        format!(
            "{{type: action, name: {name}, provider: {{type: process, path: seawall, arguments: [chaos, {arguments}]}}}}"
        )
    };
    let probe = |name: &str, tolerance: &str, what: &str| {
        format!(
            "{{type: probe, name: {name}, tolerance: {{type: range, target: stdout, range: {tolerance}}}, \
             provider: {{type: process, path: seawall, arguments: [chaos, probe, small.yaml, {what}]}}}}"
        )
    };
    format!(
        "title: \"{title}\"
description: For tests.
steady-state-hypothesis:
  title: Users get an answer
  probes:
  - {}
method:
- {}
- {}
- {}
- {}
rollbacks:
- {}
extensions:
- name: seawall
  workload: {{rate: 30}}
  policy: {{version: 1, policies: {{default: {{breaker: {breaker}, fallback: [{{static: {{body: \"[]\"}}}}]}}}}}}
  control:
  - {{name: badly set, policy: {{version: 1, policies: {{default: {{breaker: {{mode: off}}}}}}}}, fails: [spared]}}
  - {{name: without it, fails: [spared]}}
",
        probe("all well", "[100, 100]", "success"),
        step("errors", "fault, small.yaml, \"errors,for=10s\""),
        step("it goes on", "wait, small.yaml, 10s"),
        probe("spared", "[0, 0.5]", "amplification"),
        step("it heals", "heal, small.yaml, 40s"),
        step("over", "end, small.yaml"),
    )
}

/// A directory with the experiment.
fn place(breaker: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("small.yaml");
    std::fs::write(file, experiment(HOSTILE, breaker)).unwrap();
    place
}

const WELL: &str = "{open: {for: 1s, up_to: 2s}}";

/// What it says, and its exit code.
fn run(place: &Path, arguments: &str) -> (String, Option<i32>) {
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments.split(' '))
        .current_dir(place)
        .env("SEAWALL_WASM", wasm)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.code(),
    )
}

fn text(place: &Path, file: &str) -> String {
    std::fs::read_to_string(place.join(file)).unwrap()
}

/// What a page is made of.
fn data(page: &str) -> Value {
    let begin = page.find(r#"id="report">"#).unwrap() + r#"id="report">"#.len();
    let data = &page[begin..begin + page[begin..].find("</script>").unwrap()];
    serde_json::from_str(data).unwrap()
}

#[test]
fn two_runs_are_a_trend_of_two_and_the_same_run_gives_the_same_bytes() {
    let place = place(WELL);
    let place = place.path();
    let day = "chaos run small.yaml --history runs.jsonl --today 2026-01-31 --report";
    let (said, code) = run(place, &format!("{day} first.html"));
    assert_eq!(code, Some(0), "{said}");
    let first = (text(place, "first.html"), text(place, "runs.jsonl"));
    assert_eq!(data(&first.0)["earlier"].as_array().unwrap().len(), 0);

    let next = "chaos run small.yaml --history runs.jsonl --today 2026-02-01 --report next.html";
    let (said, code) = run(place, next);
    assert_eq!(code, Some(0), "{said}");
    let page = data(&text(place, "next.html"));
    let runs = Summary::history(&text(place, "runs.jsonl")).unwrap();
    let shown = [&page["earlier"][0], &page["now"]];
    let shown = shown.map(|run| serde_json::from_value::<Summary>(run.clone()).unwrap());
    assert_eq!(runs, shown, "the page has the runs of the history");
    let days = runs.iter().map(|run| run.day.as_str());
    assert_eq!(days.collect::<Vec<_>>(), ["2026-01-31", "2026-02-01"]);
    assert_eq!(
        Summary {
            day: String::new(),
            ..runs[0].clone()
        },
        Summary {
            day: String::new(),
            ..runs[1].clone()
        }
    );
    let held =
        |of: &Option<seawall_harness::chaos::Overall>| of.map(|of| (of.experiments, of.passed));
    assert_eq!(
        (
            runs[0].seawall.passed,
            runs[0].seawall.mttr_max_ms.is_some()
        ),
        (1, true)
    );
    assert_eq!(
        (held(&runs[0].no_filter), held(&runs[0].envoy)),
        (Some((1, 0)), Some((1, 0)))
    );

    std::fs::remove_file(place.join("runs.jsonl")).unwrap();
    run(place, &format!("{day} again.html"));
    assert!(first == (text(place, "again.html"), text(place, "runs.jsonl")));
    // Without a history there is no trend, and the page's command gives the page.
    run(
        place,
        "chaos run small.yaml --today 2026-01-31 --report alone.html",
    );
    let alone = text(place, "alone.html");
    assert_eq!(data(&alone)["history"], false);
    let command = data(&alone)["reproduce"].as_str().unwrap().to_owned();
    run(
        place,
        &format!(
            "{} --report by-command.html",
            command.strip_prefix("seawall ").unwrap()
        ),
    );
    assert!(alone == text(place, "by-command.html"), "{command}");
}

#[test]
fn a_damaged_history_is_an_error_with_its_line_before_anything_is_played() {
    let place = place(WELL);
    let place = place.path();
    let arguments =
        "chaos run small.yaml --report page.html --history runs.jsonl --today 2026-01-31";
    let (_, code) = run(place, arguments);
    assert_eq!(code, Some(0));
    std::fs::remove_file(place.join("page.html")).unwrap();
    let line = text(place, "runs.jsonl");
    // A last line without an end is whole, and the next one begins anew.
    std::fs::write(place.join("runs.jsonl"), line.trim_end()).unwrap();
    let (_, code) = run(
        place,
        "chaos run small.yaml --history runs.jsonl --today 2026-01-31",
    );
    assert_eq!((code, text(place, "runs.jsonl")), (Some(0), line.repeat(2)));

    let damaged = line.clone() + &line[..line.len() / 2];
    std::fs::write(place.join("runs.jsonl"), &damaged).unwrap();
    let (said, code) = run(place, arguments);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--history runs.jsonl: line 2: "), "{said}");
    assert_eq!(text(place, "runs.jsonl"), damaged, "nothing is appended");
    assert!(!place.join("page.html").exists());
    let (said, code) = run(place, "chaos run small.yaml --on envoy --history new.jsonl");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("are of runs in the simulation"), "{said}");
}

#[test]
fn a_missed_goal_is_1_and_each_form_names_the_experiment() {
    // A breaker that is off does not spare the upstream.
    let place = place("{mode: off}");
    let place = place.path();
    let arguments = "chaos run small.yaml --out out --report out/index.html --today 2026-01-31";
    let (said, code) = run(place, arguments);
    assert_eq!(code, Some(1), "{said}");
    let missed = "MISSED  pass rate: 0 % (0 of 1), 100 % wanted; not: small\n";
    assert!(said.contains(missed), "{said}");
    assert!(
        said.contains("met     controls failed as they should: 100 % (1 of 1)\n"),
        "{said}"
    );
    let suite: Value = serde_json::from_str(&text(place, "out/suite.json")).unwrap();
    assert_eq!(suite["goals"][0]["what"], "pass_rate");
    assert_eq!(suite["goals"][0]["missed"], serde_json::json!(["small"]));
    let page = data(&text(place, "out/index.html"));
    assert_eq!(page["suite"]["goals"], suite["goals"]);
    assert_eq!(page["pages"], true, "pages of experiments stand beside it");
}

#[test]
fn no_title_of_an_experiment_ends_the_element_that_it_stands_in() {
    let place = place(WELL);
    run(place.path(), "chaos run small.yaml --report page.html");
    let page = text(place.path(), "page.html");
    assert_eq!(data(&page)["suite"]["rows"][0]["title"], HOSTILE);
    assert_eq!(page.matches("<img").count(), 0);
    assert_eq!(
        page.matches("</script").count(),
        page.matches("<script").count()
    );
    assert!(
        !page.contains("{{page") && !page.contains("{{body"),
        "every part is filled in"
    );
    assert!(
        page.contains("default-src 'none'") && page.len() < 300_000,
        "{}",
        page.len()
    );
    for reference in [" src=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        assert_eq!(
            page.matches(reference).count(),
            usize::from(reference == " src="),
            "{reference}"
        );
    }
}
