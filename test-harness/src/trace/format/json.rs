//! One JSON object a line, whatever its keys are; objects in it are gone into, and their keys joined by dots.

use serde_json::{Map, Value};

use super::Reader;
use super::envoy::proxy_log;
use crate::trace::fields::{Fields, Mapper};
use crate::trace::record::{Left, Line};

/// Objects in objects are gone into so far.
const DEPTH: usize = 4;
/// Keys of one line that are looked at.
const KEYS: usize = 512;

pub(super) struct Json {
    mapper: Mapper,
}

impl Json {
    pub(super) fn new(fields: &Fields) -> Self {
        Self {
            mapper: Mapper::new(fields),
        }
    }
}

/// Whether a line is an object.
pub(super) fn looks(line: &str) -> bool {
    line.trim_start().starts_with('{') && serde_json::from_str::<Map<String, Value>>(line).is_ok()
}

impl Reader for Json {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        if proxy_log(text) {
            return Ok(Some(Line::Left(Left::ProxyLog)));
        }
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("{error}: expected a JSON object"))?;
        let mut pairs = Vec::new();
        flatten("", &object, 1, &mut pairs);
        let found = self.mapper.found(
            pairs
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        let timed = found.duration.is_some() || found.upstream.is_some();
        if !timed
            && object.contains_key("level")
            && (object.contains_key("msg") || object.contains_key("message"))
        {
            return Ok(Some(Line::Left(Left::ProxyLog)));
        }
        if found.moment.is_none() {
            return Err(missing("time", "start", &pairs));
        }
        found.line().map(Some)
    }
}

/// What is said where no key is known to say it.
pub(super) fn missing<K: AsRef<str>, V>(what: &str, field: &str, pairs: &[(K, V)]) -> String {
    const SHOWN: usize = 12;
    let keys: Vec<&str> = pairs
        .iter()
        .take(SHOWN)
        .map(|(key, _)| key.as_ref())
        .collect();
    let keys = keys.join(", ");
    format!(
        "no {what} is found among {}: name it with --fields {field}=KEY",
        super::super::record::short(&keys)
    )
}

fn flatten(
    before: &str,
    object: &Map<String, Value>,
    depth: usize,
    pairs: &mut Vec<(String, String)>,
) {
    for (key, value) in object {
        if pairs.len() >= KEYS {
            return;
        }
        let key = match before {
            "" => key.clone(),
            before => format!("{before}.{key}"),
        };
        match value {
            Value::String(text) => pairs.push((key, text.clone())),
            Value::Number(number) => pairs.push((key, number.to_string())),
            Value::Object(inner) if depth < DEPTH => flatten(&key, inner, depth + 1, pairs),
            Value::Null => pairs.push((key, String::new())),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
}
