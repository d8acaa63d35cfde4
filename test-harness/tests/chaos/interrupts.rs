//! A simulation that somebody stops ends soon, however long it is, and what was done is kept.
#![allow(
    clippy::disallowed_methods,
    reason = "how soon a program ends is a time of the clock on the wall"
)]

use std::cell::Cell;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seawall_harness::chaos::{Experiment, Stage, Status};
use serde_json::Value;

use crate::{directory, on, shipped, stopped};

/// It takes half a minute and more to play: 1,000 requests a second for a quarter of an hour.
fn long(place: &Path) -> Experiment {
    let shipped = std::fs::read_to_string(directory().join("error-burst.yaml")).unwrap();
    let (rate, heal) = ("rate: 100,", ", 70s]");
    assert!(shipped.contains(rate) && shipped.contains(heal));
    let text = shipped
        .replace(rate, "rate: 1000,")
        .replace(heal, ", 860s]");
    let file = place.join("long.yaml");
    std::fs::write(&file, text).unwrap();
    Experiment::from_file(&file).unwrap()
}

#[test]
fn a_lane_is_stopped_at_the_next_request_and_its_journal_says_how_far_it_came() {
    let place = tempfile::tempdir().unwrap();
    let experiment = long(place.path());
    let stage = Stage::new(&experiment, shipped::module()).unwrap();
    let told = Cell::new(0);
    let played = stage.run(&experiment.seawall(), || {
        told.set(told.get() + 1);
        // The warm-up takes 10 s, and the breaker has had 5 s to notice.
        match told.get() <= 15_000 {
            true => on(),
            false => stopped(),
        }
    });
    let verdict = played.unwrap().verdict;
    assert_eq!(
        told.get(),
        15_001,
        "it is asked no more once it said to stop"
    );
    let journal = &verdict.journal;
    assert_eq!(journal.status, Status::Interrupted);
    assert!(verdict.stopped && !verdict.passed);
    assert!(journal.steady_states.before.is_some() && journal.steady_states.after.is_none());
    assert_eq!((journal.run.len(), journal.rollbacks.len()), (1, 1));
    assert!(
        (14.0..16.0).contains(&journal.duration),
        "{}",
        journal.duration
    );
}

/// The program, which is ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn said(&self, what: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{what}", self.0.id())).unwrap_or_default()
    }

    /// Whether it has said what is to be done with SIGINT.
    fn listens(&self) -> bool {
        let status = self.said("status");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.is_some_and(|mask| mask & (1 << (2 - 1)) != 0)
    }

    /// What it has computed, in hundredths of a second.
    fn computed(&self) -> u64 {
        let stat = self.said("stat");
        // The name, in brackets, may have spaces; the times are the 14th and 15th field.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let times = fields.split_whitespace().skip(11).take(2);
        times.filter_map(|time| time.parse::<u64>().ok()).sum()
    }
}

/// Waits for something, for a minute at most.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_long_simulation_that_is_interrupted_ends_within_a_second_and_its_journal_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let file = long(place.path()).file;
    let child = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["chaos", "run"])
        .arg(file)
        .arg("--out")
        .arg(place.path())
        .env(
            "SEAWALL_WASM",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm"),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut program = Program(child);
    until("it listens to SIGINT", || program.listens());
    // By then it has made the requests and plays.
    let before = program.computed();
    until("it plays", || program.computed() > before + 300);
    let id = program.0.id().to_string();
    let signal = Command::new("kill").args(["-INT", &id]).status();
    assert!(signal.unwrap().success());
    let start = Instant::now();
    let mut status = None;
    until("it ends", || {
        status = program.0.try_wait().unwrap();
        status.is_some()
    });
    let took = start.elapsed();
    assert_eq!(status.unwrap().code(), Some(130));
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    let journal = std::fs::read_to_string(place.path().join("long.journal.json")).unwrap();
    let journal: Value = serde_json::from_str(&journal).unwrap();
    assert_eq!(journal["status"], "interrupted");
    let duration = journal["duration"].as_f64().unwrap();
    assert!(duration > 0.0 && duration < 900.0, "{duration}");
}
