//! Limits that a filter, or a client, sets on the router.

use seawall_harness::host::{Request, Rule};

use crate::group::Group;

const TOTAL: &str = "x-envoy-upstream-rq-timeout-ms";
const PER_TRY: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
const SEES: (&str, &str) = (
    "proxy_on_response_headers",
    r#"(call $number (local.get 1)) (call $number (local.get 2)) (call $look (i32.const 2) $":status")
     (call $look (i32.const 2) $"content-type")
    (call $know $"response\00code_details")
    (drop (call $property $"response\00flags" (i32.const 256) (i32.const 260)))
    (call $number (i32.load (i32.load (i32.const 256)))) (i32.const 0)"#,
);

fn slow() -> Vec<Rule> {
    vec![Rule {
        delay_ms: 1_000,
        ..Rule::answer(200, "late")
    }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_on_the_router_hold_and_are_told_to_the_upstream() -> anyhow::Result<()> {
    let set = |limits: &[(&str, &str)]| {
        let set = limits.iter().map(|(name, value)| {
            format!(r#"(drop (call $replace (i32.const 0) $"{name}" $"{value}"))"#)
        });
        set.collect::<String>() + " (i32.const 0)"
    };
    let one = || vec![Request::get("/")];
    let mut group = Group::new();
    for (name, limits, rules) in [
        ("total", &[(TOTAL, "100")][..], slow()),
        ("try", &[(PER_TRY, "100")], slow()),
        ("longer-try", &[(TOTAL, "100"), (PER_TRY, "2000")], slow()),
        ("kept", &[(TOTAL, "5000"), (PER_TRY, "3000")], Vec::new()),
        ("total-kept", &[(TOTAL, "5000")], Vec::new()),
        ("none", &[(TOTAL, "0")], Vec::new()),
        (
            "none-but-try",
            &[(TOTAL, "0"), (PER_TRY, "4000")],
            Vec::new(),
        ),
        (
            "alternative",
            &[
                (TOTAL, "100"),
                ("x-envoy-upstream-rq-timeout-alt-response", "1"),
            ],
            slow(),
        ),
    ] {
        let asks = set(limits);
        group = group.part(
            name,
            &[("proxy_on_request_headers", &asks), SEES],
            one(),
            rules,
        );
    }
    let said = |name: &str, value: &str| Request::get("/").header(name, value);
    let grpc = |request: Request| {
        request
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    };
    group
        .part(
            "client",
            &[SEES],
            vec![
                said(TOTAL, "abc"),
                said(TOTAL, "-1"),
                said(TOTAL, " 70 "),
                said(TOTAL, "12x"),
                said(PER_TRY, "x"),
                said(TOTAL, "99999999999999999999"),
                said("x-envoy-expected-rq-timeout-ms", "33"),
                said("x-envoy-max-retries", "0"),
                said("x-envoy-hedge-on-per-try-timeout", "false"),
            ],
            Vec::new(),
        )
        .part("grpc", &[SEES], vec![grpc(said(TOTAL, "100"))], slow())
        .part(
            "grpc-reset",
            &[SEES],
            vec![grpc(Request::post("/", "x"))],
            vec![Rule {
                reset: true,
                ..Rule::default()
            }],
        )
        .check()
        .await
}
