//! What `seawall replay` writes: criteria and the exit code, the page, JUnit, an earlier run beside it.

use std::path::Path;
use std::process::Command;

const POLICY: &str = "version: 1\npolicies: {default: {breaker: {consecutive: 5}}}\n";

/// A directory with a trace of ten seconds and a policy.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("policy.yaml"), POLICY).expect("a file");
    let trace = ["--rate", "100", "--for", "10s", "-o", "trace.jsonl"];
    let (_, code) = run(place.path(), &["trace", "generate"], &trace);
    assert_eq!(code, Some(0));
    place
}

/// All that it says, and its exit code.
fn run(place: &Path, command: &[&str], arguments: &[&str]) -> (String, Option<i32>) {
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
    let mut program = Command::new(env!("CARGO_BIN_EXE_seawall"));
    program.env("SEAWALL_WASM", wasm).current_dir(place);
    let output = program.args(command).args(arguments).output();
    let output = output.expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.code(),
    )
}

fn replay(place: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let command = [
        "replay",
        "--trace",
        "trace.jsonl",
        "--policy",
        "policy.yaml",
        "--fault",
        "errors,at=3s,for=3s",
    ];
    run(place, &command, arguments)
}

fn text(place: &Path, file: &str) -> String {
    std::fs::read_to_string(place.join(file)).expect("it was written")
}

#[test]
fn a_missed_criterion_is_1_and_every_form_says_so() {
    let place = place();
    let forms = [
        "--out",
        "out",
        "--junit",
        "junit.xml",
        "--html",
        "page.html",
    ];
    let met = ["--criteria", "failed<50%", "--criteria", "p99<=1s"];
    let (said, code) = replay(place.path(), &[&forms[..], &met].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("met     failed<50%"), "{said}");
    assert!(text(place.path(), "junit.xml").contains(r#"failures="0""#));

    let missed = [&met[..], &["--criteria", "success>99.9%"]].concat();
    let (said, code) = replay(place.path(), &[&forms[..], &missed].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("MISSED  success>99.9%: "), "{said}");
    let junit = text(place.path(), "junit.xml");
    assert!(junit.contains(r#"tests="3""#) && junit.contains(r#"failures="1""#));
    let report: serde_json::Value =
        serde_json::from_str(&text(place.path(), "out/report.json")).expect("JSON");
    assert_eq!(report["criteria"][2]["met"], false);
    assert_eq!(report["criteria"][2]["lane"], "with Seawall");
    let page = text(place.path(), "page.html");
    assert!(page.contains(r#""criterion":"success\u003e99.9%""#));
    assert_eq!(page, text(place.path(), "out/report.html"));
}

#[test]
fn the_command_in_a_report_gives_the_same_bytes_again() {
    let place = place();
    let criteria = ["--criteria", "p99.9 < 2s", "--criteria", "goodput>=10"];
    let files = ["report.json", "report.html"];
    replay(place.path(), &[&criteria[..], &["--out", "first"]].concat());
    let first = files.map(|file| text(&place.path().join("first"), file));
    let report: serde_json::Value = serde_json::from_str(&first[0]).expect("JSON");
    let command = report["reproduce"].as_str().expect("a command");
    let program = format!("\"$0\" {} --out again", &command["seawall ".len()..]);
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/seawall.wasm");
    let status = Command::new("sh")
        .args(["-c", &program, env!("CARGO_BIN_EXE_seawall")])
        .env("SEAWALL_WASM", wasm)
        .current_dir(place.path())
        .output()
        .expect("runs")
        .status;
    assert!(status.success(), "{command}");
    let again = files.map(|file| text(&place.path().join("again"), file));
    assert!(first == again, "{command}");
}

#[test]
fn an_earlier_report_stands_beside_and_another_file_is_2() {
    let place = place();
    replay(place.path(), &["--out", "earlier"]);
    let other = POLICY.replace("consecutive: 5", "mode: shadow");
    std::fs::write(place.path().join("policy.yaml"), other).expect("a file");
    let arguments = ["--compare-with", "earlier/report.json"];
    let (said, code) = replay(place.path(), &arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("worse   failed: "), "{said}");
    std::fs::write(place.path().join("old.json"), r#"{"version":1}"#).expect("a file");
    for (file, part) in [
        ("nix.json", "No such file"),
        ("trace.jsonl", "trailing characters"),
        ("old.json", "version 1"),
    ] {
        let (said, code) = replay(place.path(), &["--compare-with", file]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(part) && said.contains(file), "{said}");
    }
}

#[test]
fn a_criterion_that_is_none_is_2_before_anything_is_run() {
    let place = place();
    for (criterion, part) in [
        ("p98<1s", "\"p98\" is no figure"),
        ("p99", "compares nothing"),
        ("failed<1", "1%"),
    ] {
        let (said, code) = replay(place.path(), &["--criteria", criterion, "--out", "out"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(part), "{said}");
        assert!(!place.path().join("out").exists());
    }
}
