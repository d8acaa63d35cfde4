//! Protobuf's JSON takes a field's name in two spellings, `http_filters` and `httpFilters`. Here the second becomes the
//! first, once, where Envoy's messages begin; everything behind this knows one spelling.
//!
//! The keys of maps and of free structs are no fields: Seawall's own configuration and a route's metadata stay as they are.

use serde_json::{Map, Value};

use super::{Findings, joined};

/// Fields that hold a free struct, or a map to such: nothing in them is a field of a message.
pub(super) const FREE: [&str; 5] = [
    "configuration",
    "filter_metadata",
    "json_format",
    "labels",
    "static_layer",
];
/// Fields that hold a map from free keys to messages.
const MAPS: [&str; 4] = [
    "per_filter_config",
    "typed_extension_protocol_options",
    "typed_filter_metadata",
    "typed_per_filter_config",
];

/// A message with all of its fields in the spelling of its definition.
pub(super) fn message(findings: &mut Findings, at: &str, value: Value) -> Value {
    match value {
        Value::Object(map) if is_struct(&map) => Value::Object(map),
        Value::Object(map) => Value::Object(fields(findings, at, map)),
        Value::Array(items) => {
            let items = items.into_iter().enumerate();
            let each =
                items.map(|(index, inner)| message(findings, &format!("{at}[{index}]"), inner));
            Value::Array(each.collect())
        }
        other => other,
    }
}

fn fields(findings: &mut Findings, at: &str, map: Map<String, Value>) -> Map<String, Value> {
    let mut spelt = Map::new();
    // Null is protobuf's way to say nothing.
    for (key, inner) in map.into_iter().filter(|(_, inner)| !inner.is_null()) {
        let name = field(&key).unwrap_or_else(|| key.clone());
        let path = joined(at, &name);
        let inner = match name.as_str() {
            name if FREE.contains(&name) => inner,
            name if MAPS.contains(&name) => free_keys(findings, &path, inner),
            _ => message(findings, &path, inner),
        };
        if spelt.insert(name.clone(), inner).is_some() {
            let problem =
                format!("stands twice, as {name} and in camel case: protobuf refuses that");
            findings.error(&path, problem);
        }
    }
    spelt
}

fn free_keys(findings: &mut Findings, at: &str, value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let each = map.into_iter().map(|(key, inner)| {
                let inner = message(findings, &joined(at, &key), inner);
                (key, inner)
            });
            Value::Object(each.collect())
        }
        other => other,
    }
}

fn is_struct(map: &Map<String, Value>) -> bool {
    let kind = map.get("@type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("google.protobuf.Struct"))
}

/// `http_filters` for `httpFilters`; nothing for what is no name in camel case.
fn field(key: &str) -> Option<String> {
    let is_camel = key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && key.bytes().any(|byte| byte.is_ascii_uppercase());
    is_camel.then(|| {
        let mut name = String::with_capacity(key.len() + 4);
        for letter in key.chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    })
}
