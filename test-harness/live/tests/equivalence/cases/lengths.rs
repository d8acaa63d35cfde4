//! Bodies that no longer fit the length that was said before them.

use seawall_harness::host::{Request, Rule};

use crate::group::Group;

/// Holds a body back until its end, and puts this in its place.
fn puts(number: u32, text: &str) -> String {
    format!(
        r#"(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
        (call $number (call $set_buffer (i32.const {number}) (i32.const 0) (i32.const 100) $"{text}")) (i32.const 0)"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_fit_its_length_is_cut_or_awaited() -> anyhow::Result<()> {
    let post = || vec![Request::post("/", "question")];
    let answer = || vec![Rule::answer(200, "answer")];
    let (long, short) = ("longer than before", "cut");
    let limit = r#"(drop (call $replace (i32.const 0) $"x-envoy-upstream-rq-timeout-ms" $"200")) (i32.const 0)"#;
    let says = |number, text: &str| {
        format!(
            r#"(drop (call $replace (i32.const {number}) $"content-length" $"{text}")) (i32.const 0)"#
        )
    };
    Group::new()
        .part(
            "long-request",
            &[("proxy_on_request_body", &puts(0, long))],
            post(),
            answer(),
        )
        .part(
            "long-answer",
            &[("proxy_on_response_body", &puts(1, long))],
            post(),
            answer(),
        )
        .part(
            "short-answer",
            &[("proxy_on_response_body", &puts(1, short))],
            post(),
            answer(),
        )
        .part(
            "short-request",
            &[
                ("proxy_on_request_headers", limit),
                ("proxy_on_request_body", &puts(0, short)),
            ],
            post(),
            answer(),
        )
        .part(
            "says-more",
            &[("proxy_on_response_headers", &says(2, "99"))],
            post(),
            answer(),
        )
        .part(
            "says-less",
            &[("proxy_on_response_headers", &says(2, "3"))],
            post(),
            answer(),
        )
        .part(
            "request-says-less",
            &[("proxy_on_request_headers", &says(0, "3"))],
            post(),
            answer(),
        )
        .part(
            "request-says-none",
            &[("proxy_on_request_headers", &says(0, "0"))],
            post(),
            answer(),
        )
        .part(
            "none-says",
            &[("proxy_on_response_headers", &says(2, "5"))],
            vec![Request::get("/")],
            vec![Rule::answer(200, "")],
        )
        .check()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_body_does_not_fit_is_cut_or_awaited() -> anyhow::Result<()> {
    let told = (
        "proxy_on_http_call_response",
        r#"(call $number (local.get 2)) (call $number (local.get 3)) (call $number (local.get 4))
        (call $look (i32.const 6) $":status")
        (call $say_if (call $buffer (i32.const 4) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260)))
        (call $number (call $effective (global.get $mine))) (call $number (call $continue (i32.const 0)))"#,
    );
    let mut group = Group::new();
    for (name, headers, body) in [
        (
            "more",
            ":method=POST;:path=/call;:authority=a;content-length=9",
            r#"$"body""#,
        ),
        (
            "none",
            ":method=POST;:path=/call;:authority=a;content-length=9",
            "(i32.const 0) (i32.const 0)",
        ),
        ("get", ":method=GET;:path=/call;:authority=a", r#"$"body""#),
        (
            "delete",
            ":method=DELETE;:path=/call;:authority=a",
            "(i32.const 0) (i32.const 0)",
        ),
        (
            "head",
            ":method=HEAD;:path=/call;:authority=a",
            "(i32.const 0) (i32.const 0)",
        ),
        (
            "host",
            ":method=GET;:path=/call;:authority=a;host=b;Accept=c;accept=d;x-e=f;X-E=g",
            "(i32.const 0) (i32.const 0)",
        ),
        (
            "odd",
            ":method=BREW;:path=/call;:authority=a",
            "(i32.const 0) (i32.const 0)",
        ),
    ] {
        let call = format!(
            r#"(global.set $mine (local.get 0))
            (call $number (call $http_call $"upstream" $pairs"{headers}" {body} (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 264)))
            (i32.const 1)"#
        );
        group = group.part(
            name,
            &[("proxy_on_request_headers", &call), told],
            vec![Request::get("/")],
            Vec::new(),
        );
    }
    group.check().await
}
