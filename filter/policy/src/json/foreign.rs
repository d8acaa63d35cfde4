//! A value that was parsed by others, for tools and tests.

use super::{Value, parse};

impl Value {
    /// The same value; nothing where it is beyond the bounds that stand here.
    pub(crate) fn from_serde(value: &serde_json::Value) -> Option<Self> {
        parse(value.to_string().as_bytes()).ok()
    }
}
