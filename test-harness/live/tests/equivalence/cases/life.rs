//! How VMs and streams begin and end.

use seawall_harness::host::{Host, Options, Request};

use crate::guest::{module, old_module};
use crate::{Case, check, real};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roots_are_done_and_deleted_when_the_process_ends() -> anyhow::Result<()> {
    for done in ["(i32.const 1)", "(i32.const 0)"] {
        let done = format!(r#"(call $say $"done") {done}"#);
        let callbacks = [
            ("proxy_on_done", &*done),
            ("proxy_on_delete", r#"(call $say $"delete")"#),
        ];
        let case = Case {
            ends: true,
            ..case()
        };
        check(case, &module("", &callbacks)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_in_the_log_kills_envoy_and_the_host_says_so() -> anyhow::Result<()> {
    let reply = r#"(drop (call $reply (i32.const 403) $"why" $"no" (i32.const 0) (i32.const 0) (i32.const -1)))"#;
    let module = module("", &[("proxy_on_log", reply)]);
    let files = tempfile::tempdir()?;
    let file = files.path().join("guest.wasm");
    std::fs::write(&file, module)?;
    let log = real::killed(&case(), &file).await?;
    assert!(
        log.matches("[host->vm] proxy_on_log(2)").count() > 100,
        "the same stream again and again"
    );
    let mut host = Host::start(&file, Options::default())?;
    assert_eq!(host.send(Request::get("/")).status, 200);
    let said = host.take_log();
    assert!(
        said.iter()
            .any(|line| line.text.contains("a reply in proxy_on_log")),
        "{said:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_of_the_first_version_runs() -> anyhow::Result<()> {
    let configuration = r#"(call $say_if (call $configuration (i32.const 256) (i32.const 260)))"#;
    let started = format!("{configuration} (i32.const 1)");
    let waits = format!(
        r#"(call $number (local.get 1)) {configuration} (call $look (i32.const 0) $":path") (call $number (call $clear_route))
        (global.set $mine (local.get 0)) (drop (call $effective (i32.const 1))) (drop (call $tick (i32.const 20)))
        (drop (call $effective (local.get 0))) (i32.const 1)"#
    );
    for side in ["request", "response"] {
        let waits_at = format!("proxy_on_{side}_headers");
        let tick = format!(
            "(if (global.get $mine) (then
                (drop (call $effective (global.get $mine))) (global.set $mine (i32.const 0))
                (call $number (call $continue_{side}))
                (drop (call $effective (local.get 0))) (drop (call $tick (i32.const 0)))))"
        );
        let callbacks = [
            ("proxy_on_vm_start", &*started),
            ("proxy_on_configure", &started),
            ("proxy_on_tick", &tick),
            (&waits_at, &waits),
        ];
        check(case(), &old_module("", &callbacks)).await?;
    }
    Ok(())
}
