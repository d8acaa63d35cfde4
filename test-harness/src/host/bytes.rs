//! Bytes that are no text, in JSON as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a body or of a header's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = |error| D::Error::custom(format!("{text:?} is no base64: {error}"));
        STANDARD.decode(&text).map(Self).map_err(wrong)
    }
}

/// A body as text, and as bytes where it is none.
pub(super) fn body(bytes: &[u8]) -> (String, Option<Bytes>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let odd = std::str::from_utf8(bytes).is_err();
    (text, odd.then(|| Bytes(bytes.to_vec())))
}
