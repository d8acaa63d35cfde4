//! `seawall gameday` as a team uses it: exit codes, the record, the runbook, and Ctrl-C.

use std::fs::{copy, create_dir, read_to_string, write};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use seawall_harness::gameday::{Record, Status};
use tempfile::TempDir;

const SCENARIO: &str = r#"
title: Errors
goal: To see them.
roles: {incident_commander: Decides., responders: Look., observers: Watch., scribe: Writes.}
runbook: ../runbooks/upstream-down.md
seawall: {workload: {rate: 20}, policy: {version: 1, policies: {default: {}}}}
phases:
- {name: Calm, at: 0s, told: All is well., holds: [success>99%], see: {state_page: [state]}}
- name: Errors
  at: 10s
  told: Nothing is.
  inject:
  - {what: Every answer is 503, fault: errors}
  - {what: It is over, after: 9s, heal: true}
  see: {alerts: [SeawallUpstreamDown]}
  questions:
  - {id: first, ask: What now?, choices: [Wait, Restart], right: Wait, why: It passes., hint: Patience., points: 2}
ends: 20s
"#;

/// A directory with a scenario, its runbook and the alerts.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for (directory, file) in [
        ("runbooks", "upstream-down.md"),
        ("prometheus", "alerts.rules.yaml"),
    ] {
        create_dir(place.path().join(directory)).unwrap();
        let from = examples.join(directory).join(file);
        copy(from, place.path().join(directory).join(file)).unwrap();
    }
    create_dir(place.path().join("gamedays")).unwrap();
    write(place.path().join("gamedays/errors.yaml"), SCENARIO).unwrap();
    place
}

fn seawall(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
    command
        .arg("gameday")
        .args(arguments)
        .current_dir(place)
        .env("SEAWALL_WASM", wasm);
    command
}

const RUN: [&str; 7] = [
    "run",
    "gamedays/errors.yaml",
    "--out",
    "out",
    "--today",
    "2026-01-31",
    "--verified",
];

/// A run in which a team types this.
fn typed(place: &Path, text: &str) -> Output {
    let file = place.join("typed");
    write(&file, text).unwrap();
    let file = std::fs::File::open(file).unwrap();
    seawall(place, &RUN).stdin(file).output().unwrap()
}

fn record(place: &Path) -> Record {
    let text = read_to_string(place.join("out/errors.record.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn runbook(place: &Path) -> PathBuf {
    place.join("runbooks/upstream-down.md")
}

#[test]
fn who_sees_all_passes_and_verifies_the_runbook_and_who_does_not_leaves_it() {
    let place = place();
    let place = place.path();
    let before = read_to_string(runbook(place)).unwrap();

    let said = typed(place, "\nlee\n?\n2\n");
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let record_of = record(place);
    let [unseen, wrong] = record_of.gaps.as_slice() else {
        panic!("{:?}", record_of.gaps);
    };
    assert_eq!(unseen.what, "nobody saw: state");
    assert_eq!(wrong.what, "What now? (answered: Restart)");
    assert!(String::from_utf8_lossy(&said.stdout).contains("hint: Patience."));
    assert_eq!(read_to_string(runbook(place)).unwrap(), before);

    let said = typed(place, "mo\nlee\n1\n");
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let record_of = record(place);
    assert!(record_of.passed && record_of.gaps.is_empty());
    assert_eq!((record_of.score.points, record_of.score.of), (4.0, 4.0));
    assert_eq!(record_of.phases[0].seen[0].who.as_deref(), Some("mo"));
    let after = read_to_string(runbook(place)).unwrap();
    let written = "\n2026-01-31: `seawall gameday run gamedays/errors.yaml --seed 1` <!-- written by: seawall gameday run -->\n";
    assert!(after.contains(written), "{after}");
    let markdown = read_to_string(place.join("out/errors.record.md")).unwrap();
    assert!(markdown.contains("| 0:10 | inject: Every answer is 503 |"));

    let said = seawall(place, &["check", "gamedays"]).output().unwrap();
    assert_eq!(said.status.code(), Some(0));
    write(
        place.join("gamedays/bad.yaml"),
        SCENARIO.replace("told: Nothing", "tell: Nothing"),
    )
    .unwrap();
    let said = seawall(place, &["check", "gamedays"]).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(
        told.contains("gamedays/bad.yaml: phases[1]: unknown field `tell`"),
        "{told}"
    );
}

#[test]
fn an_interrupt_leaves_a_record_that_says_so() {
    let place = place();
    let place = place.path();
    // The second phase would come after a quarter of an hour.
    let slow = ["--pace", "paced", "--speed", "0.01"];
    let mut run = seawall(place, &[&RUN[..], &slow].concat())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(run.stdout.take().unwrap()).lines();
    // The last question of the first phase; the pipe stays open until the run ends.
    let mut lines = lines.map(|line| line.unwrap());
    lines
        .find(|line| line.contains("who saw it?"))
        .expect("it is asked");
    let signal = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    lines.for_each(drop);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let record = record(place);
    assert_eq!(record.status, Status::Interrupted);
    assert!(!record.passed && record.phases.len() == 1);
}
