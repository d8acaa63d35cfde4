//! Reading JSON into the types of [`super::raw`], with the path of whatever does not fit.
//!
//! Serde's derive with a tracker of paths does the same, at 200 KB of WebAssembly (measured: 545 KB with it); this needs
//! a tenth of that. The two macros make a type, its reader and its schema from one list of keys.
//!
//! YAML 1.1 takes a plain `off` for false and a plain `on` for true. Envoy does so with values, Kubernetes with keys too,
//! before the filter sees them; so false is read as the word `off`, and the key `true` as `on`, where those are known.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::error::{Error, suggestion};
use crate::share::Share;
use crate::time::{Span, parse_duration};

/// Where a value stands.
pub(super) enum Path<'a> {
    /// The whole.
    Root,
    /// Under a key.
    Key(&'a Path<'a>, &'a str),
    /// In a list.
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl Path<'_> {
    pub(super) fn error(&self, problem: &str) -> Error {
        Error::new(&self.to_string(), problem)
    }

    fn expected(&self, what: &str, value: &Value) -> Error {
        let got = match value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(_) => "a truth value".to_owned(),
            Value::Number(_) => "a number".to_owned(),
            Value::String(text) => format!("\"{text}\""),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.error(&format!("expected {what}, got {got}"))
    }
}

/// What can be read.
pub(super) trait Read: Sized {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error>;
}

/// An object of which all keys are known.
pub(super) fn known_keys<'a>(
    value: &'a Value,
    path: &Path<'_>,
    known: &[&str],
) -> Result<&'a Map<String, Value>, Error> {
    let map = value
        .as_object()
        .ok_or_else(|| path.expected("an object", value))?;
    let is_known = |key: &str| {
        known.contains(&key) || key == "true" && known.contains(&"on") && !map.contains_key("on")
    };
    match map.keys().find(|key| !is_known(key)) {
        None => Ok(map),
        Some(key) => {
            let near = suggestion(key, known);
            let problem = format!("unknown key{near}; known: {}", known.join(", "));
            Err(Path::Key(path, key).error(&problem))
        }
    }
}

/// What stands under a key; a key without a value is as if it were not there.
pub(super) fn field<T: Read>(
    map: &Map<String, Value>,
    key: &str,
    path: &Path<'_>,
) -> Result<Option<T>, Error> {
    let found = map.get(key);
    let found = found.or_else(|| map.get("true").filter(|_| key == "on"));
    match found {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::read(value, &Path::Key(path, key)).map(Some),
    }
}

/// One of several words.
pub(super) fn word<T: Copy>(
    value: &Value,
    path: &Path<'_>,
    words: &[(&str, T)],
) -> Result<T, Error> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let list = known.join(", ");
    let written = match value {
        Value::Bool(false) if known.contains(&"off") => Some("off"),
        other => other.as_str(),
    };
    let Some(text) = written else {
        return Err(path.expected(&format!("one of {list}"), value));
    };
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let near = suggestion(text, &known);
        path.error(&format!("unknown value \"{text}\"{near}; known: {list}"))
    })
}

/// An object: its type, its reader, its schema.
macro_rules! object {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident ($key:literal): $type:ty),* $(,)?
    }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
        pub struct $name {
            $(
                $(#[$doc])*
                #[cfg_attr(feature = "schema", schemars(rename = $key))]
                pub $field: Option<$type>,
            )*
        }

        impl $crate::config::read::Read for $name {
            fn read(
                value: &serde_json::Value,
                path: &$crate::config::read::Path<'_>,
            ) -> Result<Self, $crate::config::Error> {
                let map = $crate::config::read::known_keys(value, path, &[$($key),*])?;
                Ok(Self { $($field: $crate::config::read::field(map, $key, path)?,)* })
            }
        }
    };
}

/// One of several words: its type, its reader, its schema.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident ($word:literal)),* $(,)?
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $(
                $(#[$doc])*
                #[cfg_attr(feature = "schema", schemars(rename = $word))]
                $variant,
            )*
        }

        impl $crate::config::read::Read for $name {
            fn read(
                value: &serde_json::Value,
                path: &$crate::config::read::Path<'_>,
            ) -> Result<Self, $crate::config::Error> {
                $crate::config::read::word(value, path, &[$(($word, Self::$variant)),*])
            }
        }
    };
}

pub(super) use {choice, object};

impl Read for bool {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        value
            .as_bool()
            .ok_or_else(|| path.expected("true or false", value))
    }
}

impl Read for u32 {
    /// A whole number may come as `1.0`: a protobuf Struct knows no other numbers.
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let whole =
            |number: &f64| number.fract() == 0.0 && (0.0..=f64::from(Self::MAX)).contains(number);
        let number = value.as_f64().filter(whole);
        number
            .map(|number| number as Self)
            .ok_or_else(|| path.expected("a whole number", value))
    }
}

impl Read for String {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let text = value.as_str().ok_or_else(|| path.expected("text", value))?;
        Ok(text.to_owned())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let list = value
            .as_array()
            .ok_or_else(|| path.expected("a list", value))?;
        let items = list.iter().enumerate();
        items
            .map(|(index, item)| T::read(item, &Path::Index(path, index)))
            .collect()
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let map = value
            .as_object()
            .ok_or_else(|| path.expected("an object", value))?;
        let mut read = Self::new();
        for (key, value) in map {
            read.insert(key.clone(), T::read(value, &Path::Key(path, key))?);
        }
        Ok(read)
    }
}

/// A length of time with its unit.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub Span);

impl Read for Duration {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let what = "a duration with its unit, such as \"250ms\", \"5s\" or \"2m\"";
        let text = value.as_str().ok_or_else(|| path.expected(what, value))?;
        parse_duration(text)
            .map(Self)
            .map_err(|error| path.error(&error.to_string()))
    }
}

/// A share in percent: a number from 0 to 100, or text such as `5%`.
#[derive(Clone, Copy, Debug)]
pub struct Percent(pub Share);

impl Read for Percent {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let percent = match value {
            Value::String(text) => text.trim().trim_end_matches('%').trim_end().parse().ok(),
            other => other.as_f64(),
        };
        let points = percent.map_or(f64::NAN, |percent: f64| percent * 100.0);
        let exact = (points.round() - points).abs() < 1e-6;
        if !exact || !(0.0..=10_000.0).contains(&points) {
            let what = "a percentage from 0 to 100 with at most two decimals, such as 50 or \"5%\"";
            return Err(path.expected(what, value));
        }
        Ok(Self(Share::basis_points(points.round() as u16)))
    }
}

/// A number with at most four decimals, in parts of ten thousand.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub u32);

impl Read for Decimal {
    fn read(value: &Value, path: &Path<'_>) -> Result<Self, Error> {
        let parts = value.as_f64().map_or(f64::NAN, |number| number * 10_000.0);
        let exact = (parts.round() - parts).abs() < 1e-6;
        if !exact || !(0.0..=1e9).contains(&parts) {
            let what = "a number from 0 to 100000 with at most four decimals, such as 2 or 0.1";
            return Err(path.expected(what, value));
        }
        Ok(Self(parts.round() as u32))
    }
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Decimal, Duration, Percent};

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
