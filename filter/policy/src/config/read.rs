//! Reading JSON into the types of [`super::raw`], with the path of whatever does not fit.
//!
//! Serde's derive with a tracker of paths does the same, at 200 KB of WebAssembly (measured: 545 KB with it); this needs
//! a tenth of that. The two macros make a type, its reader and its schema from one list of keys.
//!
//! YAML 1.1 takes a plain `off` for false and a plain `on` for true. Envoy does so with values, Kubernetes with keys too,
//! before the filter sees them; so false is read as the word `off`, and the key `true` as `on`, where those are known.

use std::fmt;

use crate::decimal;
use crate::json::{Object, Value};

use super::error::{Error, suggestion};

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

impl<'a> Path<'a> {
    /// Under a key of this.
    #[inline(never)]
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// An item of this list.
    #[inline(never)]
    pub(super) fn at(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl Path<'_> {
    #[cold]
    #[inline(never)]
    pub(super) fn error(&self, problem: fmt::Arguments<'_>) -> Error {
        Error::new(self.to_string(), problem.to_string())
    }

    #[inline(never)]
    pub(super) fn expected(&self, what: &str, value: &Value) -> Error {
        let got = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(text) => {
                return self.error(format_args!("expected {what}, got \"{text}\""));
            }
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.error(format_args!("expected {what}, got {got}"))
    }
}

/// What can be read.
pub(super) trait Read: Sized {
    /// Fills the slot.
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error>;
}

/// Where what stands under a key goes. An object's fields have many types; through this they are read by one function, which
/// is there once and not once a type.
pub(super) trait Slot {
    fn fill(&mut self, value: &Value, path: &Path<'_>) -> Result<(), Error>;
}

impl<T: Read> Slot for Option<T> {
    fn fill(&mut self, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        T::read(self, value, path)
    }
}

/// An object of which all keys are known; a key without a value is as if it were not there.
pub(super) fn fields(
    value: &Value,
    path: &Path<'_>,
    known: &[&str],
    slots: &mut [&mut dyn Slot],
) -> Result<(), Error> {
    let map = as_object(value, path)?;
    for (key, _) in map.iter() {
        let is = |word: &str| known.contains(&word);
        let is_known = is(key) || key == "true" && is("on") && map.get("on").is_none();
        if !is_known {
            let (near, known) = (suggestion(key, known), known.join(", "));
            let at = Path::Key(path, key);
            return Err(at.error(format_args!("unknown key{near}; known: {known}")));
        }
    }
    for (key, slot) in known.iter().zip(slots) {
        let found = map.get(key);
        let found = found.or_else(|| map.get("true").filter(|_| *key == "on"));
        if let Some(value) = found.filter(|value| **value != Value::Null) {
            slot.fill(value, &Path::Key(path, key))?;
        }
    }
    Ok(())
}

fn as_object<'a>(value: &'a Value, path: &Path<'_>) -> Result<&'a Object, Error> {
    let map = value.object();
    map.ok_or_else(|| path.expected("an object", value))
}

/// A place in a list of words.
pub(super) fn word(value: &Value, path: &Path<'_>, known: &[&str]) -> Result<usize, Error> {
    let written = match value {
        Value::Bool(false) if known.contains(&"off") => Some("off"),
        other => other.text(),
    };
    let found = written.and_then(|text| known.iter().position(|word| *word == text));
    found.ok_or_else(|| {
        let list = known.join(", ");
        let Some(text) = written else {
            return path.expected(&format!("one of {list}"), value);
        };
        let near = suggestion(text, known);
        path.error(format_args!(
            "unknown value \"{text}\"{near}; known: {list}"
        ))
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
                slot: &mut Option<Self>,
                value: &$crate::json::Value,
                path: &$crate::config::read::Path<'_>,
            ) -> Result<(), $crate::config::Error> {
                let read = slot.insert(Self::default());
                $crate::config::read::fields(value, path, &[$($key),*], &mut [$(&mut read.$field),*])
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
                slot: &mut Option<Self>,
                value: &$crate::json::Value,
                path: &$crate::config::read::Path<'_>,
            ) -> Result<(), $crate::config::Error> {
                let at = $crate::config::read::word(value, path, &[$($word),*])?;
                *slot = [$(Self::$variant),*].get(at).copied();
                Ok(())
            }
        }
    };
}

pub(super) use {choice, object};

impl Read for bool {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        *slot = match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        };
        slot.map(|_| ())
            .ok_or_else(|| path.expected("true or false", value))
    }
}

impl Read for u32 {
    /// A whole number may come as `1.0`: a protobuf Struct knows no other numbers.
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        *slot = super::units::of(value, decimal::ONE, Self::MAX);
        slot.map(|_| ())
            .ok_or_else(|| path.expected("a whole number", value))
    }
}

impl Read for String {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let text = value.text().ok_or_else(|| path.expected("text", value))?;
        *slot = Some(text.to_owned());
        Ok(())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let Value::List(items) = value else {
            return Err(path.expected("a list", value));
        };
        let list = slot.insert(Self::new());
        for (index, item) in items.iter().enumerate() {
            let mut read = None;
            T::read(&mut read, item, &Path::Index(path, index))?;
            list.extend(read);
        }
        Ok(())
    }
}

/// What stands under names, in their order.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T: Read> Read for Named<T> {
    fn read(slot: &mut Option<Self>, value: &Value, path: &Path<'_>) -> Result<(), Error> {
        let map = as_object(value, path)?;
        let list = slot.insert(Self(Vec::new()));
        for (key, value) in map.iter() {
            let mut read = None;
            T::read(&mut read, value, &Path::Key(path, key))?;
            list.0.extend(read.map(|read| (key.to_owned(), read)));
        }
        Ok(())
    }
}
