//! A configuration that was written as `google.protobuf.Struct`.
//!
//! Envoy hands a StringValue over as it stands, but a Struct in its wire format (seen on 1.40, although its documentation
//! speaks of JSON). The format is that of protobuf's `struct.proto`: a map of fields, each a null, number, text, truth value,
//! object or list.
//!
//! Own code: a protobuf library with its generated types would be larger than all that reads the configuration.

use serde_json::{Map, Number, Value};

use seawall_policy::json::{DEPTH_MAX, KEYS_MAX};
use seawall_policy::protobuf_wire::{Content, field};

/// Reads a Struct; `None` if the bytes are none. As protobuf has it, the last one counts of a key that stands twice.
pub(super) fn object(bytes: &[u8], depth: u32) -> Option<Value> {
    let mut map = Map::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (1, entry) = field(&mut rest)? else {
            return None;
        };
        let mut entry = entry.bytes()?;
        let (mut key, mut value) = (String::new(), Value::Null);
        while !entry.is_empty() {
            match field(&mut entry)? {
                (1, name) => key = text(name)?,
                (2, inner) => value = self::value(inner.bytes()?, depth)?,
                _ => return None,
            }
        }
        map.insert(key, value);
        if map.len() > KEYS_MAX {
            return None;
        }
    }
    Some(Value::Object(map))
}

fn value(bytes: &[u8], depth: u32) -> Option<Value> {
    let deeper = depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX)?;
    let mut rest = bytes;
    let (number, content) = field(&mut rest)?;
    match number {
        1 => Some(Value::Null),
        2 => match content {
            Content::Fixed(bits) => Some(double(f64::from_bits(bits))),
            Content::Varint(_) | Content::Bytes(_) => None,
        },
        3 => text(content).map(Value::String),
        4 => match content {
            Content::Varint(truth) => Some(Value::Bool(truth != 0)),
            Content::Fixed(_) | Content::Bytes(_) => None,
        },
        5 => object(content.bytes()?, deeper),
        6 => {
            let mut items = Vec::new();
            let mut rest = content.bytes()?;
            while !rest.is_empty() {
                let (1, item) = field(&mut rest)? else {
                    return None;
                };
                items.push(value(item.bytes()?, deeper)?);
            }
            Some(Value::Array(items))
        }
        _ => None,
    }
}

/// JSON has no words for what is no finite number; protobuf's JSON writes these texts.
fn double(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::String("NaN".to_owned()),
        None if number > 0.0 => Value::String("Infinity".to_owned()),
        None => Value::String("-Infinity".to_owned()),
    }
}

fn text(content: Content<'_>) -> Option<String> {
    String::from_utf8(content.bytes()?.to_vec()).ok()
}
