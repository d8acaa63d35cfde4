//! The forms of Envoy's reader, one by one, and that no other bytes are a report.

use proptest::prelude::*;

use super::*;

/// Base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            text.push(match place <= chunk.len() {
                true => char::from(DIGITS[(word >> (18 - 6 * place) & 63) as usize]),
                false => '=',
            });
        }
    }
    text
}

/// A message with these doubles.
fn message(fields: &[(u8, f64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, value) in fields {
        bytes.push(number << 3 | 1);
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

#[track_caller]
fn check(tagged: &str, expected: Option<u32>) {
    assert_eq!(
        utilisation(None, Some(tagged.as_bytes())),
        expected,
        "{tagged:?}"
    );
}

#[test]
fn what_the_application_says_wins_over_its_processor() {
    for (list, expected) in [
        ("cpu_utilization=0.3", Some(3_000)),
        (
            "application_utilization=0.8,cpu_utilization=0.3",
            Some(8_000),
        ),
        (
            "application_utilization=0, cpu_utilization=0.3",
            Some(3_000),
        ),
        (
            "cpu_utilization:0.7,mem_utilization:0.9,rps_fractional:1000,eps:2",
            Some(7_000),
        ),
        (
            "named_metrics.queue=123, utilization.total=0.5, cpu_utilization= 0.7 ,",
            Some(7_000),
        ),
        ("application_utilization=1.25", Some(12_500)),
        ("application_utilization=1e9", Some(POINTS_MAX)),
        ("cpu_utilization=0.0000001", Some(1)),
        ("cpu_utilization=0", None),
        ("mem_utilization=0.9", None),
        ("named_metrics.queue=12", None),
        ("", None),
    ] {
        check(&format!("TEXT {list}"), expected);
    }
}

#[test]
fn a_list_that_envoy_refuses_is_no_report() {
    for list in [
        "cpu_utilization=0.7,cpu_utilization=0.8",
        "cpu_utilization=0,cpu_utilization=0.8",
        "cpu_utilization=0.7,unheard_of=0.8",
        "cpu_utilization=0.7,named_metrics.=1",
        "cpu_utilization=0.7,named_metrics.a=x",
        "cpu_utilization=0.7,eps=-1",
        "cpu_utilization=\"0.7\"",
        "cpu_utilization=-0.7",
        "cpu_utilization=nan",
        "cpu_utilization=inf",
        "cpu_utilization=",
        "cpu_utilization",
        "=0.7",
        "cpuUtilization=0.7",
        "cpu_utilization =0.7",
    ] {
        check(&format!("TEXT {list}"), None);
    }
}

#[test]
fn json_is_read_by_both_of_its_names() {
    for (object, expected) in [
        (
            r#"{"cpu_utilization": 0.7, "application_utilization": 0.8}"#,
            Some(8_000),
        ),
        (
            r#"{"cpuUtilization": 0.7, "memUtilization": 0.1, "rps": "7"}"#,
            Some(7_000),
        ),
        (
            r#"{"applicationUtilization": "1e-1", "named_metrics": {"a": 1}}"#,
            Some(1_000),
        ),
        (
            r#"{"cpu_utilization": 1, "applicationUtilization": null}"#,
            Some(10_000),
        ),
        (
            r#"{"cpu_utilization": 0.7, "cpu_utilization": 0.2}"#,
            Some(2_000),
        ),
        (r#"{"cpu_utilization": 0.7, "unheard_of": 1}"#, None),
        (r#"{"cpu_utilization": -0.7}"#, None),
        (r#"{"cpu_utilization": "NaN"}"#, None),
        (r#"{"cpu_utilization": true}"#, None),
        (r#"{"cpu_utilization": 1e999}"#, None),
        (r#"{"cpu_utilization": 0.7"#, None),
        ("[0.7]", None),
        ("0.7", None),
        ("{}", None),
    ] {
        check(&format!("JSON {object}"), expected);
    }
}

#[test]
fn the_message_is_read_in_either_header_with_padding_or_without() {
    // Sent by grpc-go: cpu_utilization 0.5, rps_fractional 100, eps 2, named_metrics {rif: 4}.
    let sent = "CQAAAAAAAOA/MQAAAAAAAFlAOQAAAAAAAABAQg4KA3JpZhEAAAAAAAAQQA";
    for sent in [sent.to_owned(), format!("{sent}==")] {
        assert_eq!(utilisation(Some(sent.as_bytes()), None), Some(5_000));
        assert_eq!(
            utilisation(Some(sent.as_bytes()), Some(b"TEXT eps=x")),
            Some(5_000)
        );
        check(&format!("BIN {sent}"), Some(5_000));
    }
    for (fields, expected) in [
        (vec![(1, 0.7), (9, 0.8)], Some(8_000)),
        (vec![(1, 0.7), (2, -1.0), (9, 0.0)], Some(7_000)),
        (vec![(1, 0.7), (1, 0.2)], Some(2_000)),
        (vec![(1, f64::MAX)], Some(POINTS_MAX)),
        (vec![(1, f64::MIN_POSITIVE)], Some(1)),
        (vec![(1, -0.0)], None),
        (vec![(1, -0.1)], None),
        (vec![(1, f64::NAN)], None),
        (vec![(9, f64::INFINITY), (1, 0.7)], None),
        (vec![(2, 0.7)], None),
    ] {
        check(&format!("BIN {}", base64(&message(&fields))), expected);
    }
}

#[test]
fn what_is_cut_off_or_of_another_form_is_no_report() {
    let whole = base64(&message(&[(1, 0.7)]));
    for end in 0..whole.len() {
        check(
            &format!("BIN {}", &whole[..end]),
            (end == 12).then_some(7_000),
        );
    }
    for value in [
        "",
        "BIN",
        "BIN ",
        "BIN =",
        "BIN ====",
        "BIN A",
        "BIN A===",
        "BIN @@@@",
        "TEXT",
        "JSON ",
        "BAD cpu_utilization=1",
        "text cpu_utilization=1",
        " TEXT cpu_utilization=1",
    ] {
        check(value, None);
    }
    assert_eq!(
        utilisation(Some(b""), Some(b"TEXT cpu_utilization=1")),
        None
    );
    assert_eq!(utilisation(None, None), None);
    let long = format!(
        "TEXT cpu_utilization=0.5,named_metrics.{}=1",
        "a".repeat(BYTES_MAX)
    );
    check(&long, None);
}

#[test]
fn decimals_round_to_the_nearest_basis_point() {
    for (text, expected) in [
        ("0.70004", Some(7_000)),
        ("0.70005", Some(7_001)),
        (".5", Some(5_000)),
        ("5.", Some(50_000)),
        ("+2e-2", Some(200)),
        ("25E-4", Some(25)),
        ("0.000000000000000000000000001e+27", Some(10_000)),
        ("123456789012345678901234567890e-30", Some(1_235)),
        ("1e-99999999999999999999", Some(1)),
        ("0e999", Some(0)),
        ("1e999", Some(POINTS_MAX)),
        (".", None),
        ("e1", None),
        ("1e", None),
        ("1e+", None),
        ("1.2.3", None),
        ("1x", None),
        ("+-1", None),
        ("", None),
        ("0x1p3", None),
    ] {
        let read = decimal::billionths(text.as_bytes()).map(points);
        assert_eq!(read, expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn rubbish_is_a_bounded_number_or_nothing(
        form in prop::sample::select(vec!["TEXT ", "JSON ", "BIN ", ""]),
        rubbish in prop::collection::vec(any::<u8>(), 0..200),
        header in prop::sample::select(vec![0, 1]),
    ) {
        let tagged = [form.as_bytes(), &rubbish].concat();
        let (binary, tagged) = if header == 1 { (Some(rubbish), None) } else { (None, Some(tagged)) };
        let read = utilisation(binary.as_deref(), tagged.as_deref());
        prop_assert!(read.is_none_or(|points| (1..=POINTS_MAX).contains(&points)));
    }

    #[test]
    fn any_message_in_base64_is_a_bounded_number_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let read = utilisation(Some(base64(&bytes).as_bytes()), None);
        prop_assert!(read.is_none_or(|points| (1..=POINTS_MAX).contains(&points)));
    }

    #[test]
    fn all_forms_say_the_same(value in 0.0001_f64..9.0) {
        let text = utilisation(None, Some(format!("TEXT cpu_utilization={value}").as_bytes()));
        let json = utilisation(None, Some(format!("JSON {{\"cpu_utilization\": {value:e}}}").as_bytes()));
        let binary = utilisation(Some(base64(&message(&[(1, value)])).as_bytes()), None);
        prop_assert!(text.is_some());
        // A tie of the decimal may fall to either side in the double.
        prop_assert!(text.unwrap().abs_diff(binary.unwrap()) <= 1);
        prop_assert_eq!(json, binary);
    }
}
