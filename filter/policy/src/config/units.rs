//! Numbers with a meaning: lengths of time, shares, decimals.

use super::value_kind::{Schema, ValueKind};
use crate::decimal::{self, ONE};
use crate::json::Value;
use crate::ratio::Share;
use crate::text;

/// A length of time with its unit.
pub struct Duration;

impl Schema for Duration {
    const KIND: ValueKind = ValueKind::Duration;
}

/// A share in percent: a number from 0 to 100, or text such as `5%`.
pub struct Percent;

impl Schema for Percent {
    const KIND: ValueKind = ValueKind::Percent;
}

/// What is paid in for another thing, in percent of it: a number from 0 to 1,000, or text such as `150%`.
pub struct Ratio;

impl Schema for Ratio {
    const KIND: ValueKind = ValueKind::Ratio;
}

/// A number with at most four decimals.
pub struct Decimal;

impl Schema for Decimal {
    const KIND: ValueKind = ValueKind::Decimal;
}

/// One or several HTTP statuses: a number, or text such as `5xx` or `520-527`.
pub struct HttpStatus;

impl Schema for HttpStatus {
    const KIND: ValueKind = ValueKind::HttpStatus;
}

/// A gRPC status: a number or a name.
pub struct GrpcStatus;

impl Schema for GrpcStatus {
    const KIND: ValueKind = ValueKind::GrpcStatus;
}

/// A gRPC status that may be 0.
pub struct AnyGrpcStatus;

impl Schema for AnyGrpcStatus {
    const KIND: ValueKind = ValueKind::AnyGrpcStatus;
}

/// The name of the gRPC status 0.
const GRPC_OK: &str = "ok";

/// The names of gRPC statuses, from 1 on.
const GRPC_NAMES: [&str; 16] = [
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

/// The first and the last of one or several HTTP statuses.
pub(super) fn http_statuses(value: &Value) -> Option<(u16, u16)> {
    const FIRST: u64 = 100;
    const LAST: u64 = 599;
    let (first, last) = match value {
        Value::Text(text) => match text::trimmed(text.as_bytes()) {
            [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                let first = u64::from(class.wrapping_sub(b'0')).saturating_mul(100);
                (first, first.saturating_add(99))
            }
            _ => match text::parted(text, b'-') {
                Some((first, last)) => (status(first)?, status(last)?),
                None => (status(text)?, status(text)?),
            },
        },
        other => {
            let status = u64::from(whole(other)?);
            (status, status)
        }
    };
    let known = FIRST <= first && first <= last && last <= LAST;
    known.then_some((first as u16, last as u16))
}

fn status(text: &str) -> Option<u64> {
    text::number(text::trimmed(text.as_bytes()))
}

/// A gRPC status that says that something failed.
pub(super) fn grpc_status(value: &Value) -> Option<u16> {
    any_grpc_status(value).filter(|status| *status != 0)
}

/// A gRPC status; a name may be written as in gRPC's own constants, too.
pub(super) fn any_grpc_status(value: &Value) -> Option<u16> {
    let status = match value.text() {
        Some(text) => {
            let name = text.trim_ascii().replace('_', "-").to_ascii_lowercase();
            let known = GRPC_NAMES.iter().position(|known| *known == name);
            match known {
                Some(place) => place.checked_add(1)?,
                None if name == GRPC_OK => 0,
                None => status(text)? as usize,
            }
        }
        None => whole(value)? as usize,
    };
    (status <= GRPC_NAMES.len()).then_some(status as u16)
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
    let points = points(value, 10_000)?;
    u16::try_from(points).ok().map(Share::basis_points)
}

/// A ratio in basis points.
pub(super) fn ratio(value: &Value) -> Option<u32> {
    points(value, 100_000)
}

/// Basis points of a number, or of text such as `5%`.
fn points(value: &Value, max: u32) -> Option<u32> {
    let number = value.text().and_then(number);
    of(number.as_ref().unwrap_or(value), ONE / 100, max)
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

    use super::{
        AnyGrpcStatus, Decimal, Duration, GRPC_NAMES, GRPC_OK, GrpcStatus, HttpStatus, Percent,
        Ratio,
    };
    use crate::config::value_kind::Named;

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

    impl JsonSchema for HttpStatus {
        fn schema_name() -> Cow<'static, str> {
            "HttpStatus".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "One or several HTTP statuses.",
                "anyOf": [
                    {"type": "integer", "minimum": 100, "maximum": 599},
                    {"type": "string", "pattern": r"^\s*([1-5][xX]{2}|[1-5][0-9]{2}(\s*-\s*[1-5][0-9]{2})?)\s*$"}
                ],
                "examples": [503, "5xx", "520-527"]
            })
        }
    }

    impl JsonSchema for GrpcStatus {
        fn schema_name() -> Cow<'static, str> {
            "GrpcStatus".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "A gRPC status, or its name.",
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": 16},
                    {"enum": GRPC_NAMES}
                ]
            })
        }
    }

    impl JsonSchema for AnyGrpcStatus {
        fn schema_name() -> Cow<'static, str> {
            "AnyGrpcStatus".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "A gRPC status, 0 among them, or its name.",
                "anyOf": [
                    {"type": "integer", "minimum": 0, "maximum": 16},
                    {"const": GRPC_OK},
                    {"enum": GRPC_NAMES}
                ]
            })
        }
    }

    impl JsonSchema for Ratio {
        fn schema_name() -> Cow<'static, str> {
            "Ratio".into()
        }

        fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "What is paid in, in percent of what it pays for.",
                "anyOf": [
                    {"type": "number", "minimum": 0, "maximum": 1000},
                    {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]{1,2})?\s*%?\s*$"}
                ]
            })
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
