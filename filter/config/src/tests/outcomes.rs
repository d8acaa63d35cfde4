//! What counts as a failure, as it is read.

use serde_json::{Value, json};

use super::{policy, refused};
use seawall_policy::outcome::{Codes, Rules, flag};

fn rules(raw: Value) -> Rules {
    policy(json!({"outcomes": raw})).unwrap().outcomes
}

#[test]
fn silence_means_the_defaults() {
    assert_eq!(rules(json!({})), Rules::default());
    assert_eq!(
        rules(json!({"overloaded": {"breaker": "ignore"}})),
        Rules::default()
    );
}

#[test]
fn each_way_to_write_statuses_means_these() {
    for (written, first, last) in [
        (json!(100), 100, 100),
        (json!(599.0), 599, 599),
        (json!("503"), 503, 503),
        (json!("5xx"), 500, 599),
        (json!("4XX"), 400, 499),
        (json!(" 1xx "), 100, 199),
        (json!("520-527"), 520, 527),
        (json!("510 - 512"), 510, 512),
        (json!("500-500"), 500, 500),
    ] {
        let read = rules(json!({"failure": {"status": [written]}}));
        assert_eq!(
            read.failure_status,
            Codes::of(&[(first, last)]),
            "{written}"
        );
        let read = rules(json!({"overloaded": {"status": [written]}}));
        assert_eq!(
            read.overloaded_status,
            Codes::of(&[(first, last)]),
            "{written}"
        );
    }
    for written in [
        json!(99),
        json!(600),
        json!("6xx"),
        json!("0xx"),
        json!("52x"),
        json!("xxx"),
        json!(""),
        json!("-"),
        json!("527-520"),
        json!("520-"),
        json!("-520"),
        json!("500-600"),
        json!("99-100"),
        json!("5xx-530"),
        json!("5.5e2"),
        json!(500.5),
        json!(true),
        json!([500]),
        json!("99999999999999999999999"),
    ] {
        let got = match &written {
            Value::String(text) => format!("\"{text}\""),
            Value::Number(_) => "a number".to_owned(),
            Value::Bool(_) => "a truth value".to_owned(),
            _ => "a list".to_owned(),
        };
        refused(
            json!({"outcomes": {"failure": {"status": [500, written]}}}),
            &format!(
                "policies.p.outcomes.failure.status[1]: expected a status from 100 to 599, or several, such as 503, \
                 \"5xx\" or \"520-527\", got {got}"
            ),
        );
    }
}

#[test]
fn each_grpc_status_has_its_name() {
    let names = [
        "cancelled",
        "unknown",
        "invalid-argument",
        "deadline-exceeded",
        "not-found",
        "already-exists",
        "permission-denied",
        "resource-exhausted",
        "failed-precondition",
        "aborted",
        "out-of-range",
        "unimplemented",
        "internal",
        "unavailable",
        "data-loss",
        "unauthenticated",
    ];
    for (code, name) in (1_u16..).zip(names) {
        let constant = name.replace('-', "_").to_ascii_uppercase();
        for written in [
            json!(code),
            json!(code.to_string()),
            json!(name),
            json!(constant),
        ] {
            let read = rules(json!({"failure": {"grpc": [written]}}));
            assert_eq!(read.failure_grpc, Codes::of(&[(code, code)]), "{written}");
        }
    }
    for written in [
        json!(0),
        json!(17),
        json!("ok"),
        json!("unavailble"),
        json!(""),
        json!(1.5),
    ] {
        let error = policy(json!({"outcomes": {"overloaded": {"grpc": [written]}}})).unwrap_err();
        assert!(
            error.contains("overloaded.grpc[0]: expected a gRPC status from 1 to 16"),
            "{error}"
        );
    }
}

#[test]
fn a_default_yields_to_what_is_written_in_the_other_list() {
    let read = rules(json!({"failure": {"status": ["5xx", 429], "grpc": ["resource-exhausted"]}}));
    assert_eq!(read.overloaded_status, Codes::NONE);
    assert_eq!(read.overloaded_grpc, Codes::NONE);
    assert!(read.failure_status(529) && read.failure_status(429) && read.failure_grpc(8));
    let read = rules(json!({"failure": {"status": ["500-528"]}}));
    assert_eq!(read.overloaded_status, Rules::default().overloaded_status);
    // What is written in both is overload: an exception from a class needs no list of all the others.
    let read = rules(json!({"failure": {"status": ["5xx"]}, "overloaded": {"status": [503]}}));
    assert!(read.overloaded_status(503) && !read.overloaded_status(429));
    assert_eq!(
        read.failure_flags,
        flag::FAILURES.iter().fold(0, |all, (_, bit)| all | bit)
    );
}

#[test]
fn overload_counts_for_the_breaker_by_choice() {
    assert!(rules(json!({"overloaded": {"breaker": "failure"}})).overloaded_fails);
    refused(
        json!({"outcomes": {"overloaded": {"breaker": "fail"}}}),
        "policies.p.outcomes.overloaded.breaker: unknown value \"fail\", did you mean \"failure\"?; known: ignore, failure",
    );
    refused(
        json!({"outcomes": {"overloaded": {"flags": ["UT"]}}}),
        "policies.p.outcomes.overloaded.flags: unknown key; known: status, grpc, breaker",
    );
}

#[test]
fn a_static_answer_names_its_grpc_status_as_outcomes_do_and_may_be_ok() {
    let rung = |status: &Value| json!({"fallback": [{"static": {"grpc": {"status": status}}}]});
    for (written, expected) in [
        (json!(0), 0),
        (json!("ok"), 0),
        (json!("OK"), 0),
        (json!(14), 14),
        (json!("14"), 14),
        (json!("unavailable"), 14),
        (json!("RESOURCE_EXHAUSTED"), 8),
        (json!("resource-exhausted"), 8),
    ] {
        let read = policy(rung(&written)).unwrap();
        let answer = &read.fallback.rungs[0].answer;
        let seawall_policy::fallback::Fallback::Static(fixed) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(fixed.grpc.as_ref().unwrap().status, expected, "{written}");
    }
    for written in [json!("unavail"), json!("17"), json!("")] {
        let text = written.as_str().unwrap();
        refused(
            rung(&written),
            &format!(
                "policies.p.fallback[0].static.grpc.status: expected a gRPC status from 0 to 16, or its name, such as 0, \
                 \"ok\" or \"unavailable\", got \"{text}\""
            ),
        );
    }
}

/// A YAML 1.1 parser makes false of a plain `off`.
#[test]
fn off_in_the_place_of_an_object_is_told_what_switches_it_off() {
    for off in [json!("off"), json!(false)] {
        refused(
            json!({"timeout": {"adaptive": off}}),
            "policies.p.timeout.adaptive: expected an object, got off; leave it out, or write an object with percentile, \
             factor, min, max, minimum_samples",
        );
        for key in ["breaker", "shedding"] {
            let wrong = policy(json!({key: off})).unwrap_err();
            let expected = format!(
                "policies.p.{key}: expected an object, got off; write {{mode: off}}, or write an object with mode, "
            );
            assert!(wrong.starts_with(&expected), "{wrong}");
        }
    }
}

#[test]
fn a_probe_is_judged_after_at_least_two_seconds_whatever_the_defaults() {
    for wait in ["1s", "1999ms"] {
        let wrong = policy(json!({"breaker": {"half_open": {"wait": wait}}})).unwrap_err();
        let expected =
            "is shorter than slow_call.over (1s) and a second: a probe is judged that late";
        assert!(
            wrong.starts_with("policies.p.breaker.half_open.wait: "),
            "{wrong}"
        );
        assert!(wrong.ends_with(expected), "{wrong}");
    }
    let read = policy(json!({"breaker": {"half_open": {"wait": "2s"}}})).unwrap();
    assert_eq!(
        read.breaker.thresholds.slow_over,
        seawall_policy::time::Span::secs(1)
    );
}
