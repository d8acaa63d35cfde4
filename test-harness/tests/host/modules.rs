//! What the host does to any module, with modules small enough to see through.

use std::collections::BTreeMap;

use seawall_harness::abi::stream::headers;
use seawall_harness::module::{HostError, Module};
use seawall_harness::process::{FailurePolicy, Flow, Process, ProcessOptions};

/// A module that logs the number of each callback, and does in its callbacks what is put in.
fn module(version: &str, configure: &str, request: &str) -> Module {
    let text = format!(
        r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_send_local_response"
            (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_call_foreign_function"
            (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "abcdefgh")
        (global $next (mut i32) (i32.const 4096))
        (func $say (param $letter i32) (drop (call $log (i32.const 2) (local.get $letter) (i32.const 1))))
        (func (export "{version}"))
        (func (export "malloc") (param i32) (result i32)
            (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
        (func (export "proxy_on_context_create") (param i32 i32) (call $say (i32.const 0)))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (call $say (i32.const 1)) (i32.const 1))
        (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $say (i32.const 2)) {configure})
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $say (i32.const 3)) {request})
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $say (i32.const 4)) (i32.const 0))
        (func (export "proxy_on_log") (param i32) (call $say (i32.const 5)))
        (func (export "proxy_on_done") (param i32) (result i32) (call $say (i32.const 6)) (i32.const 1))
        (func (export "proxy_on_delete") (param i32) (call $say (i32.const 7))))"#
    );
    let bytes = wat::parse_str(text).expect("a module");
    Module::from_bytes(&bytes).expect("a module that the host takes")
}

const VERSION: &str = "proxy_abi_version_0_2_1";
const PASS: &str = "(i32.const 0)";

fn said(process: &Process) -> String {
    process
        .take_log()
        .into_iter()
        .map(|line| line.text)
        .collect()
}

fn start(module: &Module, options: ProcessOptions) -> Process {
    Process::start(module, options, 0).expect("a process")
}

#[test]
fn a_module_starts_in_a_canary_the_main_thread_and_each_worker() {
    let process = start(
        &module(VERSION, "(i32.const 1)", PASS),
        ProcessOptions::default(),
    );
    assert_eq!(
        said(&process),
        "abcabcabc",
        "three times at one worker, as in Envoy"
    );
}

#[test]
fn another_version_is_refused() {
    for (text, said) in [
        (
            r#"(module (func (export "proxy_abi_version_0_3_0")))"#,
            "version 0.3.0 of Proxy-Wasm",
        ),
        ("(module)", "no version of Proxy-Wasm"),
    ] {
        let refused = Module::from_bytes(&wat::parse_str(text).unwrap()).map(|_| ());
        assert!(
            matches!(refused, Err(HostError::Version(version)) if version == said),
            "{text}"
        );
    }
}

#[test]
fn a_refused_configuration_stops_the_start_and_leaves_a_running_process_as_it_is() {
    let refusing = module(VERSION, "(i32.const 0)", PASS);
    let refused = Process::start(&refusing, ProcessOptions::default(), 0);
    assert!(matches!(refused, Err(HostError::Refused(_))));
}

#[test]
fn callbacks_come_in_envoys_order_and_each_once() {
    let process = start(
        &module(VERSION, "(i32.const 1)", PASS),
        ProcessOptions::default(),
    );
    said(&process);
    let stream = process.open(0, BTreeMap::new());
    assert_eq!(
        process.request_headers(stream, headers(&[(":path", "/")]), true),
        Flow::Continue
    );
    process.response_headers(stream, headers(&[(":status", "200")]), true);
    process.close(stream);
    process.close(stream);
    assert_eq!(said(&process), "adefgh");
}

#[test]
fn a_local_reply_runs_through_the_same_filters_answer_side() {
    let reply =
        "(drop (call $reply (i32.const 503) (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 2)
        (i32.const 0) (i32.const 0) (i32.const -1))) (i32.const 1)";
    let process = start(
        &module(VERSION, "(i32.const 1)", reply),
        ProcessOptions::default(),
    );
    said(&process);
    let stream = process.open(0, BTreeMap::new());
    let Flow::Reply(reply) = process.request_headers(stream, headers(&[]), true) else {
        panic!("no reply");
    };
    assert_eq!(
        (reply.status, reply.details.as_str(), reply.body.as_slice()),
        (503, "abc", b"de".as_slice())
    );
    process.close(stream);
    assert_eq!(said(&process), "adefgh");
}

#[test]
fn bad_pointers_and_unknown_functions_are_statuses_that_the_guest_sees() {
    let request =
        "(call $say (call $property (i32.const -8) (i32.const 4) (i32.const 0) (i32.const 0)))
        (i32.const 0)";
    let process = start(
        &module(VERSION, "(i32.const 1)", request),
        ProcessOptions::default(),
    );
    said(&process);
    let stream = process.open(0, BTreeMap::new());
    process.request_headers(stream, headers(&[]), true);
    assert_eq!(said(&process), "adg", "status 6: invalid memory access");

    let foreign =
        "(call $say (call $foreign (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0))) (i32.const 0)";
    let process = start(
        &module(VERSION, "(i32.const 1)", foreign),
        ProcessOptions::default(),
    );
    said(&process);
    let stream = process.open(0, BTreeMap::new());
    process.request_headers(stream, headers(&[]), true);
    assert_eq!(said(&process), "adb", "status 1: not found");
}

#[test]
fn a_trap_kills_the_vm_and_the_failure_policy_says_what_comes_then() {
    for request in ["unreachable", "(loop $l (br $l)) (i32.const 0)"] {
        for (policy, first, second, alive) in [
            (FailurePolicy::Closed, 503, 503, false),
            (FailurePolicy::Open, 0, 0, false),
            (FailurePolicy::Reload(100), 503, 503, false),
        ] {
            let options = ProcessOptions {
                failure_policy: policy,
                fuel_per_callback: 100_000,
                ..ProcessOptions::default()
            };
            let process = start(&module(VERSION, "(i32.const 1)", request), options);
            let ask = || {
                let stream = process.open(0, BTreeMap::new());
                let flow = process.request_headers(stream, headers(&[]), true);
                process.close(stream);
                match flow {
                    Flow::Reply(reply) => reply.status,
                    Flow::Continue | Flow::Pause => 0,
                }
            };
            assert_eq!(
                (ask(), ask(), process.is_alive(0)),
                (first, second, alive),
                "{policy:?}"
            );
            process.set_now(200);
            let stream = process.open(0, BTreeMap::new());
            let reloads = matches!(policy, FailurePolicy::Reload(_));
            assert_eq!(process.is_alive(0), reloads, "{policy:?}");
            process.close(stream);
        }
    }
}
