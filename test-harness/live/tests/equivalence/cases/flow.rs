//! Answers of the guest's own, waiting, cutting off.

use seawall_harness::host::{Request, Rule};

use crate::guest::module;
use crate::{Case, check};

const REPLY: &str = r#"(drop (call $reply (i32.const 403) $"because" $"no" (i32.const 0) (i32.const 0) (i32.const -1)))"#;

fn case() -> Case {
    Case {
        requests: vec![Request::get("/"), Request::post("/", "question")],
        upstream: vec![Rule::answer(200, "answer")],
        ..Case::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_answers_a_request_itself() -> anyhow::Result<()> {
    for (status, body) in [("403", r#"$"no""#), ("204", "(i32.const 0) (i32.const 0)")] {
        for gives in [0, 1] {
            let request = format!(
                r#"(call $number (call $reply (i32.const {status}) $"why" {body} (i32.const 0) (i32.const 0) (i32.const -1)))
                (i32.const {gives})"#
            );
            let module = module(
                "",
                &[
                    ("proxy_on_request_headers", &request),
                    (
                        "proxy_on_response_headers",
                        r#"(call $look (i32.const 2) $":status") (call $look (i32.const 2) $"content-type")
                        (call $know $"response\00code_details")
                        (drop (call $add (i32.const 2) $"x-passed" $"1")) (i32.const 0)"#,
                    ),
                    ("proxy_on_log", r#"(call $know $"response\00code_details")"#),
                ],
            );
            check(case(), &module).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_answers_in_the_middle_of_a_request() -> anyhow::Result<()> {
    let body = format!("{REPLY} (i32.const 1)");
    let module = module("", &[("proxy_on_request_body", &body)]);
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_answers_in_the_upstreams_place() -> anyhow::Result<()> {
    for gives in [0, 1] {
        let answer =
            format!(r#"(call $look (i32.const 2) $":status") {REPLY} (i32.const {gives})"#);
        let module = module("", &[("proxy_on_response_headers", &answer)]);
        check(case(), &module).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_after_the_headers_went_out_cuts_the_stream_off() -> anyhow::Result<()> {
    let body = format!("{REPLY} (i32.const 1)");
    let module = module("", &[("proxy_on_response_body", &body)]);
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_at_its_headers_goes_on_from_a_tick() -> anyhow::Result<()> {
    for (waits, kind) in [("request", 0), ("response", 1)] {
        let tick = format!(
            r#"(if (global.get $mine) (then
                (drop (call $effective (global.get $mine)))
                (global.set $mine (i32.const 0))
                (call $number (call $continue (i32.const {kind})))
                (drop (call $effective (local.get 0)))
                (drop (call $tick (i32.const 0)))))"#
        );
        let wait = "(global.set $mine (local.get 0)) (drop (call $effective (i32.const 1)))
            (drop (call $tick (i32.const 20))) (drop (call $effective (local.get 0))) (i32.const 1)";
        let (headers, body) = (
            format!("proxy_on_{waits}_headers"),
            format!("proxy_on_{waits}_body"),
        );
        let held = "(if (i32.eqz (local.get 2)) (then (return (i32.const 1)))) ".to_owned() + wait;
        for callbacks in [
            [("proxy_on_tick", tick.as_str()), (headers.as_str(), wait)],
            [
                ("proxy_on_tick", tick.as_str()),
                (body.as_str(), held.as_str()),
            ],
        ] {
            check(case(), &module("", &callbacks)).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_closes_a_stream() -> anyhow::Result<()> {
    for kind in [0, 1] {
        let close = format!("(call $number (call $close (i32.const {kind}))) (i32.const 1)");
        let module = module("", &[("proxy_on_request_headers", &close)]);
        check(case(), &module).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_the_router_itself_are_seen_too() -> anyhow::Result<()> {
    let reset = Rule {
        reset: true,
        ..Rule::default()
    };
    let module = module(
        "",
        &[(
            "proxy_on_response_headers",
            r#"(call $look (i32.const 2) $":status") (call $know $"response\00code_details") (i32.const 0)"#,
        )],
    );
    let case = Case {
        requests: vec![Request::get("/")],
        upstream: vec![reset],
        ..Case::default()
    };
    check(case, &module).await
}
