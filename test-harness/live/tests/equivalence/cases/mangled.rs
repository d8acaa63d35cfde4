//! Headers that a filter took away or spoiled.

use seawall_harness::host::{Request, Rule};

use crate::group::Group;

const SEES: (&str, &str) = (
    "proxy_on_response_headers",
    r#"(call $number (local.get 1)) (call $look (i32.const 2) $":status") (call $know $"response\00code_details")
    (i32.const 0)"#,
);
const BODY: (&str, &str) = (
    "proxy_on_request_body",
    r#"(call $say $"body") (i32.const 0)"#,
);
const LOGS: (&str, &str) = (
    "proxy_on_log",
    r#"(call $look (i32.const 2) $":status") (call $know $"response\00code_details")
    (drop (call $property $"response\00flags" (i32.const 256) (i32.const 260)))
    (call $number (i32.load (i32.load (i32.const 256))))"#,
);

fn both() -> Vec<Request> {
    vec![Request::get("/"), Request::post("/", "question")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_lacks_is_answered_before_its_body() -> anyhow::Result<()> {
    let mut group = Group::new();
    // What the upstream's codec refuses is refused once there is a connection: a body may come before that, or not.
    let method = r#"(call $number (call $remove (i32.const 0) $":method")) (i32.const 0)"#;
    group = group.part(
        "method",
        &[("proxy_on_request_headers", method), SEES, LOGS],
        vec![Request::get("/")],
        Vec::new(),
    );
    for name in [
        ":authority",
        ":path",
        ":scheme",
        "x-forwarded-proto",
        "x-request-id",
    ] {
        let asks =
            format!(r#"(call $number (call $remove (i32.const 0) $"{name}")) (i32.const 0)"#);
        group = group.part(
            &name.replace(':', ""),
            &[("proxy_on_request_headers", &asks), BODY, SEES, LOGS],
            both(),
            Vec::new(),
        );
    }
    for (name, header, value) in [
        ("no-path", ":path", ""),
        ("odd-path", ":path", "odd"),
        ("star", ":path", "*"),
        ("no-host", ":authority", ""),
        ("odd-host", ":authority", "a b"),
        ("no-method", ":method", ""),
        ("odd-method", ":method", "BREW"),
        ("scheme", ":scheme", "https"),
        ("odd-scheme", ":scheme", "ftp"),
        ("own", ":own", "1"),
    ] {
        let asks = format!(
            r#"(call $number (call $replace (i32.const 0) $"{header}" $"{value}")) (i32.const 0)"#
        );
        group = group.part(
            name,
            &[("proxy_on_request_headers", &asks), BODY, SEES, LOGS],
            both(),
            Vec::new(),
        );
    }
    group.check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answers_status_may_be_missing_or_none() -> anyhow::Result<()> {
    let mut group = Group::new();
    let asks = r#"(call $number (call $remove (i32.const 2) $":status")) (i32.const 0)"#;
    let rules = || vec![Rule::answer(200, "answer")];
    group = group.part(
        "none",
        &[("proxy_on_response_headers", asks), LOGS],
        both(),
        rules(),
    );
    for (name, value) in [
        ("empty", ""),
        ("word", "abc"),
        ("low", "99"),
        ("high", "1000"),
        ("zero", "0"),
        ("204", "204"),
        ("304", "304"),
        ("100", "100"),
        ("101", "101"),
    ] {
        let asks = format!(
            r#"(call $number (call $replace (i32.const 2) $":status" $"{value}")) (i32.const 0)"#
        );
        group = group.part(
            name,
            &[("proxy_on_response_headers", &asks), LOGS],
            both(),
            rules(),
        );
    }
    group.check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_values_may_be_no_headers() -> anyhow::Result<()> {
    let mut group = Group::new();
    let rules = || vec![Rule::answer(200, "answer")];
    for (name, header, value) in [
        ("blank", "bad name", "1"),
        ("colon", "bad:name", "1"),
        ("empty", "", "1"),
        ("high", "x-\\c3\\a4", "1"),
        ("edges", "x-a", " 1 "),
        ("tab", "x-a", "1\\092"),
        ("bytes", "x-a", "\\ff\\fe"),
        ("bell", "x-a", "1\\072"),
        ("none", "x-a", ""),
    ] {
        for (way, map, callback) in [
            ("go", 0, "proxy_on_request_headers"),
            ("come", 2, "proxy_on_response_headers"),
        ] {
            let adds = format!(
                r#"(call $number (call $add (i32.const {map}) $"{header}" $"{value}")) (i32.const 0)"#
            );
            let mut callbacks = vec![(callback, &*adds), LOGS];
            if map == 0 {
                callbacks.push(SEES);
            }
            group = group.part(
                &format!("{name}-{way}"),
                &callbacks,
                vec![Request::get("/")],
                rules(),
            );
        }
    }
    group.check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_within_names_and_values() -> anyhow::Result<()> {
    let mut group = Group::new();
    let rules = || vec![Rule::answer(200, "answer")];
    for (name, header, value) in [
        ("line", "x-a", "1\\0d\\0ax-b: 2"),
        ("nul", "x-a", "1\\002"),
        ("name-line", "x-a\\0a", "1"),
        ("name-nul", "x-a\\00b", "1"),
    ] {
        for (way, map, callback) in [
            ("go", 0, "proxy_on_request_headers"),
            ("come", 2, "proxy_on_response_headers"),
        ] {
            let adds = format!(
                r#"(call $number (call $add (i32.const {map}) $"{header}" $"{value}")) (i32.const 0)"#
            );
            group = group.part(
                &format!("{name}-{way}"),
                &[(callback, &*adds), LOGS],
                vec![Request::get("/")],
                rules(),
            );
        }
    }
    group.check().await
}
