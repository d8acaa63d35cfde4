//! Numbers with a meaning: lengths of time, shares, decimals.

use super::error::Error;
use super::read::{Path, Read};
use crate::decimal::{self, ONE};
use crate::json::Value;
use crate::share::Share;
use crate::time::{Span, parse_duration};

/// A length of time with its unit.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub Span);

impl Read for Duration {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let what = "a duration with its unit, such as \"250ms\", \"5s\" or \"2m\"";
        let text = value.text().ok_or_else(|| path.expected(what, value))?;
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
        let number = value.text().and_then(number);
        let points = of(number.as_ref().unwrap_or(value), ONE / 100, 10_000);
        let points = points.and_then(|points| u16::try_from(points).ok());
        *slot = points.map(|points| Self(Share::basis_points(points)));
        let what = "a percentage from 0 to 100 with at most two decimals, such as 50 or \"5%\"";
        slot.map(|_| ()).ok_or_else(|| path.expected(what, value))
    }
}

/// The number in a text such as `5%`.
fn number(text: &str) -> Option<Value> {
    let text = text.trim().trim_end_matches('%').trim_end().as_bytes();
    let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'+');
    let digits = Some(text).filter(|text| text.iter().all(plain))?;
    Some(Value::Number(decimal::billionths(digits)))
}

/// A number in parts so large, each so many billionths, where it is a whole number of them and no more than `max`.
#[inline(never)]
pub(super) fn of(value: &Value, part: u64, max: u32) -> Option<u32> {
    let Value::Number(Some(number)) = value else {
        return None;
    };
    let parts = number.checked_div(part)?;
    let whole = parts.saturating_mul(part) == *number && parts <= u64::from(max);
    whole.then_some(parts as u32)
}

/// A number with at most four decimals, in parts of ten thousand.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub u32);

impl Read for Decimal {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        *slot = of(value, ONE / 10_000, 1_000_000_000).map(Self);
        let what = "a number from 0 to 100000 with at most four decimals, such as 2 or 0.1";
        slot.map(|_| ()).ok_or_else(|| path.expected(what, value))
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
