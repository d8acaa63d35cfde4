//! What stands around the filter in `seawall host run`: properties, clusters, what a refused module leaves, any bytes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// A module whose configuration is the path of a property, which it logs for each request: its value, or "none".
/// A configuration that begins with `!` is a cluster, which it calls instead; `?` is refused after it was logged; `#` traps.
const GUEST: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "none")
    (data (i32.const 32) "\03\00\00\00\05\00\00\00\01\00\00\00\07\00\00\00\03\00\00\00\0a\00\00\00\01\00\00\00:path\00/\00:method\00GET\00:authority\00a\00")
    (global $next (mut i32) (i32.const 4096))
    (global $path (mut i32) (i32.const 0))
    (global $size (mut i32) (i32.const 0))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32)
        (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $buffer (i32.const 7) (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 4)))
        (global.set $path (i32.load (i32.const 0))) (global.set $size (i32.load (i32.const 4)))
        (if (i32.eq (i32.load8_u (global.get $path)) (i32.const 63)) (then
            (drop (call $log (i32.const 3) (global.get $path) (global.get $size))) (return (i32.const 0))))
        (i32.const 1))
    (func $_ZN4core9panicking5panic17h05af221e174051e9E unreachable)
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (i32.eq (i32.load8_u (global.get $path)) (i32.const 35)) (then
            (call $_ZN4core9panicking5panic17h05af221e174051e9E)))
        (if (i32.eq (i32.load8_u (global.get $path)) (i32.const 33)) (then
            (drop (call $call (i32.add (global.get $path) (i32.const 1)) (i32.sub (global.get $size) (i32.const 1))
                (i32.const 32) (i32.const 61) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 8)))
            (return (i32.const 0))))
        (if (call $property (global.get $path) (global.get $size) (i32.const 0) (i32.const 4))
            (then (drop (call $log (i32.const 2) (i32.const 16) (i32.const 4))))
            (else (drop (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4))))))
        (i32.const 0))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32))
    (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
    (func (export "proxy_on_delete") (param i32)))"#;

/// Runs the module with this configuration and these requests; the exit code and what came out.
fn run(configuration: &str, requests: &Value, arguments: &[&str]) -> (i32, Value, String) {
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(files.path().join(name), bytes).unwrap();
    write("guest.wasm", &wat::parse_str(GUEST).unwrap());
    write("configuration", configuration.as_bytes());
    write("requests.json", requests.to_string().as_bytes());
    write(
        "metadata.json",
        br#"{"filter_metadata": {"a.b": {"tier": "gold"}}}"#,
    );
    program(files.path(), arguments)
}

fn program(place: &Path, arguments: &[&str]) -> (i32, Value, String) {
    let fixed = [
        "guest.wasm",
        "--config",
        "configuration",
        "--requests",
        "requests.json",
        "--json",
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["host", "run"])
        .args(fixed)
        .args(arguments)
        .current_dir(place)
        .output()
        .unwrap();
    let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), printed, complaint)
}

fn one() -> Value {
    json!([{"path": "/"}])
}

fn messages(all: &Value) -> Vec<&str> {
    let log = all["log"].as_array().unwrap().iter();
    log.filter_map(|line| line["message"].as_str()).collect()
}

#[test]
fn a_filter_reads_what_the_options_say() {
    let tree = r#"{"filter_metadata": {"a.b": {"tier": "silver", "deep": {"er": "x"}}}}"#;
    let tier = "xds\0route_metadata\0filter_metadata\0a.b\0tier";
    for (path, arguments, expected) in [
        ("plugin_name", &[][..], "filter"),
        ("plugin_name", &["--plugin-name", "mine"], "mine"),
        ("plugin_vm_id", &["--vm-id", "other"], "other"),
        ("xds\0node\0id", &["--node-id", "n1"], "n1"),
        ("xds\0node\0id", &[], ""),
        ("xds\0node\0cluster", &["--node-cluster", "front"], "front"),
        (
            "xds\0node\0metadata\0ROLE",
            &["--node-metadata", r#"{"ROLE": "edge"}"#],
            "edge",
        ),
        ("xds\0route_name", &[], "upstream"),
        ("xds\0route_name", &["--route-name", "shop"], "shop"),
        (tier, &[], "none"),
        (tier, &["--route-metadata", tree], "silver"),
        (tier, &["--route-metadata", "metadata.json"], "gold"),
        (
            "xds\0route_metadata\0filter_metadata\0a.b\0deep\0er",
            &["--route-metadata", tree],
            "x",
        ),
        (
            "xds\0cluster_metadata\0filter_metadata\0a.b\0tier",
            &["--cluster-metadata", tree],
            "silver",
        ),
        (
            "source\0address",
            &["--property", "source.address=10.0.0.1:80"],
            "10.0.0.1:80",
        ),
        (
            "my\0dot.ted\0part",
            &["--property", r"my.dot\.ted.part=a=b"],
            "a=b",
        ),
        (
            "request\0path",
            &["--property", "request.path=/won"],
            "/won",
        ),
        (
            "number",
            &["--property", "number:=1"],
            "\u{1}\0\0\0\0\0\0\0",
        ),
        ("flag", &["--property", "flag:=true"], "\u{1}"),
        (
            "tree\0leaf",
            &["--property", r#"tree:={"leaf": "green"}"#],
            "green",
        ),
    ] {
        let (code, all, complaint) = run(path, &one(), arguments);
        assert_eq!(code, 0, "{arguments:?}: {complaint}");
        assert_eq!(messages(&all), [expected], "{path:?} {arguments:?}");
    }
}

#[test]
fn what_is_no_metadata_or_property_is_named() {
    for (arguments, reason) in [
        (["--property", "novalue"], "--property novalue"),
        (["--property", "=x"], "no path"),
        (["--property", "a:={"], "--property a:={"),
        (["--route-metadata", "absent.json"], "absent.json"),
        (["--cluster-metadata", "{"], "--cluster-metadata"),
        (["--node-metadata", "requests.json"], "must be an object"),
        (
            ["--route-metadata", r#"{"my.filter": {"tier": "gold"}}"#],
            "\"my.filter\"",
        ),
        (
            ["--route-metadata", r#"{"filterMetadata": {"a.b": {}}}"#],
            "\"filterMetadata\"",
        ),
        (
            [
                "--cluster-metadata",
                r#"{"filter_metadata": {"a.b": {}}, "tier": "gold"}"#,
            ],
            "\"tier\"",
        ),
        (["--cluster-metadata", "{}"], "filter_metadata"),
        (
            ["--route-metadata", r#"{"filter_metadata": 3}"#],
            "filter_metadata",
        ),
        (
            [
                "--route-metadata",
                r#"{"filter_metadata": {"a.b": "gold"}}"#,
            ],
            "filter_metadata.a.b",
        ),
    ] {
        let (code, _, complaint) = run("x", &one(), &arguments);
        assert_eq!(code, 2, "{arguments:?}: {complaint}");
        assert!(complaint.contains(reason), "{arguments:?}: {complaint}");
        let envoys = ["--route-metadata", "--cluster-metadata"].contains(&arguments[0]);
        if envoys && arguments[1].ends_with('}') {
            let right = r#"{"filter_metadata": {"a.b": {"key": "value"}}}"#;
            assert!(
                complaint.contains(right) && complaint.contains(arguments[0]),
                "{complaint}"
            );
        }
    }
}

#[test]
fn a_call_goes_to_a_cluster_that_is_named_and_others_are_said_in_the_log() {
    let (_, all, _) = run(
        "!auth",
        &one(),
        &["--cluster", "other", "--cluster", "auth"],
    );
    assert_eq!(messages(&all), [""; 0]);
    assert_eq!(
        all["upstream_seen"].as_array().unwrap().len(),
        2,
        "the call and the request"
    );
    let (_, all, _) = run("!auth", &one(), &["--cluster", "other"]);
    let said = messages(&all);
    assert!(
        said.len() == 1 && said[0].contains(r#"the cluster "auth""#),
        "{said:?}"
    );
    assert_eq!(all["upstream_seen"].as_array().unwrap().len(), 1);
}

#[test]
fn the_trace_is_there_where_it_is_asked_for_and_after_a_refusal_too() {
    let (_, all, _) = run("x", &one(), &[]);
    assert_eq!(all.get("trace"), None);
    let (code, all, _) = run("?no", &one(), &["--trace"]);
    assert_eq!(
        (code, messages(&all)),
        (1, vec!["?no"]),
        "once: the canary is the first"
    );
    let trace = all["trace"].as_array().unwrap();
    assert!(
        trace.contains(&json!("[host<-vm] proxy_on_configure return: 0")),
        "{trace:#?}"
    );
    let (_, all, _) = run("x", &one(), &["--trace"]);
    let trace = all["trace"].as_array().unwrap();
    let ends = |line: &str| trace.iter().filter(|known| *known == line).count();
    assert_eq!(
        ends("[host->vm] proxy_on_done(1)"),
        2,
        "the main thread's root and the worker's"
    );
    assert_eq!(ends("[host->vm] proxy_on_delete(1)"), 2);
}

#[test]
fn headers_and_bodies_are_any_bytes_in_both_directions() {
    let requests = json!([{
        "method": "POST", "path": "/", "body_base64": "/wDD", "headers_base64": [["x-a", "5A=="]]
    }]);
    let (_, all, complaint) = run("request\0headers\0x-a", &requests, &[]);
    let seen = &all["upstream_seen"][0];
    assert_eq!(seen["body_base64"], "/wDD", "{complaint}");
    assert_eq!(seen["headers_base64"], json!([["x-a", "5A=="]]));
    assert!(
        seen["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["content-length", "3"]))
    );
    let (code, _, complaint) = run("x", &json!([{"path": "/", "body_base64": "?"}]), &[]);
    assert_eq!(code, 2);
    assert!(complaint.contains("base64"), "{complaint}");
}

#[test]
fn a_trap_is_told_with_the_names_of_functions() {
    let (_, all, _) = run("#", &one(), &[]);
    let said = messages(&all).concat();
    assert!(
        said.contains("core::panicking::panic") && !said.contains("_ZN"),
        "{said}"
    );
}
