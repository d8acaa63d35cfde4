//! JSON as a tree: what a configuration and a load report are read from.
//!
//! The reader is `serde_json`'s. What it does not do by itself is done here: objects and lists have bounds, a key that
//! stands twice is refused where that is wanted (`serde_json::Value` takes the last one), and an error names the path.

mod path;

use std::cell::OnceCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::decimal::{self, ONE};
pub use path::Path;

/// Objects and lists may stand in one another this deep.
pub const DEPTH_MAX: u32 = 32;
/// The most keys of one object.
pub const KEYS_MAX: usize = 1_024;

/// Why bytes are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Within which value; empty for the whole.
    pub path: String,
    /// What is wrong, and at which line and column.
    pub problem: String,
    /// Whether it is JSON, but beyond the bounds or with a key that stands twice.
    pub is_json: bool,
}

/// Reads one value and nothing behind it. A key that stands twice is refused.
pub fn parse(bytes: &[u8]) -> Result<Value, Unreadable> {
    read(bytes, false)
}

/// The same, but of a key that stands twice the last one counts.
pub fn parse_last(bytes: &[u8]) -> Result<Value, Unreadable> {
    read(bytes, true)
}

fn read(bytes: &[u8], last_counts: bool) -> Result<Value, Unreadable> {
    let innermost = OnceCell::new();
    let tree = Tree {
        path: Path::Root,
        depth: 0,
        last_counts,
        innermost: &innermost,
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = tree.deserialize(&mut reader);
    let read = value.and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| Unreadable {
        path: innermost.into_inner().unwrap_or_default(),
        problem: error.to_string(),
        is_json: error.is_data(),
    })
}

/// A number in billionths; nothing for what is negative or too large.
pub fn billionths(number: &Number) -> Option<u64> {
    match number.as_u64() {
        Some(whole) => whole.checked_mul(ONE),
        None => decimal::of_double(number.as_f64()?).filter(|number| *number < u64::MAX),
    }
}

/// Builds the tree below one place.
#[derive(Clone, Copy)]
struct Tree<'a> {
    path: Path<'a>,
    depth: u32,
    last_counts: bool,
    /// The path of the innermost value with an error in it.
    innermost: &'a OnceCell<String>,
}

impl Tree<'_> {
    fn inner<'b>(&'b self, path: Path<'b>) -> Tree<'b> {
        Tree {
            path,
            depth: self.depth.saturating_add(1),
            last_counts: self.last_counts,
            innermost: self.innermost,
        }
    }

    #[cold]
    #[inline(never)]
    fn note(innermost: &OnceCell<String>, path: &Path<'_>) {
        innermost.get_or_init(|| path.to_string());
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let Self {
            path, innermost, ..
        } = self;
        let read = from.deserialize_any(self);
        read.inspect_err(|_| Self::note(innermost, &path))
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        if self.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        while let Some(item) = {
            let item = self.inner(Path::Index(&self.path, list.len()));
            items.next_element_seed(item)?
        } {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        if self.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        while let Some(key) = members.next_key::<String>()? {
            let path = Path::Key(&self.path, &key);
            if !self.last_counts && object.contains_key(&key) {
                Self::note(self.innermost, &path);
                return Err(A::Error::custom(
                    "a key may stand only once, and this one stands again",
                ));
            }
            if object.len() >= KEYS_MAX {
                return Err(A::Error::custom(format_args!(
                    "more than {KEYS_MAX} keys in one object"
                )));
            }
            let value = members.next_value_seed(self.inner(path))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cold]
fn too_deep<E: serde::de::Error>() -> E {
    E::custom(format_args!(
        "objects and lists stand more than {DEPTH_MAX} deep in one another"
    ))
}

#[cfg(test)]
mod tests;
