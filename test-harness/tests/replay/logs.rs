//! Logs as users have them, through the program: imported, replayed, re-enacted; and the filter from anywhere.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::shipped;

const CART: &str = "outbound|8080||cart.shop.svc.cluster.local";
const POLICY: &str = "version: 1\npolicies:\n  default: {breaker: {mode: off}}\n  cart: {breaker: {mode: enforce}}\nupstreams: [{cluster: 'outbound|8080||cart.*', policy: cart}]\n";

/// A minute at 20 requests a second, of which the answers of seconds 20 to 40 are 503 UF.
fn outage(cluster: Option<&str>) -> String {
    let mut log = String::new();
    for number in 0..1_200 {
        let (second, millis) = (number / 20, number % 20 * 50);
        let sick = (20..40).contains(&second);
        let (status, flags) = if sick { (503, "UF") } else { (200, "-") };
        let cluster = cluster.map_or_else(String::new, |name| {
            format!(",\"upstream_cluster\":\"{name}\"")
        });
        let _ = writeln!(
            log,
            "{{\"start_time\":\"2026-04-05T06:00:{second:02}.{millis:03}Z\",\"duration\":20,\"path\":\"/\",\"method\":\"GET\",\"response_code\":{status},\"response_flags\":\"{flags}\"{cluster}}}"
        );
    }
    log
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn with(&self, name: &str, text: &str) -> String {
        std::fs::write(self.at(name), text).expect("written");
        self.at(name)
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(self.0.path(), Some(&shipped::wasm()), arguments, input)
    }
}

fn run(place: &Path, wasm: Option<&Path>, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command
        .args(arguments)
        .current_dir(place)
        .env_remove("SEAWALL_WASM");
    if let Some(wasm) = wasm {
        command.env("SEAWALL_WASM", wasm);
    }
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("the program runs");
    // One that refuses its arguments may be gone before it has read anything.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn an_outage_in_a_log_is_told_and_re_enacted_by_the_policy_of_its_cluster() {
    let place = Place::new();
    let (log, policy) = (
        place.with("access.log", &outage(Some(CART))),
        place.with("policy.yaml", POLICY),
    );
    let replay = ["replay", "--trace", &log, "--policy", &policy, "--json"];
    let told = place.run(&replay, b"");
    let words = said(&told);
    assert!(words.contains(&format!("the log holds an outage of {CART} from 20.0 s to 40.0 s: 100 % failed (400 of 400 requests)")), "{words}");
    assert!(words.contains("--recorded-outcomes"), "{words}");
    let well = report(&told);
    assert_eq!(well["outages"][0]["failed"], 400);
    assert_eq!(
        well["lanes"][0]["answers"]["good"], 1_200,
        "without it all goes well"
    );
    let again = report(&place.run(&[&replay[..], &["--recorded-outcomes"]].concat(), b""));
    assert_eq!(
        again["lanes"][0]["answers"]["failed"], 400,
        "what failed fails"
    );
    assert_eq!(again["lanes"][0]["reached_upstream_in_fault"], 400);
    let with = &again["lanes"][1];
    assert_eq!(with["transitions"][0]["change"], "closed -> open", "{with}");
    assert!(with["answers"]["refused"].as_u64() > Some(100), "{with}");
    assert!(
        with["reached_upstream_in_fault"].as_u64() < Some(300),
        "{with}"
    );
    assert_eq!(
        with["transitions"]
            .as_array()
            .and_then(|all| all.last())
            .map(|last| &last["change"]),
        Some(&Value::from("half_open -> closed"))
    );
}

#[test]
fn a_recorded_failure_takes_as_long_as_it_did() {
    let place = Place::new();
    let policy = place.with(
        "policy.yaml",
        "version: 1\npolicies: {default: {breaker: {mode: off}}}\n",
    );
    let log = outage(None)
        .replace("\"duration\":20,", "\"duration\":900,")
        .replace("UF", "UT")
        .replace("503", "504");
    let log = place.with("access.log", &log);
    let figures = report(&place.run(
        &[
            "replay",
            "--trace",
            &log,
            "--policy",
            &policy,
            "--recorded-outcomes",
            "--json",
        ],
        b"",
    ));
    for lane in [0, 1] {
        let p50 = figures["lanes"][lane]["p50_ms"]
            .as_f64()
            .unwrap_or_default();
        assert!((900.0..910.0).contains(&p50), "{p50}");
        assert_eq!(figures["lanes"][lane]["answers"]["failed"], 400);
    }
}

#[test]
fn a_policy_that_governs_nothing_is_a_warning_until_the_cluster_is_named() {
    let place = Place::new();
    let (log, policy) = (
        place.with("access.log", &outage(None)),
        place.with("policy.yaml", POLICY),
    );
    let replay = [
        "replay",
        "--trace",
        &log,
        "--policy",
        &policy,
        "--recorded-outcomes",
        "--json",
    ];
    let nothing = place.run(&replay, b"");
    assert!(
        said(&nothing).contains("policy \"cart\" governs no request of the trace"),
        "{}",
        said(&nothing)
    );
    assert_eq!(
        report(&nothing)["lanes"][1]["transitions"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    let named = place.run(&[&replay[..], &["--cluster", CART]].concat(), b"");
    assert!(
        !said(&named).contains("governs no request"),
        "{}",
        said(&named)
    );
    let named = report(&named);
    assert_eq!(
        named["lanes"][1]["transitions"][0]["change"],
        "closed -> open"
    );
    assert!(
        named["reproduce"]
            .as_str()
            .is_some_and(|line| line.contains("--cluster") && line.contains("--recorded-outcomes"))
    );
}

#[test]
fn a_log_is_imported_from_a_pipe_and_bad_lines_end_it_only_where_that_is_asked_for() {
    let place = Place::new();
    let log = outage(Some(CART)).replacen("\"duration\":20,", "\"duration\":\"-\",", 1);
    let import = ["trace", "import", "-", "-o", "trace.jsonl"];
    let output = place.run(&import, log.as_bytes());
    let words = said(&output);
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(
        words.contains("trace.jsonl: 1199 requests over 59.9 s from standard input (json)"),
        "{words}"
    );
    assert!(
        words.contains("line 1: duration is \"-\": expected a length of time"),
        "{words}"
    );
    let trace = std::fs::read_to_string(place.at("trace.jsonl")).expect("it is there");
    let mut lines = trace.lines();
    assert_eq!(lines.next(), Some("{\"seawall_trace\":2}"));
    let first: Value = serde_json::from_str(lines.next().unwrap_or_default()).expect("JSON");
    assert_eq!(
        first,
        serde_json::json!({"at_us": 0, "service_us": 20_000, "method": "GET", "status": 200, "cluster": CART})
    );
    let strict = place.run(
        &["trace", "import", "-", "-o", "strict.jsonl", "--strict"],
        log.as_bytes(),
    );
    assert_eq!(strict.status.code(), Some(2), "{}", said(&strict));
    assert!(
        said(&strict).contains("standard input: line 1: "),
        "{}",
        said(&strict)
    );
    let left: Vec<_> = std::fs::read_dir(place.0.path())
        .expect("it is there")
        .collect();
    assert_eq!(left.len(), 1, "nothing half written is left: {left:?}");
    let piped = place.run(&["trace", "import", "-", "-o", "-"], log.as_bytes());
    assert_eq!(piped.stdout, trace.as_bytes());
}

#[test]
fn memory_is_flat_in_the_length_of_the_log() {
    let peak = |rows: u64| {
        let place = Place::new();
        let mut log = String::from("start,duration_ms,path\n");
        for row in 0..rows {
            let _ = writeln!(log, "{},5,/a/{row}", 1_775_368_800_000 + row);
        }
        let file = place.with("log.csv", &log);
        let child = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(["trace", "import", &file, "-o", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("it runs");
        // It cannot end before what it wrote is read, so its peak can be read at the end of its output.
        let mut output = child.stdout.take().expect("a pipe");
        let mut bytes = vec![0; 1 << 16];
        let (mut read, mut peak) = (0, 0);
        loop {
            let status =
                std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let high = high.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            peak = peak.max(high.unwrap_or(0));
            let count = std::io::Read::read(&mut output, &mut bytes).expect("it can be read");
            if count == 0 {
                break;
            }
            read += count;
        }
        assert!(child.wait().expect("it ends").success());
        assert!(read as u64 > rows * 30, "all is written");
        peak
    };
    // Both are much longer than the window of 65,536 requests, which is full then.
    let (short, long) = (peak(400_000), peak(1_600_000));
    assert!(
        short > 0 && long < short + 8_000,
        "{short} kB and {long} kB"
    );
}

#[test]
fn the_program_finds_its_filter_in_any_directory() {
    let place = Place::new();
    let policy = place.with("policy.yaml", POLICY);
    let log = place.with("access.log", &outage(Some(CART)));
    let replay = ["replay", "--trace", &log, "--policy", &policy, "--json"];
    let output = run(place.0.path(), None, &replay, b"");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let named = run(
        place.0.path(),
        None,
        &[&replay[..], &["--wasm", "nowhere.wasm"]].concat(),
        b"",
    );
    assert_eq!(named.status.code(), Some(2));
    assert!(
        said(&named).contains("nowhere.wasm"),
        "what is named wins: {}",
        said(&named)
    );
    let named = run(
        place.0.path(),
        Some(Path::new("elsewhere.wasm")),
        &replay,
        b"",
    );
    assert!(said(&named).contains("elsewhere.wasm"), "{}", said(&named));
}
