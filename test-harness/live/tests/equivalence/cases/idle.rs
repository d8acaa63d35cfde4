//! Streams that stand still for too long.

use seawall_harness::host::{Request, Rule};

use crate::Case;
use crate::group::Group;

const SEES: (&str, &str) = (
    "proxy_on_response_headers",
    r#"(call $number (local.get 1)) (call $look (i32.const 2) $":status") (call $know $"response\00code_details")
    (call $look (i32.const 0) $":path") (i32.const 0)"#,
);
const LOGS: (&str, &str) = (
    "proxy_on_log",
    r#"(call $look (i32.const 2) $":status") (call $know $"response\00code_details")
    (drop (call $property $"response\00flags" (i32.const 256) (i32.const 260)))
    (call $number (i32.load (i32.load (i32.const 256))))"#,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_stands_still_is_ended() -> anyhow::Result<()> {
    let rules = || vec![Rule::answer(200, "answer")];
    let both = || vec![Request::get("/"), Request::post("/", "question")];
    let slow = Rule {
        delay_ms: 1_000,
        ..Rule::answer(200, "late")
    };
    let waits = "(i32.const 1)";
    let reply = r#"(drop (call $reply (i32.const 403) $"why" $"no" (i32.const 0) (i32.const 0) (i32.const -1))) (i32.const 1)"#;
    let reset = Rule {
        reset: true,
        ..Rule::default()
    };
    Group::new()
        .part(
            "reply",
            &[
                ("proxy_on_request_headers", reply),
                ("proxy_on_response_headers", waits),
                LOGS,
            ],
            both(),
            rules(),
        )
        .part(
            "reply-body",
            &[
                ("proxy_on_request_headers", reply),
                ("proxy_on_response_body", waits),
                LOGS,
            ],
            both(),
            rules(),
        )
        .part(
            "reset",
            &[("proxy_on_response_headers", waits), LOGS],
            both(),
            vec![reset.clone()],
        )
        .part(
            "reset-body",
            &[("proxy_on_response_body", waits), LOGS],
            both(),
            vec![reset],
        )
        .part(
            "request",
            &[("proxy_on_request_headers", waits), SEES, LOGS],
            both(),
            rules(),
        )
        .part(
            "body",
            &[("proxy_on_request_body", waits), SEES, LOGS],
            vec![Request::post("/", "question")],
            rules(),
        )
        .part(
            "answer",
            &[("proxy_on_response_headers", waits), LOGS],
            both(),
            rules(),
        )
        .part(
            "answer-body",
            &[("proxy_on_response_body", waits), LOGS],
            both(),
            rules(),
        )
        .part("upstream", &[SEES, LOGS], both(), vec![slow])
        .within(Case {
            idle_ms: Some(300),
            ..Case::default()
        })
        .check()
        .await
}
