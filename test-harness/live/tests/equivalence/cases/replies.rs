//! What becomes of a guest's own answers.

use seawall_harness::host::{Request, Rule};

use crate::group::Group;
use crate::guest::module;
use crate::{Case, check};

/// A reply: status, details, body, headers as pairs (or two zeros), gRPC status.
fn reply(status: u32, body: &str, headers: &str, grpc: i32) -> String {
    let headers = match headers {
        "" => "(i32.const 0) (i32.const 0)".to_owned(),
        pairs => format!(r#"$pairs"{pairs}""#),
    };
    let body = match body {
        "" => "(i32.const 0) (i32.const 0)".to_owned(),
        body => format!(r#"$"{body}""#),
    };
    format!(
        r#"(call $number (call $reply (i32.const {status}) $"why not" {body} {headers} (i32.const {grpc})))"#
    )
}

const SEES: (&str, &str) = (
    "proxy_on_response_headers",
    r#"(call $number (local.get 1)) (call $number (local.get 2)) (call $look (i32.const 2) $":status")
    (call $look (i32.const 0) $":path") (call $know $"request\00path")
    (call $look (i32.const 2) $"x-one") (call $look (i32.const 2) $"grpc-message")
    (call $know $"response\00code_details")
    (drop (call $pairs (i32.const 2) (i32.const 256) (i32.const 260))) (call $number (i32.load (i32.load (i32.const 256))))
    (i32.const 0)"#,
);
const SEES_BODY: (&str, &str) = (
    "proxy_on_response_body",
    r#"(call $number (local.get 1)) (call $number (local.get 2))
    (call $say_if (call $buffer (i32.const 1) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260)))
    (i32.const 0)"#,
);
const LOGS: (&str, &str) = (
    "proxy_on_log",
    r#"(call $look (i32.const 2) $":status") (call $know $"response\00code_details")
    (call $look (i32.const 2) $"grpc-status")"#,
);

fn grpc(kind: &str) -> Request {
    let post = Request::post("/", "\0\0\0\0\u{1}x");
    post.header("content-type", kind).header("te", "trailers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_answer_is_what_envoy_makes_of_it() -> anyhow::Result<()> {
    let asks = |reply: &str| format!("{reply} (i32.const 1)");
    let both = || vec![Request::get("/"), grpc("application/grpc")];
    let mut group = Group::new();
    for (name, says) in [
        ("plain", reply(403, "no", "", -1)),
        ("silent", reply(429, "", "x-one=1", -1)),
        ("grpc", reply(403, "not you: 100% \\c3\\a4 \\09 end", "", 7)),
        ("ok", reply(200, "fine", "", 0)),
        ("high", reply(500, "high", "", 17)),
        (
            "headers",
            reply(
                401,
                "body",
                "X-One=1;x-one=2;Content-Type=text/css;Content-Length=99;WWW-Authenticate=Basic;x-empty=;set-cookie=a;set-cookie=b",
                -1,
            ),
        ),
        (
            "status",
            reply(
                401,
                "body",
                ":status=299;:path=/x;host=h;server=mine;date=never",
                -1,
            ),
        ),
        (
            "framed",
            reply(
                401,
                "",
                "transfer-encoding=chunked;content-length=5;connection=close",
                -1,
            ),
        ),
        (
            "inline",
            reply(
                401,
                "",
                "cache-control=a;cache-control=b;vary=a;vary=b;etag=a;etag=b;content-type=a;content-type=b;x-two=a;x-two=b",
                -1,
            ),
        ),
        ("204", reply(204, "body", "", -1)),
        ("304", reply(304, "", "etag=a", -1)),
        (
            "two",
            reply(401, "first", "x-one=1", -1) + &reply(402, "second", "x-two=1", 5),
        ),
        (
            "three",
            reply(401, "first", "", -1)
                + &reply(402, "second", "", -1)
                + &reply(403, "third", "", -1),
        ),
    ] {
        let mut requests = both();
        if name == "plain" {
            requests.push(Request::new("HEAD", "/"));
            for kind in [
                "application/grpc+proto",
                "application/grpc-web",
                "application/grpcx",
                "Application/Grpc",
                "application/grpc; x",
            ] {
                requests.push(grpc(kind));
            }
        }
        let asks = asks(&says);
        let callbacks = [("proxy_on_request_headers", &*asks), SEES, SEES_BODY, LOGS];
        group = group.part(name, &callbacks, requests, Vec::new());
    }
    let (first, second) = (
        reply(402, "first", "", -1),
        reply(403, "second", "x-one=1", -1),
    );
    let in_body = asks(&second);
    let again = format!(
        "{} {second} (i32.const 0)",
        SEES.1.trim_end().trim_end_matches("(i32.const 0)")
    );
    group
        .part(
            "body",
            &[("proxy_on_request_body", &in_body), SEES, SEES_BODY, LOGS],
            vec![Request::post("/", "x"), grpc("application/grpc")],
            Vec::new(),
        )
        .part(
            "again",
            &[
                ("proxy_on_request_headers", &asks(&first)),
                ("proxy_on_response_headers", &again),
                SEES_BODY,
                LOGS,
            ],
            both(),
            Vec::new(),
        )
        .check()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_answer_in_the_upstreams_place_is_what_envoy_makes_of_it() -> anyhow::Result<()> {
    let both = || {
        vec![
            Request::get("/"),
            grpc("application/grpc"),
            Request::new("HEAD", "/"),
        ]
    };
    let mut group = Group::new();
    for (name, says) in [
        ("plain", reply(403, "no", "", -1)),
        ("grpc", reply(403, "no", "X-One=1", 7)),
    ] {
        let says = says + "(i32.const 1)";
        group = group.part(
            name,
            &[("proxy_on_response_headers", &says), SEES_BODY, LOGS],
            both(),
            vec![Rule::answer(200, "answer")],
        );
    }
    let waits = (
        "proxy_on_response_body",
        "(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))",
    );
    let trailing = format!("{} {} (i32.const 1)", waits.1, reply(403, "no", "", -1));
    group
        .part(
            "late",
            &[("proxy_on_response_body", &trailing), LOGS],
            vec![Request::get("/")],
            vec![Rule::answer(200, "answer")],
        )
        .check()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_in_an_answers_body_cuts_it_off() -> anyhow::Result<()> {
    let module = module("", &[("proxy_on_response_body", "(unreachable)")]);
    let case = Case {
        requests: vec![Request::get("/"), Request::get("/")],
        upstream: vec![Rule::answer(200, "answer")],
        dies: true,
        ..Case::default()
    };
    check(case, &module).await
}
