//! The upstream position: what one filter sees in it, what passes between it and the downstream position, how it parks.

use std::collections::BTreeMap;

use seawall_harness::abi::stream::{RESPONSE_HEADERS, headers, value};
use seawall_harness::module::Module;
use seawall_harness::process::{Flow, Process, ProcessOptions, Properties, StreamId};

/// A filter that says what is called: `q` request, `a` attempt, `r` answer, `l` log, `d` done, `x` delete. At each headers
/// it says what stands under the property "state" (`.` if nothing does) and leaves its own letter there.
/// `attempt` and `tick` are what it does then; `$attempt` is the last attempt's context.
fn start(attempt: &str, tick: &str) -> Process {
    let text = format!(
        r#"(module
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_property" (func $leave (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_send_local_response"
            (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_set_tick_period_milliseconds" (func $ticks (param i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "qarldx.")
        (data (i32.const 32) "state")
        (data (i32.const 48) "upstream\00request_attempt_count")
        (global $attempt (mut i32) (i32.const 0))
        (func $say (param $at i32) (drop (call $log (i32.const 2) (local.get $at) (i32.const 1))))
        (func $step (param $letter i32)
            (call $say (local.get $letter))
            (if (call $property (i32.const 32) (i32.const 5) (i32.const 4096) (i32.const 4100))
                (then (call $say (i32.const 6)))
                (else (call $say (i32.load (i32.const 4096)))))
            (drop (call $leave (i32.const 32) (i32.const 5) (local.get $letter) (i32.const 1))))
        (func $answer (drop (call $reply (i32.const 418) (i32.const 0) (i32.const 1) (i32.const 0)
            (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1))))
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 8192))
        (func (export "proxy_on_context_create") (param i32 i32))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (result i32)
                (call $property (i32.const 48) (i32.const 30) (i32.const 4104) (i32.const 4108))
                (then (call $step (i32.const 0)) (i32.const 0))
                (else (global.set $attempt (local.get 0)) (call $step (i32.const 1)) {attempt})))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $step (i32.const 2)) (i32.const 0))
        (func (export "proxy_on_tick") (param i32) {tick})
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $ticks (i32.const 500))) (i32.const 1))
        (func (export "proxy_on_log") (param i32) (call $say (i32.const 3)))
        (func (export "proxy_on_done") (param i32) (result i32) (call $say (i32.const 4)) (i32.const 1))
        (func (export "proxy_on_delete") (param i32) (call $say (i32.const 5))))"#
    );
    let bytes = wat::parse_str(text).expect("a module");
    let module = Module::from_bytes(&bytes).expect("a module that the host takes");
    let process = Process::start(&module, ProcessOptions::default(), 5).expect("a process");
    process.take_log();
    process
}

const PASS: &str = "(i32.const 0)";
const PAUSE: &str = "(i32.const 1)";
/// The only worker's VM.
const WORKER: usize = 1;

fn said(process: &Process) -> String {
    let lines = process.take_log().into_iter();
    lines.map(|line| line.text).collect()
}

fn count(attempt: u64) -> Properties {
    let path = "upstream\0request_attempt_count".to_owned();
    BTreeMap::from([(path, attempt.to_le_bytes().to_vec())])
}

fn ask(process: &Process) -> StreamId {
    let stream = process.open(0, Properties::new());
    process.request_headers(stream, headers(&[(":path", "/")]), true);
    stream
}

fn attempt(process: &Process, parent: StreamId, number: u64) -> (StreamId, Flow) {
    let stream = process.open_attempt(parent, count(number));
    let flow = process.request_headers(stream, headers(&[(":path", "/")]), true);
    (stream, flow)
}

#[test]
fn what_one_position_sets_the_other_reads_and_only_the_request_is_logged() {
    let process = start(PASS, "");
    let request = ask(&process);
    assert_eq!(
        said(&process),
        "q.",
        "nothing was set, and it is no attempt"
    );
    let (first, flow) = attempt(&process, request, 1);
    assert_eq!((said(&process).as_str(), flow), ("aq", Flow::Continue));
    process.close(first);
    assert_eq!(said(&process), "dx", "no log for an attempt");
    let (second, _) = attempt(&process, request, 2);
    process.response_headers(second, headers(&[(":status", "200")]), true);
    process.close(second);
    assert_eq!(said(&process), "aaradx");
    process.response_headers(request, headers(&[(":status", "200")]), true);
    process.close(request);
    assert_eq!(said(&process), "rrldx");
    assert_eq!(process.filter_state(request, "state"), None, "it is gone");
}

#[test]
fn two_requests_share_nothing() {
    let process = start(PASS, "");
    let (first, second) = (ask(&process), ask(&process));
    assert_eq!(said(&process), "q.q.");
    attempt(&process, first, 1);
    assert_eq!(process.filter_state(first, "state").as_deref(), Some("a"));
    assert_eq!(process.filter_state(second, "state").as_deref(), Some("q"));
}

#[test]
fn a_reply_of_an_attempt_passes_by_its_own_answer_side() {
    let process = start("(call $answer) (i32.const 1)", "");
    let request = ask(&process);
    said(&process);
    let (stream, flow) = attempt(&process, request, 1);
    assert!(matches!(&flow, Flow::Reply(reply) if reply.status == 418 && reply.details == "q"));
    assert_eq!(said(&process), "aq");
    process.response_headers(request, headers(&[(":status", "418")]), true);
    process.close(request);
    process.close(stream);
    assert_eq!(said(&process), "raldxdx");
}

#[test]
fn a_parked_attempt_is_resumed_or_answered_from_a_tick() {
    let wake = "(drop (call $effective (global.get $attempt)))";
    let resumed = start(
        PAUSE,
        &format!("{wake} (drop (call $continue (i32.const 0)))"),
    );
    let (stream, flow) = attempt(&resumed, ask(&resumed), 2);
    assert_eq!((flow, resumed.woken(stream)), (Flow::Pause, None));
    resumed.tick_vm(WORKER);
    assert_eq!(resumed.woken(stream), Some(Flow::Continue));
    assert_eq!(resumed.woken(stream), None, "once");

    let answered = start(PAUSE, &format!("{wake} (call $answer)"));
    let request = ask(&answered);
    let (stream, _) = attempt(&answered, request, 2);
    answered.tick_vm(WORKER);
    said(&answered);
    assert!(matches!(answered.woken(stream), Some(Flow::Reply(reply)) if reply.status == 418));
    assert_eq!(
        said(&answered),
        "",
        "the request's stream sees it, not the attempt's"
    );
    answered.response_headers(request, headers(&[(":status", "418")]), true);
    let shown = answered.header_map(request, RESPONSE_HEADERS);
    assert_eq!(value(&shown, ":status").as_deref(), Some("418"));
    answered.close(stream);
    answered.tick_vm(WORKER);
    assert_eq!(answered.woken(stream), None, "it is gone");
}

#[test]
fn the_properties_of_the_request_are_the_attempts_too() {
    let process = start(PASS, "");
    let count = count(1);
    let request = process.open(0, count.clone());
    process.request_headers(request, headers(&[]), true);
    assert_eq!(said(&process), "a.", "found, as in an attempt");
    let stream = process.open_attempt(request, Properties::new());
    process.request_headers(stream, headers(&[]), true);
    assert_eq!(said(&process), "aa", "inherited");
}
