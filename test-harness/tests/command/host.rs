//! `seawall host run`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A module that logs its configuration, lets `/refuse` be answered by itself, holds bodies back until their end and puts
/// "+" behind them, and ticks.
const GUEST: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) ":path")
    (data (i32.const 32) "content-length")
    (data (i32.const 64) "no+tick")
    (data (i32.const 80) "refused")
    (global $next (mut i32) (i32.const 4096))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32)
        (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (if (local.get 1) (then
            (drop (call $buffer (i32.const 7) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4)))
            (drop (call $log (i32.const 3) (i32.load (i32.const 0)) (i32.load (i32.const 4))))))
        (drop (call $tick (i32.const 500)))
        (drop (call $define (i32.const 0) (i32.const 80) (i32.const 7) (i32.const 8)))
        (i32.ne (local.get 1) (i32.const 3)))
    (func (export "proxy_on_tick") (param i32)
        (drop (call $log (i32.const 2) (i32.const 67) (i32.const 4))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $remove (i32.const 0) (i32.const 32) (i32.const 14)))
        (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
        (if (i32.eq (i32.load (i32.const 4)) (i32.const 5)) (then (unreachable)))
        (if (i32.eq (i32.load (i32.const 4)) (i32.const 7)) (then
            (drop (call $increment (i32.load (i32.const 8)) (i64.const 1)))
            (drop (call $reply (i32.const 403) (i32.const 80) (i32.const 7) (i32.const 64) (i32.const 2)
                (i32.const 0) (i32.const 0) (i32.const -1)))))
        (i32.const 0))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
        (if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
        (drop (call $set_buffer (i32.const 0) (local.get 1) (i32.const 0) (i32.const 66) (i32.const 1)))
        (i32.const 0)))"#;

pub(crate) struct Place {
    files: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let place = Self { files };
        place.write("guest.wasm", &wat::parse_str(GUEST).unwrap());
        place
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    }

    pub(crate) fn path(&self) -> &Path {
        self.files.path()
    }

    /// Runs the program there; its exit code, what it printed, what it complained of.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
            .args(["host", "run"])
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        (code, text(output.stdout), text(output.stderr))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, printed, _) = self.run(&[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&printed).unwrap())
    }
}

#[test]
fn requests_go_in_and_answers_logs_metrics_and_calls_come_out() {
    let place = Place::new();
    let requests = json!([
        {"method": "POST", "path": "/a", "headers": [["x-name", "value"]], "body": "text"},
        {"path": "/refuse"},
        {"path": "/a/b"},
    ]);
    place.write("requests.json", requests.to_string().as_bytes());
    let rules = json!([
        {"path_prefix": "/a/", "reset": true},
        {"path_prefix": "/a", "status": 201, "headers": [["x-made", "1"]], "body": "made", "delay_ms": 30},
    ]);
    place.write("upstream.json", rules.to_string().as_bytes());
    let arguments = [
        "guest.wasm",
        "-c",
        "hello",
        "--requests",
        "requests.json",
        "--upstream",
        "upstream.json",
    ];
    let (code, all) = place.json(&[&arguments[..], &["--trace"]].concat());
    assert_eq!((code, &all["listener_up"]), (0, &json!(true)));
    let answers = all["responses"].as_array().unwrap();
    let statuses: Vec<u64> = answers
        .iter()
        .map(|answer| answer["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 403, 503]);
    assert_eq!(answers[0]["body"], "made");
    assert!(
        answers[0]["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["x-made", "1"]))
    );
    assert_eq!(
        (&answers[0]["took_ms"], &answers[1]["body"]),
        (&json!(30), &json!("no"))
    );
    let seen = all["upstream_seen"].as_array().unwrap();
    assert_eq!(seen.len(), 2, "the refused one did not get there");
    assert_eq!(
        (&seen[0]["method"], &seen[0]["path"], &seen[0]["body"]),
        (&json!("POST"), &json!("/a"), &json!("text+"))
    );
    assert!(
        seen[0]["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["x-name", "value"]))
    );
    let line = &all["log"][0];
    assert_eq!(
        (&line["level"], &line["message"]),
        (&json!("warn"), &json!("hello"))
    );
    assert_eq!(all["metrics"], json!({"refused": 1}));
    let trace: Vec<&str> = all["trace"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for expected in [
        "[host->vm] proxy_on_vm_start(1, 0)",
        "[host<-vm] proxy_on_vm_start return: 1",
        "[host->vm] proxy_on_configure(1, 5)",
        "[vm->host] env.proxy_get_buffer_bytes(7, 0, 100, 0, 4)",
        "[host->vm] malloc(5)",
        "[vm->host] env.proxy_log(3, 4096, 5)",
        "[vm<-host] env.proxy_log return: 0",
        "[host->vm] proxy_on_context_create(2, 1)",
        "[host->vm] proxy_on_request_body(2, 4, 1)",
    ] {
        assert!(trace.contains(&expected), "{expected} in {trace:#?}");
    }
    let (code, printed, _) = place.run(&arguments);
    assert_eq!(code, 0);
    assert!(
        printed.contains("request 0: 201") && !printed.contains("[host->vm]"),
        "{printed}"
    );
    let (_, printed, _) = place.run(&[&arguments[..], &["--trace"]].concat());
    assert!(
        printed.contains("vm 1 [host->vm] proxy_on_vm_start(1, 0)"),
        "{printed}"
    );
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let place = Place::new();
    place.write(
        "requests.json",
        br#"[{"path": "/"}, {"path": "/", "at_ms": 5}]"#,
    );
    let arguments = [
        "guest.wasm",
        "--requests",
        "requests.json",
        "--workers",
        "3",
        "--json",
    ];
    assert_eq!(place.run(&arguments), place.run(&arguments));
}

#[test]
fn time_goes_on_for_ticks_and_requests_come_when_they_say() {
    let place = Place::new();
    place.write(
        "requests.json",
        br#"[{"path": "/", "at_ms": 700}, {"path": "/", "at_ms": 100}]"#,
    );
    let arguments = [
        "guest.wasm",
        "--requests",
        "requests.json",
        "--until",
        "2s",
        "--trace",
    ];
    let (_, all) = place.json(&arguments);
    let ticks = all["log"].as_array().unwrap().len();
    assert_eq!(
        ticks, 8,
        "every 500 ms in the main thread's VM and in the worker's"
    );
    let trace: Vec<&str> = all["trace"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let at = |line: &str| trace.iter().position(|known| *known == line).unwrap();
    let tick = at("[host->vm] proxy_on_tick(1)");
    assert!(at("[host->vm] proxy_on_context_create(2, 1)") < tick);
    assert!(at("[host->vm] proxy_on_context_create(3, 1)") > tick);
}

#[test]
fn a_trap_leads_to_what_the_failure_policy_says() {
    let place = Place::new();
    place.write(
        "requests.json",
        br#"[{"path": "/trap"}, {"path": "/"}, {"path": "/", "at_ms": 5000}]"#,
    );
    for (policy, expected) in [
        ("closed", [503, 503, 503]),
        ("open", [200, 200, 200]),
        ("reload", [503, 503, 200]),
    ] {
        let arguments = [
            "guest.wasm",
            "--requests",
            "requests.json",
            "--failure-policy",
            policy,
        ];
        let (_, all) = place.json(&arguments);
        let answers = all["responses"].as_array().unwrap().iter();
        let statuses: Vec<u64> = answers
            .filter_map(|answer| answer["status"].as_u64())
            .collect();
        assert_eq!(statuses, expected, "{policy}");
    }
}

#[test]
fn what_is_refused_is_1_with_the_reason_and_what_cannot_be_read_is_2() {
    let place = Place::new();
    place.write("requests.json", br#"[{"path": "/"}]"#);
    place.write("wrong.json", br#"[{"path": "/", "verb": "GET"}]"#);
    place.write("no.wasm", b"none");
    let old = wat::parse_str(r#"(module (func (export "proxy_abi_version_0_3_0")))"#).unwrap();
    place.write("old.wasm", &old);
    let other =
        r#"(module (import "env" "proxy_fly" (func)) (func (export "proxy_abi_version_0_2_0")))"#;
    place.write("other.wasm", &wat::parse_str(other).unwrap());
    for (arguments, code, reason) in [
        (
            &["guest.wasm", "-c", "bad", "--requests", "requests.json"][..],
            1,
            "refused its configuration: bad",
        ),
        (&["no.wasm", "--requests", "requests.json"], 1, "no.wasm"),
        (&["old.wasm", "--requests", "requests.json"], 1, "0.3.0"),
        (
            &["other.wasm", "--requests", "requests.json"],
            1,
            "env.proxy_fly",
        ),
        (
            &["absent.wasm", "--requests", "requests.json"],
            2,
            "absent.wasm",
        ),
        (
            &["guest.wasm", "--requests", "absent.json"],
            2,
            "absent.json",
        ),
        (&["guest.wasm", "--requests", "wrong.json"], 2, "verb"),
        (
            &[
                "guest.wasm",
                "--requests",
                "requests.json",
                "--config",
                "absent",
            ],
            2,
            "absent",
        ),
        (&["guest.wasm"], 2, "--requests"),
        (
            &[
                "guest.wasm",
                "--requests",
                "requests.json",
                "--until",
                "soon",
            ],
            2,
            "--until",
        ),
    ] {
        let (found, _, complaint) = place.run(arguments);
        assert_eq!(found, code, "{arguments:?}: {complaint}");
        assert!(complaint.contains(reason), "{arguments:?}: {complaint}");
    }
    let (_, all) = place.json(&["old.wasm", "--requests", "requests.json"]);
    assert_eq!(all["listener_up"], false);
    assert!(all["reason"].as_str().unwrap().contains("0.3.0"));
}

#[test]
fn a_status_of_the_upstream_is_one() {
    let place = Place::new();
    place.write("requests.json", br#"[{"path": "/"}]"#);
    let arguments = [
        "guest.wasm",
        "--requests",
        "requests.json",
        "--upstream",
        "upstream.json",
    ];
    for (status, is_one) in [
        (0, false),
        (99, false),
        (100, true),
        (200, true),
        (599, true),
        (600, false),
        (99_999, false),
        (u64::MAX, false),
    ] {
        let rules = format!(
            "[{{\"path_prefix\": \"/b\"}},\n {{\"path_prefix\": \"/a\", \"status\": {status}}}]"
        );
        place.write("upstream.json", rules.as_bytes());
        let (code, _, complaint) = place.run(&arguments);
        assert_eq!(code, if is_one { 0 } else { 2 }, "{status}: {complaint}");
        for word in ["upstream.json", "100 to 599", "line 2", &status.to_string()] {
            assert!(is_one || complaint.contains(word), "{word}: {complaint}");
        }
    }
}

#[test]
fn what_could_not_count_is_refused_with_what_would_be_right() {
    let place = Place::new();
    let files = |requests: &Value, rules: &Value| {
        place.write("requests.json", requests.to_string().as_bytes());
        place.write("upstream.json", rules.to_string().as_bytes());
    };
    let fixed = [
        "guest.wasm",
        "--requests",
        "requests.json",
        "--upstream",
        "upstream.json",
    ];
    let both = json!([{"body": "a", "body_base64": "/w=="}]);
    let one = json!([{"path": "/"}]);
    let none = json!([]);
    let twice = [
        "--property",
        "source.address=10.0.0.1:80",
        "--property",
        "source.address:=\"x\"",
    ];
    for (requests, rules, more, words) in [
        (
            json!([{"path": "/", "worker": 7}]),
            &none,
            &["--workers", "2"][..],
            "[0].worker: expected 0 to 1, since --workers is 2",
        ),
        (
            both.clone(),
            &none,
            &[],
            "requests.json: [0]: \"body\" and \"body_base64\"",
        ),
        (
            one.clone(),
            &both,
            &[],
            "upstream.json: [0]: \"body\" and \"body_base64\"",
        ),
        (one, &none, &twice, "--property source.address: given twice"),
    ] {
        files(&requests, rules);
        let (code, printed, complaint) = place.run(&[&fixed[..], more].concat());
        assert_eq!(code, 2, "{printed}{complaint}");
        assert!(complaint.contains(words), "{complaint}");
    }
}
