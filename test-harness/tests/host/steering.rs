//! What a guest does to a stream or to itself from anywhere: logs, time, contexts, going on, cutting off, replies, the end.

use seawall_harness::abi::stream::Action;
use seawall_harness::module::{HostError, Module};
use seawall_harness::process::{FailurePolicy, Flow, Process, ProcessOptions};

use crate::probe::{BAD, Call, Guest, I, Kept, R, S, call, compare, in_root, reads, said, split};

fn reply<'a>(status: i32, details: &'a [u8]) -> Call<'a> {
    let parts = [I(status), S(details), S(b"body"), S(b""), I(-1)];
    call("proxy_send_local_response", &parts)
}

#[test]
fn statuses_in_a_root() {
    let bad = [I(200), BAD, I(20), S(b""), S(b""), I(-1)];
    in_root(&[
        (call("proxy_log", &[I(6), S(b"x")]), "2 0"),
        (call("proxy_log", &[I(2), BAD, I(20)]), "6 0"),
        (call("proxy_get_log_level", &[R(0)]), "0 2"),
        (call("proxy_get_log_level", &[BAD]), "6 0"),
        (call("proxy_get_current_time_nanoseconds", &[I(-4)]), "6 0"),
        (call("proxy_set_effective_context", &[I(999)]), "2 0"),
        (call("proxy_set_effective_context", &[I(0)]), "0 0"),
        (call("proxy_set_effective_context", &[Kept]), "0 0"),
        (call("proxy_done", &[]), "1 0"),
        (reads("proxy_get_status", &[R(2)]), "0 0"),
        (reads("proxy_get_status", &[BAD]), "6 0"),
        (call("proxy_continue_stream", &[I(0)]), "0 0"),
        (call("proxy_continue_stream", &[I(1)]), "0 0"),
        (call("proxy_continue_stream", &[I(2)]), "0 0"),
        (call("proxy_continue_stream", &[I(3)]), "12 0"),
        (call("proxy_continue_stream", &[I(4)]), "2 0"),
        (call("proxy_close_stream", &[I(0)]), "0 0"),
        (call("proxy_close_stream", &[I(3)]), "0 0"),
        (call("proxy_close_stream", &[I(4)]), "2 0"),
        (reply(200, b""), "0 0"),
        (call("proxy_send_local_response", &bad), "6 0"),
        (
            call("proxy_get_shared_data", &[S(b"no"), R(0), R(1), R(2)]),
            "1 0",
        ),
        (
            call("proxy_set_shared_data", &[S(b"k"), S(b"v"), I(0)]),
            "0 0",
        ),
        (
            call("proxy_get_shared_data", &[S(b"k"), R(0), R(1), R(2)]),
            "0 @ v",
        ),
        (
            call("proxy_set_shared_data", &[S(b"k"), S(b"v"), I(12_345)]),
            "8 0",
        ),
        (
            call("proxy_get_shared_data", &[S(b"k"), R(0), R(1), BAD]),
            "6 @ v",
        ),
        (
            call("proxy_get_shared_data", &[S(b"k"), BAD, R(1), R(2)]),
            "6 0",
        ),
        (
            call("proxy_set_shared_data", &[BAD, I(20), S(b"v"), I(0)]),
            "6 0",
        ),
        (
            call("proxy_set_shared_data", &[S(b"k"), BAD, I(20), I(0)]),
            "6 0",
        ),
        (
            call("proxy_set_shared_data", &[S(b""), S(b"v"), I(0)]),
            "0 0",
        ),
        (call("proxy_set_tick_period_milliseconds", &[I(0)]), "0 0"),
    ]);
}

#[test]
fn a_length_beyond_all_memory_is_a_bad_pointer() {
    let long = I(0x7fff_ffff);
    in_root(&[
        (call("proxy_log", &[I(2), I(0), long]), "6 0"),
        (call("proxy_log", &[I(2), I(16), I(-1)]), "6 0"),
        (call("proxy_set_property", &[S(b"k"), I(0), long]), "6 0"),
        (
            call("proxy_set_shared_data", &[I(0), long, S(b"v"), I(0)]),
            "6 0",
        ),
        (
            call("proxy_register_shared_queue", &[I(0), long, R(0)]),
            "6 0",
        ),
        (
            call("proxy_define_metric", &[I(0), I(0), long, R(0)]),
            "6 0",
        ),
        (
            call("proxy_set_header_map_pairs", &[I(0), I(0), long]),
            "6 0",
        ),
        (call("proxy_grpc_send", &[I(6), I(0), long, I(0)]), "6 0"),
    ]);
}

fn ask(process: &Process) -> Flow {
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true)
}

#[test]
fn of_two_replies_the_first_counts_and_its_details_have_no_spaces() {
    let replies = [reply(418, b"a b\tc"), reply(419, b"later")];
    let process = Guest::new()
        .on_with("proxy_on_request_headers", &replies, 1)
        .start();
    let Flow::Reply(reply) = ask(&process) else {
        panic!("no reply");
    };
    assert_eq!((reply.status, reply.details.as_str()), (418, "a_b_c"));
}

#[test]
fn an_answer_of_a_callback_that_nobody_knows_waits() {
    for (gives, on_headers, on_body) in [
        (0, Flow::Continue, Flow::Continue),
        (1, Flow::Pause, Flow::Pause),
        (3, Flow::Pause, Flow::Pause),
        (99, Flow::Pause, Flow::Pause),
    ] {
        let process = Guest::new()
            .on_with("proxy_on_request_headers", &[], gives)
            .on_with("proxy_on_response_body", &[], gives)
            .start();
        let stream = process.open(0, Default::default());
        let flow = process.request_headers(stream, Vec::new(), true);
        assert_eq!(flow, on_headers, "{gives}");
        assert_eq!(
            process.response_body(stream, b"x", true),
            on_body,
            "{gives}"
        );
    }
}

#[test]
fn a_resumed_stream_has_no_request_headers_any_more() {
    let table = [
        (call("proxy_continue_stream", &[I(1)]), "0 0"),
        (reads("proxy_get_header_map_value", &[I(0), S(b"x")]), "2 0"),
        (call("proxy_close_stream", &[I(0)]), "0 0"),
    ];
    let (calls, expected) = split(&table);
    let process = Guest::new().on("proxy_on_request_headers", &calls).start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true);
    compare(&said(&process)[1..], &expected, &calls);
    let actions = process.take_actions(stream);
    assert_eq!(actions, [Action::ResumeResponse, Action::ResetRequest]);
}

#[test]
fn an_effective_context_lasts_for_one_callback() {
    let process = Guest::new()
        .on("proxy_on_request_headers", &[])
        .on(
            "proxy_on_configure",
            &[call("proxy_set_tick_period_milliseconds", &[I(5)])],
        )
        .on(
            "proxy_on_tick",
            &[
                call("proxy_set_property", &[S(b"k"), S(b"v")]),
                call("proxy_set_effective_context", &[Kept]),
                call("proxy_set_property", &[S(b"k"), S(b"v")]),
                call("proxy_set_effective_context", &[I(0)]),
                call("proxy_set_property", &[S(b"k"), S(b"v")]),
            ],
        )
        .start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true);
    said(&process);
    process.advance(11_000_000);
    let lines: Vec<_> = process
        .take_log()
        .into_iter()
        .filter(|line| line.vm == 1)
        .collect();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        texts,
        ["proxy_on_tick 1", "1 0", "0 0", "0 0", "0 0", "1 0"].repeat(2)
    );
    assert_eq!([lines[0].at, lines[6].at], [5_000_000, 10_000_000]);
    assert_eq!(process.filter_state(stream, "k").as_deref(), Some("v"));
}

#[test]
fn a_root_that_is_not_done_goes_when_it_says_so() {
    let process = Guest::new()
        .on(
            "proxy_on_configure",
            &[call("proxy_set_tick_period_milliseconds", &[I(5)])],
        )
        .on_with("proxy_on_done", &[call("proxy_done", &[])], 0)
        .on("proxy_on_tick", &[call("proxy_done", &[])])
        .on("proxy_on_delete", &[])
        .start();
    process.stop();
    assert_eq!(said(&process), ["proxy_on_done 1", "1 0"].repeat(2));
    process.tick_vm(1);
    assert_eq!(
        said(&process),
        ["proxy_on_tick 1", "0 0", "proxy_on_delete 1"]
    );
    process.tick_vm(1);
    assert_eq!(said(&process), [""; 0], "it is gone");
}

#[test]
fn a_vm_is_replaced_at_once_if_it_lived_long_and_waits_if_it_did_not() {
    let second = 1_000_000_000;
    let process = Guest::new()
        .with(
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)"#,
        )
        .start_with(ProcessOptions {
            failure_policy: FailurePolicy::Reload(second),
            ..ProcessOptions::default()
        });
    let asked = |at| {
        process.set_now(at);
        let stream = process.open(0, Default::default());
        let alive = process.is_alive(0);
        process.request_headers(stream, Vec::new(), true);
        process.close(stream);
        alive
    };
    assert!(asked(10 * second), "the first one, and it traps");
    assert!(asked(10 * second + 1), "another in its place");
    assert!(!asked(10 * second + 2));
    assert!(!asked(11 * second));
    assert!(
        asked(11 * second + second / 2 + 1),
        "after the wait and its jitter"
    );
}

#[test]
fn modules_are_refused_for_what_envoy_refuses_them() {
    let module = |guest: Guest| guest.module().map(|_| ());
    let with = |text: &str| module(Guest::new().with(text));
    let version = "proxy_abi_version_0_2_0";
    let level = [call("proxy_get_log_level", &[R(0)])];
    let refused = module(Guest::new().version(version).on("proxy_on_tick", &level));
    assert!(
        matches!(&refused, Err(HostError::Import(name)) if name == "env.proxy_get_log_level"),
        "{refused:?}"
    );
    assert!(module(Guest::new().version(version)).is_ok());
    let old = module(Guest::new().version("proxy_abi_version_0_3_0"));
    let text = old.expect_err("refused").to_string();
    assert!(text.contains("0.3.0") && text.contains("0.2.1"), "{text}");
    let wrong = with(r#"(func (export "proxy_on_log") (param i32 i32))"#);
    assert!(
        matches!(wrong, Err(HostError::Callback { .. })),
        "{wrong:?}"
    );
    let other = with(
        r#"(func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 99))"#,
    );
    assert!(other.is_ok(), "{other:?}");
    for (text, wanted) in [
        (
            r#"(import "env" "proxy_log" (func (param i32) (result i32)))"#,
            "proxy_log",
        ),
        ("", "allocator"),
    ] {
        let text = format!(r#"(module {text} (func (export "proxy_abi_version_0_2_1")))"#);
        let bytes = wat::parse_str(text).expect("a module");
        let refused = Module::from_bytes(&bytes).map(|_| ());
        let said = refused.expect_err("refused").to_string();
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn memory_is_asked_for_under_either_name() {
    let process = Guest::new()
        .on(
            "proxy_on_request_headers",
            &[reads("proxy_get_header_map_value", &[I(0), S(b"x")])],
        )
        .with(
            r#"(func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 80000))"#,
        )
        .start();
    let stream = process.open(0, Default::default());
    let asked = seawall_harness::abi::stream::headers(&[("x", "value")]);
    process.request_headers(stream, asked, true);
    assert_eq!(said(&process)[1], "0 @ value");
}
