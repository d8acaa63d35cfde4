//! From a JSON tree to the types of [`super::raw`], by their derived code: a deserialiser of Serde.
//!
//! It is stricter than `serde_json`'s, which takes a list for an object and says nothing of the path. Its errors name the
//! path. It knows YAML 1.1 too, which takes a plain `off` for false and a plain `on` for true. Envoy does so with values,
//! Kubernetes with keys too, before the filter sees them; so false is read as the word `off`, and the key `true` as `on`,
//! where those are known.
//!
//! The derived code ends at the first error. What is skipped is as if it was not there, so that a check reads again
//! without what was wrong, and finds the next error.

use std::fmt::Display;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::error::Wrong;
use seawall_policy::json::Path;

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a, 'de> {
    value: &'de Value,
    path: Path<'a>,
    skipped: &'a [String],
}

impl<'a, 'de> Reader<'a, 'de> {
    pub(super) const fn new(value: &'de Value, path: Path<'a>, skipped: &'a [String]) -> Self {
        Self {
            value,
            path,
            skipped,
        }
    }

    #[cold]
    #[inline(never)]
    fn expected(&self, what: &dyn Display) -> Wrong {
        let error = match self.value {
            Value::String(text) => Wrong::expected(what, &format_args!("\"{text}\"")),
            other => Wrong::expected(what, &kind(other)),
        };
        error.at(&self.path)
    }

    #[inline(never)]
    fn is_skipped(&self, path: &Path<'_>) -> bool {
        !self.skipped.is_empty() && self.skipped.contains(&path.to_string())
    }

    #[inline(never)]
    fn text(&self) -> Result<&'de str, Wrong> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.expected(&"text")),
        }
    }

    #[inline(never)]
    fn object(&self) -> Result<&'de Map<String, Value>, Wrong> {
        match self.value {
            Value::Object(object) => Ok(object),
            _ => Err(self.expected(&"an object")),
        }
    }

    /// An object of which all keys are known. In its place `off` is no word: says what switches off what can be.
    #[inline(never)]
    fn known(&self, keys: &[&str]) -> Result<&'de Map<String, Value>, Wrong> {
        if !matches!(self.value, Value::Bool(false)) && self.value.as_str() != Some("off") {
            return self.object();
        }
        let instead = match keys.contains(&"mode") {
            true => "write {mode: off}",
            false => "leave it out",
        };
        let keys = keys.join(", ");
        Err(Wrong::new(
            &self.path,
            format_args!("expected an object, got off; {instead}, or write an object with {keys}"),
        ))
    }

    /// One of several words.
    #[inline(never)]
    fn word(&self, known: &[&str]) -> Result<&'de str, Wrong> {
        match self.value {
            Value::Bool(false) if known.contains(&"off") => Ok("off"),
            Value::String(word) => Ok(word),
            _ => {
                let list = known.join(", ");
                Err(self.expected(&format_args!("one of {list}")))
            }
        }
    }

    fn members<V: Visitor<'de>>(
        &self,
        object: &'de Map<String, Value>,
        has_on: bool,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(Members {
            of: self,
            rest: object.iter(),
            next: None,
            true_is_on: has_on && !object.contains_key("on"),
        })
    }
}

/// What a value is, in the words of an error.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => match number.as_u64() {
                Some(whole) => visitor.visit_u64(whole),
                None => visitor.visit_f64(number.as_f64().unwrap_or(-1.0)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(object) => self.members(object, false, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Bool(truth) => visitor.visit_bool(*truth),
            _ => Err(self.expected(&"true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.text()?)
    }

    /// A key without a value is as if it were not there.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items {
                of: &self,
                items,
                next: 0,
            }),
            _ => Err(self.expected(&"a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.members(self.object()?, false, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.members(self.known(keys)?, keys.contains(&"on"), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let word: StrDeserializer<'_, Wrong> = self.word(words)?.into_deserializer();
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// What stands in an object.
struct Members<'a, 'de> {
    of: &'a Reader<'a, 'de>,
    rest: serde_json::map::Iter<'de>,
    next: Option<(&'de str, &'de Value)>,
    true_is_on: bool,
}

impl<'de> Members<'_, 'de> {
    #[inline(never)]
    fn advance(&mut self) -> Option<&'de str> {
        loop {
            let (key, value) = self.rest.next()?;
            let key = match key.as_str() {
                "true" if self.true_is_on => "on",
                key => key,
            };
            if !self.of.is_skipped(&Path::Key(&self.of.path, key)) {
                self.next = Some((key, value));
                return Some(key);
            }
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some(key) = self.advance() else {
            return Ok(None);
        };
        let name: BorrowedStrDeserializer<'de, Wrong> = BorrowedStrDeserializer::new(key);
        let read = seed.deserialize(name);
        let read = read.map_err(|error| error.at(&Path::Key(&self.of.path, key)))?;
        Ok(Some(read))
    }

    #[inline(never)]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (key, value) = self.next.take().unwrap_or(("", &Value::Null));
        let path = Path::Key(&self.of.path, key);
        let read = seed.deserialize(Reader::new(value, path, self.of.skipped));
        read.map_err(|error| error.at(&path))
    }
}

/// What stands in a list.
struct Items<'a, 'de> {
    of: &'a Reader<'a, 'de>,
    items: &'de [Value],
    next: usize,
}

impl<'a, 'de> Items<'a, 'de> {
    #[inline(never)]
    fn advance(&mut self) -> Option<Reader<'a, 'de>> {
        loop {
            let path = Path::Index(&self.of.path, self.next);
            let value = self.items.get(self.next)?;
            self.next = self.next.saturating_add(1);
            if !self.of.is_skipped(&path) {
                return Some(Reader::new(value, path, self.of.skipped));
            }
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Wrong;

    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        let Some(item) = self.advance() else {
            return Ok(None);
        };
        let read = seed.deserialize(item).map(Some);
        read.map_err(|error| error.at(&item.path))
    }
}
