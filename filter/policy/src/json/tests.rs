//! What is read beyond `serde_json`'s own reader: bounds, keys that stand twice, paths.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn depth_and_keys_have_bounds() {
    let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    let deepest = DEPTH_MAX as usize + 1;
    assert!(parse(&deep(deepest)).is_ok());
    assert!(parse(&deep(deepest + 1)).is_err());
    assert!(parse(&vec![b'['; 1 << 20]).is_err());
    assert!(parse(&b"{\"a\":".repeat(1 << 18)).is_err());
    let keys = |count: usize| {
        let keys: Vec<String> = (0..count).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    assert!(parse(keys(KEYS_MAX).as_bytes()).is_ok());
    assert!(parse(keys(KEYS_MAX + 1).as_bytes()).is_err());
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
    for (text, path) in [
        (r#"{"a": 1, "a": 1}"#, "a"),
        (r#"{"a": null, "\u0061": null}"#, "a"),
        (
            r#"{"a": {"b": [0, {"c": 1, "d": {}, "c": 2}]}}"#,
            "a.b[1].c",
        ),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.path, path);
        let expected = "a key may stand only once, and this one stands again at line 1 column ";
        assert!(
            error.problem.starts_with(expected) && error.is_json,
            "{error:?}"
        );
    }
    assert!(parse(br#"{"a": {"b": 1}, "b": {"b": 1}}"#).is_ok());
    let last = parse_last(br#"{"a": {"b": 1, "b": 2}, "a": {"b": 3, "b": 4}}"#);
    assert_eq!(last, Ok(json!({"a": {"b": 4}})));
}

#[test]
fn an_error_says_what_is_missing_and_where() {
    for (text, expected) in [
        ("{\n \"a\" 1}", "expected `:` at line 2 column 6"),
        (
            "{\"a\": {\"b\": [1, 2}}",
            "a.b: expected `,` or `]` at line 1 column 18",
        ),
        (
            "{\"a\": 1",
            "EOF while parsing an object at line 1 column 7",
        ),
        ("[1, }", "[1]: expected value at line 1 column 5"),
        (
            "{\"a\": [0, -]}",
            "a[1]: invalid number at line 1 column 12",
        ),
        (
            "{\"a\": 1e999}",
            "a: number out of range at line 1 column 11",
        ),
        ("{}\n\nx", "trailing characters at line 3 column 1"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        let between = if error.path.is_empty() { "" } else { ": " };
        assert_eq!(
            format!("{}{between}{}", error.path, error.problem),
            expected
        );
        assert!(!error.is_json);
    }
}

#[test]
fn what_is_no_utf_8_is_refused() {
    for bytes in [
        &b"\"\xff\xfe\""[..],
        b"\"\xed\xa0\x80\"",
        b"1\xff",
        b"{\"\xff\": 1}",
    ] {
        assert!(parse(bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_number_is_billionths_or_nothing() {
    let read = |text: &str| match parse(text.as_bytes()) {
        Ok(Value::Number(number)) => billionths(&number),
        _ => panic!("{text}: no number"),
    };
    for (text, expected) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("-0.0", Some(0)),
        ("7", Some(7 * ONE)),
        ("7.0", Some(7 * ONE)),
        ("1e2", Some(100 * ONE)),
        ("0.1", Some(ONE / 10)),
        ("12.5", Some(25 * ONE / 2)),
        ("0.30000000000000004", Some(3 * ONE / 10)),
        ("4294967295", Some(4_294_967_295 * ONE)),
        ("1e-300", Some(1)),
        ("-1", None),
        ("-0.5", None),
        ("18446744073709551615", None),
        ("18446744073709551616", None),
        ("1e300", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

/// Whether both read the same, or both nothing.
fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let theirs: Option<Value> = serde_json::from_slice(bytes).ok();
    match parse(bytes) {
        Ok(ours) => prop_assert_eq!(Some(ours), theirs),
        Err(error) if error.is_json => {
            prop_assert!(theirs.is_some());
        }
        Err(_) => prop_assert_eq!(None, theirs),
    }
    Ok(())
}

proptest! {
    #[test]
    fn rubbish_is_read_like_serde_json_reads_it(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        compare(&bytes)?;
    }

    #[test]
    fn what_looks_like_json_is_read_like_serde_json_reads_it(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "\\ude00", "a", "null", "true", "0", "1", "-", ".", "e",
            "+", " ", "\n", "\"a\":", "\"b\":1,",
        ]), 0..12)
    ) {
        compare(parts.concat().as_bytes())?;
    }

    #[test]
    fn what_is_written_is_read(texts in prop::collection::vec(any::<String>(), 0..5), number in any::<f64>()) {
        let written = json!({"texts": texts, "number": number, "nested": [{"a": null, "b": true}]});
        let text = written.to_string();
        prop_assert_eq!(parse(text.as_bytes()), Ok(serde_json::from_str(&text).unwrap()));
    }
}
