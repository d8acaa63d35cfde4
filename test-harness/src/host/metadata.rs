//! Structured values as properties: every part of a tree under its path, in the bytes that Envoy hands over for it.

use serde_json::{Number, Value};

use crate::abi::stream::serialise;
use crate::process::Properties;

/// A number's bytes in metadata, which knows floating ones alone.
fn floating(number: &Number) -> Vec<u8> {
    number.as_f64().unwrap_or(0.0).to_le_bytes().to_vec()
}

/// A number's bytes as an attribute has it: whole ones are integers.
fn whole(number: &Number) -> Vec<u8> {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => number.to_le_bytes().to_vec(),
        (None, Some(number)) => number.to_le_bytes().to_vec(),
        (None, None) => floating(number),
    }
}

/// A value's bytes: text as it is, numbers in eight bytes, maps and lists as pairs.
fn bytes(value: &Value, numbers: fn(&Number) -> Vec<u8>) -> Vec<u8> {
    let bytes = |value| bytes(value, numbers);
    match value {
        Value::Null => Vec::new(),
        Value::Bool(value) => vec![u8::from(*value)],
        Value::Number(number) => numbers(number),
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(all) => {
            let pairs = all.iter().map(|value| (bytes(value), Vec::new()));
            serialise(&pairs.collect())
        }
        Value::Object(all) => {
            let pairs = all
                .iter()
                .map(|(key, value)| (key.clone().into_bytes(), bytes(value)));
            serialise(&pairs.collect())
        }
    }
}

/// Puts a tree of metadata under a path, each part of it under its own.
pub(crate) fn spread(path: &str, value: &Value, into: &mut Properties) {
    each(path, value, into, floating);
}

/// The same for attributes, whose whole numbers are integers.
pub(crate) fn attributes(path: &str, value: &Value, into: &mut Properties) {
    each(path, value, into, whole);
}

fn each(path: &str, value: &Value, into: &mut Properties, numbers: fn(&Number) -> Vec<u8>) {
    if value.is_null() {
        return;
    }
    if let Value::Object(all) = value {
        for (key, value) in all {
            each(&format!("{path}\0{key}"), value, into, numbers);
        }
    }
    into.insert(path.to_owned(), bytes(value, numbers));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_stands_under_its_path() {
        let mut all = Properties::new();
        let tree = serde_json::json!({"filter_metadata": {"a.b": {"text": "t", "on": true, "share": 0.5}}});
        spread("xds\0route_metadata", &tree, &mut all);
        let at = |rest: &str| all.get(&format!("xds\0route_metadata\0filter_metadata\0a.b{rest}"));
        assert_eq!(at("\0text"), Some(&b"t".to_vec()));
        assert_eq!(at("\0on"), Some(&vec![1]));
        assert_eq!(at("\0share"), Some(&0.5_f64.to_le_bytes().to_vec()));
        let whole = at("").map(|bytes| crate::abi::stream::deserialise(bytes));
        assert_eq!(whole.flatten().map(|pairs| pairs.len()), Some(3));
    }
}
