//! One JSON object a line, whatever its keys are; objects in it are gone into, and their keys joined by dots.

use serde_json::{Map, Value};

use super::Reader;
use super::dialect::Dialect;
use super::envoy::proxy_log;
use crate::trace::fields::{Fields, Mapper};
use crate::trace::record::{Found, Left, Line};

/// Objects in objects are gone into so far.
const DEPTH: usize = 4;
/// Keys of one line that are looked at.
const KEYS: usize = 512;

pub(super) struct Json {
    /// One for each dialect that is read.
    mappers: [(Dialect, Mapper); Dialect::READ.len()],
}

impl Json {
    pub(super) fn new(fields: &Fields) -> Self {
        Self {
            mappers: Dialect::READ
                .map(|dialect| (dialect, Mapper::new(&fields.before(dialect.fields())))),
        }
    }

    /// Whether a line is an object, and one that may be of a request.
    pub(super) fn looks(&mut self, line: &str) -> Option<bool> {
        if !line.trim_start().starts_with('{') {
            return None;
        }
        let object = serde_json::from_str(line).ok()?;
        let pairs = pairs(&object);
        Some(self.found(&object, &pairs).is_some())
    }

    /// What an object says; nothing if it is of a proxy's own log.
    fn found<'a>(
        &mut self,
        object: &Map<String, Value>,
        pairs: &'a [(String, String)],
    ) -> Option<Found<'a>> {
        let dialect = Dialect::of(object);
        let mut mappers = self.mappers.iter_mut();
        let (_, mapper) = mappers.find(|(known, _)| *known == dialect)?;
        let pairs = pairs.iter();
        let found = mapper.found(pairs.map(|(key, value)| (key.as_str(), value.as_str())));
        let timed = found.duration.is_some() || found.upstream.is_some() || found.over.is_some();
        let says = object.contains_key("msg") || object.contains_key("message");
        (timed || !says || !object.contains_key("level")).then_some(found)
    }
}

impl Reader for Json {
    fn line(&mut self, text: &str) -> Result<Option<Line>, String> {
        if proxy_log(text) {
            return Ok(Some(Line::Left(Left::ProxyLog)));
        }
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("{error}: expected a JSON object"))?;
        let pairs = pairs(&object);
        let Some(found) = self.found(&object, &pairs) else {
            return Ok(Some(Line::Left(Left::ProxyLog)));
        };
        if found.moment.is_none() {
            return Err(missing("time", "start", &pairs));
        }
        found.line().map(Some)
    }

    fn met(&self, key: &str) -> bool {
        self.mappers.iter().any(|(_, mapper)| mapper.met(key))
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

/// The keys and values of an object and of those in it.
fn pairs(object: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    flatten("", object, 1, &mut pairs);
    pairs
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
            // Caddy's headers are lists.
            Value::Array(items) if items.len() == 1 => {
                let text = items[0].as_str().map(str::to_owned);
                pairs.extend(text.map(|text| (key, text)));
            }
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
}
