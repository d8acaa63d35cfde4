//! `seawall bench`: held against a baseline, with exit codes for scripts.

use std::path::Path;
use std::process::Command;

/// What it says on standard error, and its exit code.
fn run(directory: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    let command = command.args(["bench", "--rounds", "1"]).args(arguments);
    let output = command.current_dir(directory).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, output.status.code())
}

#[test]
fn a_cost_other_than_the_baselines_is_1_and_says_which_row_changed_by_how_much() {
    let directory = tempfile::tempdir().expect("a directory");
    let baseline = directory.path().join("baseline.json");
    let with = |fuel: u64| {
        let row = format!(r#"{{"fuel": {fuel}, "tick_fuel": 0, "calls": {{}}}}"#);
        let whole = format!(r#"{{"requests": 400, "rows": {{"does nothing": {row}}}}}"#);
        std::fs::write(&baseline, whole).expect("a file");
        let arguments = ["--row", "does nothing", "--baseline", "baseline.json"];
        run(directory.path(), &arguments)
    };
    let (said, code) = with(4_000);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "does nothing: fuel a request was 10, is ",
        "make bench UPDATE=1",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let is = said
        .split("is ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let fuel: u64 = is.and_then(|each| each.parse().ok()).expect("a number");
    let (said, code) = with(fuel * 400);
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn what_is_not_there_is_2_and_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    for (arguments, part) in [
        (&["--row", "nix"][..], "no row \"nix\""),
        (
            &["--row", "does nothing", "--baseline", "nix.json"],
            "nix.json",
        ),
        (&["--update"], "--baseline"),
        (&["--rounds", "0"], "--rounds"),
    ] {
        let (said, code) = run(directory.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{part:?} in {said}");
    }
}
