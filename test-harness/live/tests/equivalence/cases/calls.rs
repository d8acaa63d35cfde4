//! What is not about one stream: shared data, metrics, ticks, and the statuses of calls that are wrong.

use seawall_harness::host::Request;

use crate::guest::module;
use crate::{Case, check};

fn case() -> Case {
    Case {
        requests: vec![Request::get("/"), Request::get("/")],
        ..Case::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_data_is_compared_and_swapped() -> anyhow::Result<()> {
    let module = module(
        r#"(func $load (call $say_if (call $get_shared $"key" (i32.const 256) (i32.const 260) (i32.const 264)))
            (call $number (i32.load (i32.const 264))))
        (func $store (param $cas i32) (call $number (call $set_shared $"key" $"value" (local.get $cas))))"#,
        &[
            (
                "proxy_on_vm_start",
                r#"(call $load) (call $store (i32.const 0)) (call $load) (i32.const 1)"#,
            ),
            (
                "proxy_on_request_headers",
                r#"(call $load) (call $store (i32.load (i32.const 264))) (call $store (i32.load (i32.const 264)))
                (call $load) (call $store (i32.const 0)) (call $store (i32.const -1)) (call $load)
                (call $number (call $set_shared $"other" $"value" (i32.const 77)))
                (call $number (call $set_shared $"empty" (i32.const 0) (i32.const 0) (i32.const 0)))
                (call $number (call $get_shared $"empty" (i32.const 256) (i32.const 260) (i32.const 264)))
                (call $number (i32.load (i32.const 260)))
                (call $number (call $get_shared $"absent" (i32.const 256) (i32.const 260) (i32.const 264)))
                (call $number (call $set_shared (i32.const 0) (i32.const 0) $"no key" (i32.const 0)))
                (call $number (call $get_shared (i32.const 0) (i32.const 0) (i32.const 256) (i32.const 260) (i32.const 264)))
                (i32.const 0)"#,
            ),
        ],
    );
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_three_kinds() -> anyhow::Result<()> {
    let value = "(call $number (call $metric (i32.load (i32.const 264)) (i32.const 272)))
        (call $number (i32.load (i32.const 272)))";
    let kind = |kind: i32, name: &str| {
        format!(
            r#"(call $number (call $define (i32.const {kind}) {name} (i32.const 264)))
            (call $number (i32.load (i32.const 264)))
            (call $number (call $increment (i32.load (i32.const 264)) (i64.const 5))) {value}
            (call $number (call $increment (i32.load (i32.const 264)) (i64.const -2))) {value}
            (call $number (call $record (i32.load (i32.const 264)) (i64.const 7))) {value}"#
        )
    };
    let request = [
        kind(0, r#"$"a.counter""#),
        kind(1, r#"$"a.gauge""#),
        kind(2, r#"$"a.histogram""#),
        kind(0, r#"$"a.second""#),
        r#"(call $number (call $define (i32.const 3) $"none" (i32.const 264)))
        (call $number (call $metric (i32.const 999) (i32.const 272)))
        (call $number (call $increment (i32.const 999) (i64.const 1)))
        (call $number (call $record (i32.const 0) (i64.const 1))) (i32.const 0)"#
            .to_owned(),
    ];
    let module = module("", &[("proxy_on_request_headers", &request.concat())]);
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_come_in_each_vm_until_they_are_stopped() -> anyhow::Result<()> {
    let module = module(
        "",
        &[
            (
                "proxy_on_configure",
                "(call $number (call $tick (i32.const 20))) (i32.const 1)",
            ),
            (
                "proxy_on_tick",
                "(global.set $count (i32.add (global.get $count) (i32.const 1))) (call $number (global.get $count))
                (if (i32.eq (global.get $count) (i32.const 3)) (then (drop (call $tick (i32.const 0)))))",
            ),
        ],
    );
    let case = Case {
        ticks_before: 6,
        ..case()
    };
    check(case, &module).await
}

/// Calls that are wrong in some way, none of which changes anything.
const ODD: &str = r#"
    (call $number (call $log (i32.const 9) $"level"))
    (call $number (call $log (i32.const 2) (i32.const -8) (i32.const 4)))
    (call $number (call $log (i32.const 2) (i32.const 0) (i32.const -1)))
    (call $number (call $time (i32.const -4)))
    (call $number (call $effective (i32.const 999)))
    (call $number (call $done))
    (call $number (call $size (i32.const 0) (i32.const -4)))
    (call $number (call $size (i32.const 9) (i32.const 264)))
    (call $number (call $size (i32.const 6) (i32.const 264)))
    (call $number (call $pairs (i32.const 3) (i32.const 256) (i32.const 260)))
    (call $number (call $pairs (i32.const 9) (i32.const 256) (i32.const 260)))
    (call $number (call $get (i32.const 9) $"a" (i32.const 256) (i32.const 260)))
    (call $number (call $get (i32.const 1) $"a" (i32.const 256) (i32.const 260)))
    (call $number (call $get (i32.const 0) (i32.const -8) (i32.const 4) (i32.const 256) (i32.const 260)))
    (call $number (call $add (i32.const 9) $"a" $"b"))
    (call $number (call $remove (i32.const 3) $"a"))
    (call $number (call $set_pairs (i32.const 9) (i32.const 1024) (i32.const 0)))
    (call $number (call $continue (i32.const 2)))
    (call $number (call $continue (i32.const 9)))
    (call $number (call $close (i32.const 9)))
    (call $number (call $buffer (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 256) (i32.const 260)))
    (call $number (call $buffer (i32.const 1) (i32.const 0) (i32.const 9) (i32.const 256) (i32.const 260)))
    (call $number (call $buffer (i32.const 4) (i32.const 0) (i32.const 9) (i32.const 256) (i32.const 260)))
    (call $number (call $buffer (i32.const 6) (i32.const 0) (i32.const 9) (i32.const 256) (i32.const 260)))
    (call $number (call $buffer (i32.const 7) (i32.const 0) (i32.const 9) (i32.const 256) (i32.const 260)))
    (call $number (call $buffer (i32.const 7) (i32.const 0) (i32.const 9) (i32.const -4) (i32.const 260)))
    (call $number (call $buffer_status (i32.const 7) (i32.const 264) (i32.const 268)))
    (call $number (call $buffer_status (i32.const 0) (i32.const 264) (i32.const 268)))
    (call $number (call $set_buffer (i32.const 7) (i32.const 0) (i32.const 0) $"a"))
    (call $number (call $status (i32.const 264) (i32.const 256) (i32.const 260)))
    (call $number (call $property $"a" (i32.const 256) (i32.const 260)))
    (call $number (call $property (i32.const 0) (i32.const 0) (i32.const 256) (i32.const 260)))
    (call $number (call $property (i32.const -8) (i32.const 4) (i32.const 256) (i32.const 260)))
    (call $number (call $get_shared (i32.const -8) (i32.const 4) (i32.const 256) (i32.const 260) (i32.const 264)))
    (call $number (call $define (i32.const 0) (i32.const -8) (i32.const 4) (i32.const 264)))
    (call $number (call $metric (i32.const 4) (i32.const -4)))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_has_envoys_status_in_every_phase() -> anyhow::Result<()> {
    let phase = format!("{ODD} (i32.const 0)");
    let start = format!("{ODD} (i32.const 1)");
    let module = module(
        "",
        &[
            ("proxy_on_configure", start.as_str()),
            ("proxy_on_request_headers", &phase),
            ("proxy_on_request_body", &phase),
            ("proxy_on_response_headers", &phase),
            ("proxy_on_response_body", &phase),
            ("proxy_on_log", ODD),
            ("proxy_on_done", &start),
            ("proxy_on_delete", ODD),
        ],
    );
    let case = Case {
        configuration: "configuration",
        vm_configuration: "vm",
        requests: vec![Request::post("/", "body")],
        ..Case::default()
    };
    check(case, &module).await
}
