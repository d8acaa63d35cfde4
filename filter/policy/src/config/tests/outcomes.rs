//! What counts as a failure, as it is read.

use serde_json::{Value, json};

use super::{policy, refused};
use crate::outcome::{Codes, Rules, flag};

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
