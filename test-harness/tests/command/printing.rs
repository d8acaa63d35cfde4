//! What the program does where its output has no reader, its input is its output, or a time has no bound.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_seawall");

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    let command = command.args(arguments).current_dir(directory);
    command.output().expect("runs")
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut command = Command::new(PROGRAM);
    command.args(["check", "--schema"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "", "{:?}", output.status);
    assert!(matches!(output.status.code(), Some(0 | 141)), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error_and_no_crash() {
    let mut command = Command::new(PROGRAM);
    command.args(["check", "--schema"]);
    command.stdout(
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device"),
    );
    let output = command.output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("seawall: standard output: "), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_trace_never_takes_the_place_of_its_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let line =
        "{\"start_time\":\"2026-11-01T10:00:00.000Z\",\"duration\":5,\"response_code\":200}\n";
    let log = directory.path().join("access.log");
    std::fs::write(&log, line).expect("a log");
    let output = run(
        directory.path(),
        &["trace", "import", "access.log", "-o", "./access.log"],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(std::fs::read_to_string(&log).expect("the log"), line);
}

#[test]
fn a_time_beyond_a_day_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let requests = directory.path().join("requests.json");
    std::fs::write(&requests, r#"[{"path":"/","at_ms":31536000000}]"#).expect("requests");
    let wasm = "(module (func (export \"proxy_abi_version_0_2_1\")))";
    std::fs::write(directory.path().join("a.wasm"), wasm).expect("a module");
    let output = run(
        directory.path(),
        &["host", "run", "a.wasm", "--requests", "requests.json"],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("[0].at_ms"), "{said}");
    assert_eq!(output.status.code(), Some(2));
    let arguments = [
        "host",
        "run",
        "a.wasm",
        "--requests",
        "requests.json",
        "--until",
        "8000h",
    ];
    assert_eq!(run(directory.path(), &arguments).status.code(), Some(2));
}
