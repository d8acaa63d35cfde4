//! JSON as a tree: what a configuration and a load report are read from.
//!
//! With `serde_json` the module is 20 KB larger, for floats and trees that only it needs. This reads the same language
//! (RFC 8259; the tests hold one against the other) and has bounds: on depth and on keys. A number is what
//! [`crate::decimal`] makes of it.

mod reader;

#[cfg(any(test, feature = "schema"))]
mod foreign;

pub(crate) use reader::parse;

/// Objects and lists may stand in one another this deep.
pub(crate) const DEPTH_MAX: u32 = 32;
/// The most keys of one object.
pub(crate) const KEYS_MAX: usize = 1_024;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// In billionths; nothing for what is negative or too large.
    Number(Option<u64>),
    Text(String),
    List(Vec<Value>),
    Object(Object),
}

/// What stands under keys, sorted by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object(Vec<(String, Value)>);

impl Value {
    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The object, where it is one.
    pub(crate) fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl Object {
    /// All keys and what stands under them, in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// What stands under a key.
    #[inline(never)]
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let place = self.place(key).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// The place of what stands under a key; null, where nothing did. Nothing if there are too many keys.
    #[inline(never)]
    pub(crate) fn entry(&mut self, key: String) -> Option<&mut Value> {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(_) if self.0.len() >= KEYS_MAX => return None,
            Err(place) => {
                self.0.insert(place, (key, Value::Null));
                place
            }
        };
        self.0.get_mut(place).map(|(_, value)| value)
    }

    #[inline(never)]
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(key))
    }
}

#[cfg(test)]
mod tests;
