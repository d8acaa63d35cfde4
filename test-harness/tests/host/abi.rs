//! The host call by call, as Envoy does it: what a guest sees in which phase, and what it gets when it asks for too much.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use seawall_harness::abi::stream::{Action, headers};
use seawall_harness::module::{HostError, Module};
use seawall_harness::process::{FailurePolicy, Flow, Process, ProcessOptions, StreamId};

/// The shapes of a callback's parameters.
const SHAPES: [(&str, &str); 13] = [
    ("_initialize", ""),
    ("malloc", "(param i32) (result i32)"),
    ("proxy_on_configure", "(param i32 i32) (result i32)"),
    ("proxy_on_tick", "(param i32)"),
    (
        "proxy_on_request_headers",
        "(param i32 i32 i32) (result i32)",
    ),
    ("proxy_on_request_body", "(param i32 i32 i32) (result i32)"),
    (
        "proxy_on_response_headers",
        "(param i32 i32 i32) (result i32)",
    ),
    ("proxy_on_response_body", "(param i32 i32 i32) (result i32)"),
    ("proxy_on_response_trailers", "(param i32 i32) (result i32)"),
    ("proxy_on_context_create", "(param i32 i32)"),
    ("proxy_on_log", "(param i32)"),
    ("proxy_on_done", "(param i32) (result i32)"),
    ("proxy_on_delete", "(param i32)"),
];

fn bytes(callbacks: &[(&str, &str)]) -> Vec<u8> {
    let functions: String = callbacks
        .iter()
        .map(|(name, body)| {
            let shape = SHAPES.iter().find(|(known, _)| known == name);
            let (_, shape) = shape.expect("a known callback");
            format!(r#"(func (export "{name}") {shape} {body})"#)
        })
        .collect();
    let allocator = if callbacks.iter().any(|(name, _)| *name == "malloc") {
        ""
    } else {
        r#"(func (export "malloc") (param i32) (result i32) (i32.const 8192))"#
    };
    let text = format!(
        r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_size" (func $size (param i32 i32) (result i32)))
        (import "env" "proxy_get_buffer_status" (func $buffer (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_set_tick_period_milliseconds" (func $ticks (param i32) (result i32)))
        (import "env" "proxy_done" (func $done (result i32)))
        (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_send_local_response"
            (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "abcdefghijklmnopqrstuvwxyz")
        (data (i32.const 32) "X-Name")
        (data (i32.const 48) "request\00path")
        (global $kept (mut i32) (i32.const 0))
        (func $say (param $letter i32) (drop (call $log (i32.const 2) (local.get $letter) (i32.const 1))))
        (func $answer (drop (call $reply (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1))))
        (func $look (call $say (call $header
            (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 4096) (i32.const 4100))))
        (func (export "proxy_abi_version_0_2_1"))
        {allocator} {functions})"#
    );
    wat::parse_str(text).expect("a module")
}

fn start_with(callbacks: &[(&str, &str)], options: ProcessOptions) -> Process {
    let module = Module::from_bytes(&bytes(callbacks)).expect("a module that the host takes");
    let process = Process::start(&module, options, 5).expect("a process");
    process.take_log();
    process
}

fn start(callbacks: &[(&str, &str)]) -> Process {
    start_with(callbacks, ProcessOptions::default())
}

fn said(process: &Process) -> String {
    let lines = process.take_log().into_iter();
    lines.map(|line| line.text).collect()
}

fn ask(process: &Process) -> (StreamId, Flow) {
    let properties = BTreeMap::from([("request\0path".to_owned(), b"/".to_vec())]);
    let stream = process.open(0, properties);
    let flow = process.request_headers(stream, headers(&[("x-name", "value")]), false);
    (stream, flow)
}

#[test]
fn an_own_reply_shows_itself_to_the_filter_only_before_the_answer_began() {
    let early = start(&[
        ("proxy_on_request_headers", "(call $answer) (i32.const 1)"),
        (
            "proxy_on_response_headers",
            "(call $say (i32.const 7)) (i32.const 0)",
        ),
        (
            "proxy_on_response_body",
            "(call $say (local.get 1)) (i32.const 0)",
        ),
    ]);
    assert!(matches!(ask(&early).1, Flow::Reply(reply) if reply.status == 418));
    assert_eq!(said(&early), "hc", "headers and a body of 2 bytes");

    let late = start(&[
        (
            "proxy_on_response_headers",
            "(call $say (i32.const 7)) (call $answer) (i32.const 1)",
        ),
        (
            "proxy_on_response_body",
            "(call $say (i32.const 8)) (call $answer) (i32.const 1)",
        ),
    ]);
    let (stream, _) = ask(&late);
    let replaced = late.response_headers(stream, headers(&[(":status", "503")]), false);
    assert!(matches!(replaced, Flow::Reply(reply) if reply.body == b"ab"));
    assert_eq!(said(&late), "h", "not asked again about its own");
    assert_eq!(late.response_body(stream, b"x", true), Flow::Pause);
    assert_eq!(late.take_actions(stream), [Action::ResetResponse]);
}

#[test]
fn headers_are_in_reach_until_they_went_on_and_once_more_for_the_log() {
    let process = start(&[
        ("proxy_on_request_headers", "(call $look) (i32.const 0)"),
        ("proxy_on_request_body", "(call $look) (i32.const 0)"),
        ("proxy_on_log", "(call $look)
            (call $say (call $add (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))"),
        ("proxy_on_done", "(call $look) (i32.const 1)"),
    ]);
    let (stream, _) = ask(&process);
    assert_eq!(said(&process), "a", "found, however its name is written");
    process.request_body(stream, b"x", true);
    assert_eq!(said(&process), "c", "bad argument: they are gone");
    process.close(stream);
    assert_eq!(
        said(&process),
        "acc",
        "the log reads, changes nothing, and is the last"
    );
}

#[test]
fn properties_of_the_request_are_gone_when_the_answer_comes() {
    let look = "(call $say (call $property
        (i32.const 48) (i32.const 12) (i32.const 4096) (i32.const 4100))) (i32.const 0)";
    let process = start(&[
        (
            "proxy_on_configure",
            "(call $say (call $property
            (i32.const 48) (i32.const 12) (i32.const 4096) (i32.const 4100))) (i32.const 1)",
        ),
        ("proxy_on_request_headers", look),
        ("proxy_on_response_headers", look),
    ]);
    let (stream, _) = ask(&process);
    process.response_headers(stream, headers(&[(":status", "200")]), true);
    assert_eq!(said(&process), "ab");
    process.reconfigure(b"").expect("taken");
    assert_eq!(
        said(&process),
        "bbb",
        "a root has none: canary, main thread, worker"
    );
}

#[test]
fn an_allocator_that_traps_kills_the_vm_and_one_that_has_none_left_does_not() {
    let look = ("proxy_on_request_headers", "(call $look) (i32.const 0)");
    let trapping = start(&[("malloc", "unreachable"), look]);
    assert!(matches!(ask(&trapping).1, Flow::Reply(reply) if reply.status == 503));
    assert!(!trapping.is_alive(0));
    let empty = start(&[("malloc", "(i32.const 0)"), look]);
    assert_eq!(ask(&empty).1, Flow::Continue);
    assert_eq!(said(&empty), "g", "status 6: invalid memory access");
}

#[test]
fn imports_that_no_host_has_are_refused_and_those_that_this_one_lacks_say_so() {
    for import in [
        r#"(import "env" "proxy_fly" (func (result i32)))"#,
        r#"(import "other" "proxy_log" (func (param i32 i32 i32) (result i32)))"#,
        r#"(import "env" "table" (memory 1))"#,
    ] {
        let version = r#"(func (export "proxy_abi_version_0_2_0"))"#;
        let bytes = wat::parse_str(format!("(module {import} {version})")).expect("a module");
        let refused = Module::from_bytes(&bytes).map(|_| ());
        assert!(matches!(refused, Err(HostError::Import(_))), "{import}");
    }
    let process = start(&[(
        "proxy_on_request_headers",
        "(if (i32.eq (call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 52))
            (then (call $say (i32.const 0))))
        (i32.const 0)",
    )]);
    ask(&process);
    assert_eq!(said(&process), "a");
    assert_eq!(process.common().calls.borrow()["fd_read"], 1);
}

#[test]
fn the_time_of_day_comes_in_whole_microseconds() {
    let process = start(&[(
        "proxy_on_request_headers",
        "(drop (call $time (i32.const 4096)))
        (if (i64.eq (i64.load (i32.const 4096)) (i64.const 1767225600000001000))
            (then (call $say (i32.const 0)))) (i32.const 0)",
    )]);
    process.set_now(1_999);
    ask(&process);
    assert_eq!(said(&process), "a");
}

#[test]
fn a_guest_speaks_for_living_contexts_only_and_resumes_from_a_tick() {
    let process = start(&[
        (
            "proxy_on_context_create",
            "(drop (call $ticks (i32.const 2)))",
        ),
        (
            "proxy_on_request_headers",
            "(global.set $kept (local.get 0)) (i32.const 1)",
        ),
        (
            "proxy_on_tick",
            "(call $say (call $effective (global.get $kept)))
            (call $say (call $continue (i32.const 0)))",
        ),
    ]);
    let (stream, flow) = ask(&process);
    assert_eq!(flow, Flow::Pause);
    process.tick_vm(1);
    assert_eq!(said(&process), "aa");
    assert_eq!(process.take_actions(stream), [Action::ResumeRequest]);
    process.close(stream);
    process.tick_vm(1);
    assert_eq!(
        said(&process),
        "ca",
        "a bad argument; then it is the root's, where there is nothing to go on"
    );
}

#[test]
fn ticks_come_to_roots_that_asked_until_a_drain_is_over() {
    let process = start(&[
        (
            "proxy_on_configure",
            "(drop (call $ticks (i32.const 2))) (i32.const 1)",
        ),
        ("proxy_on_tick", "(call $say (i32.const 19))"),
        ("proxy_on_done", "(call $say (i32.const 3)) (i32.const 1)"),
        ("proxy_on_delete", "(call $say (i32.const 4))"),
    ]);
    assert_eq!(process.next_tick(), Some((0, 2_000_005)));
    process.set_now(2_000_005);
    process.tick_vm(0);
    assert_eq!(
        process.next_tick(),
        Some((1, 2_000_005)),
        "the worker's is still due"
    );
    process.reconfigure(b"").expect("taken");
    said(&process);
    process.tick_vm(1);
    assert_eq!(said(&process), "tt", "both roots while it drains");
    process.drop_old_roots();
    assert_eq!(said(&process), "dede", "main thread and worker");
    process.tick_vm(1);
    assert_eq!(said(&process), "t");
    assert_eq!(start(&[]).next_tick(), None);
}

#[test]
fn a_dead_worker_does_not_stand_in_the_way_of_a_new_configuration() {
    let process = start(&[(
        "proxy_on_configure",
        "(call $say (local.get 1)) (i32.const 1)",
    )]);
    process.kill(0);
    process.reconfigure(b"abc").expect("taken");
    assert_eq!(said(&process), "dd", "canary and main thread");
    process.set_now(200_000_000);
    process.open(0, BTreeMap::new());
    assert_eq!(said(&process), "d", "the new VM starts with it");
}

#[test]
fn a_body_that_waits_is_shown_whole_and_goes_on_at_once() {
    let process = start(&[(
        "proxy_on_request_body",
        "(drop (call $buffer (i32.const 0) (i32.const 4096) (i32.const 4100)))
        (call $say (i32.load (i32.const 4096)))
        (i32.eqz (local.get 2))",
    )]);
    let (stream, _) = ask(&process);
    assert_eq!(process.request_body(stream, b"ab", false), Flow::Pause);
    assert_eq!(process.take_body(stream, 0), b"");
    assert_eq!(process.request_body(stream, b"cde", true), Flow::Continue);
    assert_eq!(process.take_body(stream, 0), b"abcde");
    assert_eq!(said(&process), "cf");
}

#[test]
fn a_stream_is_not_asked_whether_it_is_done() {
    let process = start(&[
        (
            "proxy_on_done",
            "(call $say (i32.const 3)) (call $say (call $done)) (i32.const 0)",
        ),
        ("proxy_on_delete", "(call $say (i32.const 23))"),
    ]);
    let (stream, _) = ask(&process);
    process.close(stream);
    process.close(stream);
    assert_eq!(said(&process), "dbx", "not found, and deleted at once");
}

#[test]
fn what_a_guest_prints_is_logged_and_an_exit_is_passed_over() {
    let process = start_with(
        &[(
            "proxy_on_request_headers",
            "(i32.store (i32.const 4096) (i32.const 0)) (i32.store (i32.const 4100) (i32.const 3))
            (i32.store (i32.const 4104) (i32.const 9)) (i32.store (i32.const 4108) (i32.const 1))
            (drop (call $write (i32.const 2) (i32.const 4096) (i32.const 2) (i32.const 4112)))
            (call $say (i32.load (i32.const 4112)))
            (call $say (call $write (i32.const 7) (i32.const 4096) (i32.const 2) (i32.const 4112)))
            (call $exit (i32.const 3)) (call $say (i32.const 25)) unreachable",
        )],
        ProcessOptions {
            failure_policy: FailurePolicy::Open,
            ..ProcessOptions::default()
        },
    );
    assert_eq!(ask(&process).1, Flow::Continue);
    assert!(!process.is_alive(0));
    let lines = process.take_log();
    let shown: Vec<_> = lines
        .iter()
        .map(|line| (line.level, line.text.as_str()))
        .collect();
    assert_eq!(shown[..4], [(4, "abcj"), (2, "e"), (2, "i"), (2, "z")]);
}

#[test]
fn memory_ends_at_its_bound_and_fuel_is_the_same_every_time() {
    let callbacks = [(
        "proxy_on_request_headers",
        "(if (i32.eq (memory.grow (i32.const 2)) (i32.const -1)) (then (call $say (i32.const 0))))
        (i32.const 0)",
    )];
    let fuel = |memory_max| {
        let options = ProcessOptions {
            memory_max,
            ..ProcessOptions::default()
        };
        let process = start_with(&callbacks, options);
        let before = process.fuel();
        ask(&process);
        (said(&process), process.fuel() - before)
    };
    let (bounded, free) = (fuel(2 * 65_536), fuel(3 * 65_536));
    assert_eq!((bounded.0.as_str(), free.0.as_str()), ("a", ""));
    assert!(bounded.1 > free.1 && free.1 > 0);
    assert_eq!(fuel(2 * 65_536), bounded);
    let options = ProcessOptions {
        memory_max: 1,
        ..ProcessOptions::default()
    };
    let module = Module::from_bytes(&bytes(&[])).expect("a module");
    let refused = Process::start(&module, options, 0).map(|_| ());
    assert!(matches!(refused, Err(HostError::Trapped(_))));
}

#[test]
fn another_worker_can_come_in_between_a_read_and_its_write_and_wins_the_swap() {
    let swap = "(drop (call $get (i32.const 0) (i32.const 1) (i32.const 4096) (i32.const 4100) (i32.const 4104)))
        (call $say (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
            (i32.load (i32.const 4104)))) (i32.const 0)";
    let options = ProcessOptions {
        workers: 2,
        ..ProcessOptions::default()
    };
    let process = start_with(&[("proxy_on_request_headers", swap)], options);
    let ask = |process: &Process, worker| {
        let stream = process.open(worker, BTreeMap::new());
        process.request_headers(stream, headers(&[]), true)
    };
    ask(&process, 0);
    assert_eq!(said(&process), "a", "the key is there now");
    let (inside, other) = (Rc::new(Cell::new(0)), process.clone());
    let seen = Rc::clone(&inside);
    *process.common().hook.borrow_mut() = Some(Rc::new(move |vm| {
        if seen.replace(vm) == 0 {
            assert!(matches!(other.reconfigure(b""), Err(HostError::Inside)));
            ask(&other, 1);
        }
    }));
    ask(&process, 0);
    assert_eq!(
        said(&process),
        "ai",
        "worker 2 first, and worker 1 sees the mismatch"
    );
    assert_eq!(inside.get(), 2);
}
