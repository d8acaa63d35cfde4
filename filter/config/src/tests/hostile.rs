//! What nobody writes by mistake: depth, size, numbers, bytes, keys that stand twice; and what is written as something else.

use serde_json::{Value, json};

use super::{parse, policy, wire_object};
use crate::{BYTES_MAX, check, from_value};

fn error(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().to_string()
}

/// A configuration whose one policy holds this.
fn with(breaker: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"p":{{"breaker":{breaker}}}}}}}"#)
}

#[test]
fn a_key_that_stands_twice_is_refused_with_its_path() {
    let twice = with(r#"{"ramp":"1s","ramp":"2s"}"#);
    let expected = "policies.p.breaker.ramp: a key may stand only once, and this one stands again at line 1 column ";
    assert!(error(&twice).starts_with(expected), "{}", error(&twice));
    let in_a_string = Value::from(twice).to_string();
    assert!(error(&in_a_string).starts_with(expected));
    let policies = r#"{"version":1,"policies":{"p":{},"p":{}}}"#;
    assert!(error(policies).starts_with("policies.p: a key may stand only once"));
}

#[test]
fn what_is_no_json_is_told_with_path_line_and_column() {
    let cut = r#"{"version":1,"policies":{"p":{"breaker":{"ramp":"1s""#;
    assert_eq!(
        error(cut),
        "policies.p.breaker: no JSON: EOF while parsing an object at line 1 column 52"
    );
    assert_eq!(
        error(&with(r#"{"failure_rate":1e999}"#)),
        "policies.p.breaker.failure_rate: no JSON: number out of range at line 1 column 61"
    );
    assert_eq!(
        error(r#""{\"version\":}""#),
        "version: the string holds no JSON: expected value at line 1 column 12"
    );
    assert_eq!(
        error(r#""\"{}\"""#),
        "not an object: write an object with \"version\" and \"policies\""
    );
}

#[test]
fn every_number_is_read_or_refused() {
    for number in [
        "-1",
        "-0.001",
        "101",
        "18446744073709551615",
        "-9223372036854775808",
        "1e300",
        "-1e300",
        "0.001",
    ] {
        let told = error(&with(&format!(r#"{{"failure_rate":{number}}}"#)));
        let expected = "policies.p.breaker.failure_rate: expected a percentage from 0 to 100";
        assert!(told.starts_with(expected) && told.ends_with("got a number"));
        let told = parse(with(&format!(r#"{{"minimum_calls":{number}}}"#)).as_bytes());
        let path = told.as_ref().err().map(|error| error.path());
        assert!(path == Some("policies.p.breaker.minimum_calls") || number == "101");
    }
    for zero in ["0", "-0", "0.0", "-0.0", "0e5"] {
        assert!(parse(with(&format!(r#"{{"failure_rate":{zero}}}"#)).as_bytes()).is_ok());
    }
    for doubled in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        // A Struct can hold what JSON cannot.
        let mut bytes = wire_object(&json!({"version": 7.25}));
        let place = bytes.len() - 8;
        bytes[place..].copy_from_slice(&doubled.to_le_bytes());
        let told = parse(&bytes).unwrap_err().to_string();
        assert!(told.starts_with("version: expected a whole number, got \""));
    }
}

#[test]
fn an_object_is_no_list_and_a_list_no_object() {
    let told = policy(json!({"breaker": ["enforce"]})).unwrap_err();
    assert_eq!(told, "policies.p.breaker: expected an object, got a list");
    let told = policy(json!({"fallback": {"static": {}}})).unwrap_err();
    assert_eq!(told, "policies.p.fallback: expected a list, got an object");
    let told = policy(json!({"retries": {"on": ["5xx", null]}})).unwrap_err();
    assert_eq!(told, "policies.p.retries.on[1]: expected text, got nothing");
    let told = policy(json!({"answer_headers": "yes"})).unwrap_err();
    assert_eq!(
        told,
        "policies.p.answer_headers: expected true or false, got \"yes\""
    );
    let told = from_value(&json!({"version": 1, "policies": {"p": null}})).unwrap_err();
    assert_eq!(
        told.to_string(),
        "policies.p: expected an object, got nothing"
    );
}

#[test]
fn depth_and_size_have_bounds_in_every_form() {
    let deep = (0..100).fold(json!({}), |inner, _| json!({"static": inner}));
    for refused in [
        from_value(&json!({"version": 1, "policies": {"p": deep}})),
        parse(
            json!({"version": 1, "policies": {"p": deep}})
                .to_string()
                .as_bytes(),
        ),
        parse(&wire_object(
            &json!({"version": 1, "policies": {"p": deep}}),
        )),
        parse(&b"{\"a\":".repeat(BYTES_MAX / 5)),
        parse(&b"[".repeat(BYTES_MAX)),
        parse(&b"1".repeat(BYTES_MAX)),
        parse(&b"1".repeat(BYTES_MAX + 1)),
    ] {
        assert!(refused.is_err());
    }
    let many: serde_json::Map<_, _> = (0..1_025).map(|key| (key.to_string(), json!(0))).collect();
    let told = from_value(&json!({"version": 1, "policies": {"p": many}})).unwrap_err();
    assert!(
        told.problem()
            .starts_with("more than 1024 keys in one object")
    );
    assert!(parse(&wire_object(&json!({"version": 1, "policies": many}))).is_err());
}

#[test]
fn what_is_no_utf_8_is_refused() {
    let whole = with(r#"{"probe":{"path":"/x"}}"#).into_bytes();
    assert!(parse(&whole).is_ok());
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] = 0xff;
        assert!(parse(&bytes).is_err(), "{place}");
    }
    assert!(check(b"\xff").is_err());
}
