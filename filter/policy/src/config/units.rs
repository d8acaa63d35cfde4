//! Numbers with a meaning: lengths of time, shares, decimals.

use serde_json::Value;

use super::error::Error;
use super::read::{Path, Read};
use crate::share::Share;
use crate::time::{Span, parse_duration};

/// A length of time with its unit.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub Span);

impl Read for Duration {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let what = "a duration with its unit, such as \"250ms\", \"5s\" or \"2m\"";
        let text = value.as_str().ok_or_else(|| path.expected(what, value))?;
        let span = parse_duration(text).map_err(|error| path.error(format_args!("{error}")))?;
        *slot = Some(Self(span));
        Ok(())
    }
}

/// A share in percent: a number from 0 to 100, or text such as `5%`.
#[derive(Clone, Copy, Debug)]
pub struct Percent(pub Share);

impl Read for Percent {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let percent = match value {
            Value::String(text) => {
                let text = text.trim().trim_end_matches('%').trim_end();
                decimal(text)
            }
            other => other.as_f64(),
        };
        let points = percent.map_or(f64::NAN, |percent: f64| percent * 100.0);
        let exact = (points.round() - points).abs() < 1e-6;
        if !exact || !(0.0..=10_000.0).contains(&points) {
            let what = "a percentage from 0 to 100 with at most two decimals, such as 50 or \"5%\"";
            return Err(path.expected(what, value));
        }
        *slot = Some(Self(Share::basis_points(points.round() as u16)));
        Ok(())
    }
}

/// Digits with or without a fraction. The standard library reads more, with 17 KB of code and tables.
fn decimal(text: &str) -> Option<f64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = whole.bytes().chain(fraction.bytes());
    let plain = digits.clone().all(|byte| byte.is_ascii_digit()) && digits.next().is_some();
    let value = |byte: u8| f64::from(byte.saturating_sub(b'0'));
    let whole = whole
        .bytes()
        .fold(0.0, |sum, byte| sum * 10.0 + value(byte));
    let tenths = fraction.bytes().rev();
    let fraction = tenths.fold(0.0, |sum, byte| (sum + value(byte)) / 10.0);
    plain.then_some(whole + fraction)
}

/// A number with at most four decimals, in parts of ten thousand.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub u32);

impl Read for Decimal {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let parts = value.as_f64().map_or(f64::NAN, |number| number * 10_000.0);
        let exact = (parts.round() - parts).abs() < 1e-6;
        if !exact || !(0.0..=1e9).contains(&parts) {
            let what = "a number from 0 to 100000 with at most four decimals, such as 2 or 0.1";
            return Err(path.expected(what, value));
        }
        *slot = Some(Self(parts.round() as u32));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_what_the_standard_library_reads() {
        for points in 0..=10_000 {
            let text = format!("{}.{:02}", points / 100, points % 100);
            let number: f64 = text.parse().unwrap();
            let read = decimal(&text).unwrap();
            assert!((read - number).abs() < 1e-9, "{text}: {read}");
        }
        for text in ["7", "+7", "007", "7.", ".7", "0.1234567890123456789"] {
            let number: f64 = text.parse().unwrap();
            let read = decimal(text).unwrap();
            assert!((read - number).abs() < 1e-9, "{text}: {read}");
        }
        for text in ["", ".", "+", "-7", "1e1", "1.2.3", "7 0", "inf", "NaN"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Decimal, Duration, Percent};
    use crate::config::read::Named;

    impl<T: JsonSchema> JsonSchema for Named<T> {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            <BTreeMap<String, T>>::schema_name()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            <BTreeMap<String, T>>::json_schema(generator)
        }
    }

    impl JsonSchema for Duration {
        fn schema_name() -> Cow<'static, str> {
            "Duration".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "type": "string",
                "description": "A length of time with its unit: ns, us, ms, s, m or h.",
                "pattern": r"^\s*[0-9]+(\.[0-9]{1,9})?\s*(ns|us|ms|s|m|h)\s*$",
                "examples": ["250ms", "5s"]
            })
        }
    }

    impl JsonSchema for Decimal {
        fn schema_name() -> Cow<'static, str> {
            "Decimal".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "number", "minimum": 0, "maximum": 100_000})
        }
    }

    impl JsonSchema for Percent {
        fn schema_name() -> Cow<'static, str> {
            "Percent".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "A share in percent.",
                "anyOf": [
                    {"type": "number", "minimum": 0, "maximum": 100},
                    {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]{1,2})?\s*%?\s*$"}
                ]
            })
        }
    }
}
