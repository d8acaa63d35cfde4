//! How VMs and streams begin and end.

use seawall_harness::host::Request;

use crate::guest::module;
use crate::{Case, check};

fn case() -> Case {
    Case {
        configuration: "plugin",
        vm_configuration: "machine",
        requests: vec![Request::get("/"), Request::get("/")],
        ..Case::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_callback_comes_once_and_in_order() -> anyhow::Result<()> {
    let module = module(
        r#"(func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 60000))
        (func $configuration (param $number i32)
            (call $say_if (call $buffer (local.get $number) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260))))"#,
        &[
            ("_initialize", r#"(call $say $"initialise")"#),
            ("_start", r#"(call $say $"start")"#),
            ("main", r#"(call $say $"main") (i32.const 0)"#),
            (
                "proxy_on_vm_start",
                r#"(call $number (local.get 1)) (call $configuration (i32.const 6)) (call $configuration (i32.const 7)) (i32.const 1)"#,
            ),
            (
                "proxy_on_configure",
                r#"(call $number (local.get 1)) (call $configuration (i32.const 6)) (call $configuration (i32.const 7)) (i32.const 1)"#,
            ),
            ("proxy_on_log", r#"(call $say $"log")"#),
            ("proxy_on_done", r#"(call $say $"done") (i32.const 1)"#),
            ("proxy_on_delete", r#"(call $say $"delete")"#),
        ],
    );
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_done_ends_when_the_guest_says_so() -> anyhow::Result<()> {
    let module = module(
        "",
        &[
            (
                "proxy_on_tick",
                "(if (global.get $mine) (then
                    (call $number (call $effective (global.get $mine)))
                    (call $number (call $done)) (call $number (call $done))
                    (global.set $mine (i32.const 0))
                    (drop (call $effective (local.get 0))) (drop (call $tick (i32.const 0)))))",
            ),
            (
                "proxy_on_done",
                "(global.set $mine (local.get 0)) (drop (call $effective (i32.const 1)))
                (drop (call $tick (i32.const 20))) (drop (call $effective (local.get 0))) (i32.const 0)",
            ),
        ],
    );
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_without_an_initialiser_is_started() -> anyhow::Result<()> {
    for (name, body) in [
        ("_start", r#"(call $say $"start")"#),
        ("main", r#"(call $say $"main") (i32.const 0)"#),
    ] {
        check(case(), &module("", &[(name, body)])).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_ends_the_vm_and_all_its_streams() -> anyhow::Result<()> {
    for (callback, requests) in [
        ("proxy_on_request_headers", 2),
        ("proxy_on_response_headers", 2),
        ("proxy_on_log", 2),
    ] {
        let module = module("", &[(callback, "(unreachable)")]);
        let case = Case {
            dies: true,
            requests: vec![Request::get("/"); requests],
            ..case()
        };
        check(case, &module).await?;
    }
    Ok(())
}
