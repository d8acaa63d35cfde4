//! Numbers with a meaning: lengths of time, shares, decimals.

use super::kinds::{Kind, Known};
use crate::decimal::{self, ONE};
use crate::json::Value;
use crate::share::Share;
use crate::text;

/// A length of time with its unit.
pub struct Duration;

impl Known for Duration {
    const KIND: Kind = Kind::Duration;
}

/// A share in percent: a number from 0 to 100, or text such as `5%`.
pub struct Percent;

impl Known for Percent {
    const KIND: Kind = Kind::Percent;
}

/// A number with at most four decimals.
pub struct Decimal;

impl Known for Decimal {
    const KIND: Kind = Kind::Decimal;
}

/// A whole number; it may come as `1.0`, since a protobuf Struct knows no other numbers.
pub(super) fn whole(value: &Value) -> Option<u32> {
    of(value, ONE, u32::MAX)
}

/// A decimal in parts of ten thousand.
pub(super) fn decimal(value: &Value) -> Option<u32> {
    of(value, ONE / 10_000, 1_000_000_000)
}

/// A share.
pub(super) fn percent(value: &Value) -> Option<Share> {
    let number = value.text().and_then(number);
    let points = of(number.as_ref().unwrap_or(value), ONE / 100, 10_000)?;
    u16::try_from(points).ok().map(Share::basis_points)
}

/// The number in a text such as `5%`.
fn number(text: &str) -> Option<Value> {
    let text = text::trimmed(text.as_bytes());
    let text = text::trimmed(text.strip_suffix(b"%").unwrap_or(text));
    let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'+');
    let digits = Some(text).filter(|text| text.iter().all(plain))?;
    Some(Value::Number(decimal::billionths(digits)))
}

/// A number in parts so large, each so many billionths, where it is a whole number of them and no more than `max`.
#[inline(never)]
fn of(value: &Value, part: u64, max: u32) -> Option<u32> {
    let Value::Number(Some(number)) = value else {
        return None;
    };
    let parts = number.checked_div(part)?;
    let whole = parts.saturating_mul(part) == *number && parts <= u64::from(max);
    whole.then_some(parts as u32)
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Decimal, Duration, Percent};
    use crate::config::kinds::Named;

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
