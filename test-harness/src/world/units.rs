//! Lengths of time and percentages, as a file has them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use seawall_policy::time::parse_duration;
use serde::{Deserialize, Deserializer, de};

/// A length of time such as `250ms`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub u64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let span = parse_duration(&text);
        span.map(|span| Self(span.as_nanos()))
            .map_err(|error| de::Error::custom(format!("{text}: {error}")))
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*[0-9]+(\.[0-9]{1,9})?\s*(ns|us|ms|s|m|h)\s*$",
            "examples": ["250ms", "1.5s"],
        })
    }
}

/// A share from 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percent(pub f64);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(from)?;
        match (0.0..=100.0).contains(&number) {
            true => Ok(Self(number)),
            false => Err(de::Error::custom(format!(
                "{number}: expected 0 to 100 percent"
            ))),
        }
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0, "maximum": 100})
    }
}
