//! The fallback ladder, as it is read.

use serde_json::json;

use super::{policy, refused};
use seawall_policy::fallback::{Cause, Fallback, Kind};
use seawall_policy::stale;
use seawall_policy::time::Span;

#[test]
fn every_kind_of_rung_is_read_and_stands_for_what_it_can() {
    let read = policy(json!({"fallback": [
        {"cluster": "payments-standby"},
        {"stale": {"max_age": "1h", "cookies": true, "ignore_headers": ["X-Real-IP", "accept*"]}, "on": ["open", "failure"]},
        {"static": {"status": 503, "body": "{{reason}}"}}
    ]}));
    let ladder = read.unwrap().fallback;
    let mut ignored = stale::Ignored::default();
    for name in ["accept*", "x-real-ip"] {
        ignored.add(name).unwrap();
    }
    let stale = stale::Settings {
        max_age: Span::secs(3_600),
        authorized: false,
        cookies: true,
        ignored,
    };
    assert_eq!(ladder.stale(), Some(&stale));
    let rungs = |cause| -> Vec<&str> {
        ladder
            .answers(cause, Kind::Plain)
            .map(Fallback::name)
            .collect()
    };
    assert_eq!(rungs(Cause::Open), ["cluster", "stale", "static"]);
    assert_eq!(rungs(Cause::Shed), ["cluster", "static"]);
    assert_eq!(rungs(Cause::Bulkhead), ["cluster", "static"]);
    assert_eq!(rungs(Cause::Deadline), ["static"]);
    assert_eq!(rungs(Cause::Failure), ["stale", "static"]);
}

#[test]
fn what_no_rung_can_do_is_refused() {
    let only = |rung| json!({"fallback": [rung]});
    refused(
        only(json!({"cluster": "b", "on": ["open", "failure"]})),
        "policies.p.fallback[0].on[1]: another cluster cannot stand for failure: the request can go elsewhere only \
         before it went, and with time left",
    );
    refused(
        only(json!({"cluster": "b", "static": {}})),
        "policies.p.fallback[0]: write one of \"cluster\", \"stale\" and \"static\"",
    );
    refused(
        only(json!({"on": ["open"]})),
        "policies.p.fallback[0]: write one of \"cluster\", \"stale\" and \"static\"",
    );
    refused(
        only(json!({"cluster": "a\r\nb"})),
        "policies.p.fallback[0].cluster: travels in a header: visible ASCII only",
    );
    refused(
        only(json!({"stale": {"max_age": "2d"}})),
        "policies.p.fallback[0].stale.max_age: unknown unit \"d\": the units are ns, us, ms, s, m and h",
    );
    refused(
        only(json!({"stale": {"max_age": "0s"}})),
        "policies.p.fallback[0].stale.max_age: 0ns is out of bounds: 1s to 24h",
    );
    refused(
        json!({"fallback": [{"stale": {}}, {"stale": {}, "on": ["open"]}]}),
        "policies.p.fallback: one rung with a stale answer is enough: name all its causes under \"on\"",
    );
    let ignoring = |names: serde_json::Value| only(json!({"stale": {"ignore_headers": names}}));
    for name in [
        "authorization",
        "Cookie",
        "set-cookie",
        "auth*",
        "x-api-key",
    ] {
        refused(
            ignoring(json!(["accept*", name])),
            "policies.p.fallback[0].stale.ignore_headers[1]: says who asks, and decides who may see a response: it cannot \
             be ignored (\"authorized\" and \"cookies\" keep such responses, each for the same credentials alone)",
        );
    }
    for name in ["", "*", ":path", "a b"] {
        refused(
            ignoring(json!([name])),
            "policies.p.fallback[0].stale.ignore_headers[0]: write a header's name, or the beginning of one with \"*\" \
             behind it",
        );
    }
    let many: Vec<_> = (0..33).map(|number| format!("x-{number}")).collect();
    refused(
        ignoring(json!(many)),
        "policies.p.fallback[0].stale.ignore_headers: 33 are too many: at most 32",
    );
    assert!(policy(ignoring(json!(many[1..]))).is_ok());
    for status in [204, 205, 304] {
        refused(
            only(json!({"static": {"status": status, "body": "x"}})),
            "policies.p.fallback[0].static.body: an answer with this status has no body",
        );
        assert!(policy(only(json!({"static": {"status": status}}))).is_ok());
    }
    refused(
        only(json!({"static": {"body": "hello {{name}}"}})),
        "policies.p.fallback[0].static.body: unknown name in {{name}}; known: {{policy}}, {{reason}}, {{retry_after}}",
    );
}
