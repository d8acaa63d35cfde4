//! What a guest starts itself: calls to clusters, entries of shared queues.

use seawall_harness::host::{Request, Rule};

use crate::guest::module;
use crate::{Case, check};

/// Calls a path of the upstream and says what the host gave.
fn call(path: &str, more: &str) -> String {
    format!(
        r#"(call $number (call $http_call $"upstream"
            $pairs":method=POST;:path={path};:authority=called;x-call=1" {more} (i32.const 1000) (i32.const 264)))
        (call $number (i32.load (i32.const 264)))"#
    )
}

const ANSWERED: &str = r#"(call $number (local.get 2)) (call $number (local.get 3)) (call $number (local.get 4))
    (call $look (i32.const 6) $":status") (call $look (i32.const 6) $"x-answer") (call $look (i32.const 7) $"x-trailer")
    (call $say_if (call $buffer (i32.const 4) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260)))
    (call $number (call $effective (global.get $mine)))
    (call $look (i32.const 0) $":path")"#;

fn upstream() -> Vec<Rule> {
    let call = Rule {
        headers: vec![("x-answer".to_owned(), "1".to_owned())],
        ..Rule::answer(201, "called")
    };
    let silent = Rule {
        reset: true,
        ..Rule::default()
    };
    vec![
        call.at("/call"),
        silent.at("/broken"),
        Rule::answer(200, "answer"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_for_the_answer_to_a_call() -> anyhow::Result<()> {
    for path in ["/call", "/broken"] {
        let body = r#"$"question" (i32.const 0) (i32.const 0)"#;
        let request = format!(
            "(global.set $mine (local.get 0)) {} (i32.const 1)",
            call(path, body)
        );
        let answered = format!("{ANSWERED} (call $number (call $continue (i32.const 0)))");
        let module = module(
            "",
            &[
                ("proxy_on_request_headers", &request),
                ("proxy_on_http_call_response", &answered),
            ],
        );
        let case = Case {
            requests: vec![Request::get("/"), Request::post("/", "body")],
            upstream: upstream(),
            ..Case::default()
        };
        check(case, &module).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_answers_the_request() -> anyhow::Result<()> {
    let body = "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)";
    let request = format!(
        r#"(global.set $mine (local.get 0)) {}
        (call $number (call $http_call $"nowhere" $pairs":method=GET;:path=/;:authority=a"
            {body} (i32.const 1000) (i32.const 264)))
        (call $number (call $http_call $"upstream" $pairs":method=GET;:authority=a"
            {body} (i32.const 1000) (i32.const 264)))
        (call $number (call $http_call $"upstream" $pairs":method=GET;:path=/" {body} (i32.const 1000) (i32.const 264)))
        (call $number (call $http_call $"upstream" $pairs":path=/;:authority=a" {body} (i32.const 1000) (i32.const 264)))
        (i32.const 1)"#,
        call("/call", body)
    );
    let answered = format!(
        r#"{ANSWERED} (call $number (call $reply (i32.const 403) $"called" $"no" (i32.const 0) (i32.const 0) (i32.const -1)))"#
    );
    let module = module(
        "",
        &[
            ("proxy_on_request_headers", &request),
            ("proxy_on_http_call_response", &answered),
        ],
    );
    let case = Case {
        requests: vec![Request::get("/")],
        upstream: upstream(),
        ..Case::default()
    };
    check(case, &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_waits_for_a_call() -> anyhow::Result<()> {
    let body = "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)";
    let response = format!(
        "(global.set $mine (local.get 0)) {} (i32.const 1)",
        call("/call", body)
    );
    let answered = format!("{ANSWERED} (call $number (call $continue (i32.const 1)))");
    let module = module(
        "",
        &[
            ("proxy_on_response_headers", &response),
            ("proxy_on_http_call_response", &answered),
        ],
    );
    let case = Case {
        requests: vec![Request::get("/")],
        upstream: upstream(),
        ..Case::default()
    };
    check(case, &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_into_a_queue_is_announced_and_taken_out() -> anyhow::Result<()> {
    let module = module(
        "",
        &[
            (
                "proxy_on_configure",
                r#"(call $number (call $register $"queue" (i32.const 264)))
                (call $number (call $register $"queue" (i32.const 268)))
                (call $number (i32.eq (i32.load (i32.const 264)) (i32.load (i32.const 268))))
                (call $number (call $dequeue (i32.load (i32.const 264)) (i32.const 256) (i32.const 260)))
                (call $number (call $dequeue (i32.const 999) (i32.const 256) (i32.const 260)))
                (call $number (call $enqueue (i32.const 999) $"lost")) (i32.const 1)"#,
            ),
            (
                "proxy_on_request_headers",
                r#"(call $number (call $resolve $"vm" $"queue" (i32.const 272)))
                (call $number (i32.eq (i32.load (i32.const 264)) (i32.load (i32.const 272))))
                (call $number (call $resolve $"vm" $"absent" (i32.const 276)))
                (call $number (call $resolve $"other" $"queue" (i32.const 276)))
                (call $number (call $enqueue (i32.load (i32.const 264)) $"entry")) (i32.const 0)"#,
            ),
            (
                "proxy_on_queue_ready",
                r#"(call $say_if (call $dequeue (local.get 1) (i32.const 256) (i32.const 260)))
                (call $number (call $dequeue (local.get 1) (i32.const 256) (i32.const 260)))"#,
            ),
        ],
    );
    let case = Case {
        requests: vec![Request::get("/")],
        ends_with: Some(("[host<-vm] proxy_on_queue_ready", 1)),
        ..Case::default()
    };
    check(case, &module).await
}
