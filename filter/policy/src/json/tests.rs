//! The same language as `serde_json`'s, within the bounds.

use proptest::prelude::*;

use super::*;

/// What `serde_json` read, as what is read here.
fn expected(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => {
            let text = number.to_string();
            let positive = text.strip_prefix('-').unwrap_or(&text);
            let read = crate::decimal::billionths(positive.as_bytes());
            let usable = |read: &u64| *read < u64::MAX && (text == positive || *read == 0);
            Value::Number(read.filter(usable))
        }
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(expected).collect()),
        serde_json::Value::Object(map) => {
            let entry = |(key, value): (&String, _)| (key.clone(), expected(value));
            Value::Object(Object(map.iter().map(entry).collect()))
        }
    }
}

/// Whether two values are the same, but for what a double cannot hold: `serde_json` reads its last digit by guess.
fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(Some(ours)), Value::Number(Some(theirs))) => {
            ours.abs_diff(*theirs) <= ours >> 51
        }
        (Value::List(ours), Value::List(theirs)) => {
            let same = |(ours, theirs)| alike(ours, theirs);
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let same = |((key, ours), (other, theirs)): (&(String, Value), &(String, Value))| {
                key == other && alike(ours, theirs)
            };
            ours.0.len() == theirs.0.len() && ours.0.iter().zip(&theirs.0).all(same)
        }
        (ours, theirs) => ours == theirs,
    }
}

/// Whether both read the same, or both nothing.
#[track_caller]
fn compare(bytes: &[u8]) {
    let ours = parse(bytes).ok();
    let theirs: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
    match theirs {
        Ok(theirs) => {
            let theirs = expected(&theirs);
            let same = ours.as_ref().is_some_and(|ours| alike(ours, &theirs));
            assert!(same, "{}: {ours:?} and {theirs:?}", bytes.escape_ascii());
        }
        // What no double can hold is an error there, and a number that cannot be used here.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(_) => assert_eq!(ours, None, "{}", bytes.escape_ascii()),
    }
}

#[test]
fn the_language_is_that_of_serde_json() {
    for text in [
        "null",
        " true ",
        "\t[false\n,\r1]",
        "nul",
        "nulll",
        "True",
        "",
        " ",
        "{}",
        "[]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "[",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{,}",
        "{1:2}",
        "{\"b\":1,\"a\":{\"c\":[{}]},\"b\":2}",
        "{}}",
        "1 1",
        "0",
        "-0",
        "-0.0e5",
        "00",
        "01",
        "-",
        "-1",
        "+1",
        "1.",
        ".5",
        "1.5e",
        "1.5e+",
        "1E5",
        "1e-5",
        "1.25e+2",
        "1e5.5",
        "12345678901234567890",
        "0.1",
        "NaN",
        "Infinity",
        "0x1",
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0041\u00e9\u20ac\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\ud83d""#,
        r#""\ude00""#,
        r#""\u00g0""#,
        r#""\u00""#,
        r#""\x41""#,
        r#""\"#,
        "\"",
        "\"a\nb\"",
        "\"a\0b\"",
        "\"\x7f\"",
        "\"\u{e9}\u{20ac}\u{1f600}\"",
        "\u{feff}1",
        "\u{a0}1",
        "'a'",
        "// 1\n1",
    ] {
        compare(text.as_bytes());
    }
    compare(b"\"\xff\xfe\"");
    compare(b"\"\xed\xa0\x80\"");
    compare(b"1\xff");
}

#[test]
fn depth_and_keys_have_bounds() {
    let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    let deepest = DEPTH_MAX as usize + 1;
    assert!(parse(&deep(deepest)).is_ok());
    assert!(parse(&deep(deepest + 1)).is_err());
    assert!(parse(&vec![b'['; 1 << 20]).is_err());
    let keys = |count: usize| {
        let keys: Vec<String> = (0..count).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    assert!(parse(keys(KEYS_MAX).as_bytes()).is_ok());
    assert!(parse(keys(KEYS_MAX + 1).as_bytes()).is_err());
}

#[test]
fn the_last_digit_of_a_double_is_no_difference() {
    compare(b"117503882.48872887");
}

#[test]
fn an_error_says_what_is_missing_and_where() {
    for (text, expected) in [
        ("{\n \"a\" 1}", "expected \":\" at line 2 column 6"),
        ("{\"a\": 1", "expected \",\" or \"}\" at line 1 column 8"),
        ("[1, }", "expected a value at line 1 column 5"),
        ("{}\n\nx", "expected the end at line 3 column 1"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected);
    }
}

proptest! {
    #[test]
    fn rubbish_is_read_like_serde_json_reads_it(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        compare(&bytes);
    }

    #[test]
    fn what_looks_like_json_is_read_like_serde_json_reads_it(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "\\ude00", "a", "null", "true", "0", "1", "-", ".", "e",
            "+", " ", "\n", "\"a\":", "\"b\":1,",
        ]), 0..12)
    ) {
        compare(parts.concat().as_bytes());
    }

    #[test]
    fn what_is_written_is_read(texts in prop::collection::vec(any::<String>(), 0..5), number in any::<f64>()) {
        let written = serde_json::json!({"texts": texts, "number": number, "nested": [{"a": null, "b": true}]});
        prop_assert_eq!(Value::from_serde(&written), Some(expected(&written)));
        compare(written.to_string().as_bytes());
    }
}
