//! YAML as Envoy reads it, which is not as all others do: it knows no merge keys (`<<`), `010` is eight, and `08`, `1_0`,
//! `0o12`, `1e1` and every fraction are texts. What the filter gets is what Envoy read, so that is what is judged.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A place in a document that Envoy reads otherwise, and what it reads; `None` is a merge key.
type Other = (Vec<Step>, Option<Value>);

/// Puts what Envoy reads into documents that were read by others.
pub(super) fn apply(text: &str, documents: &mut [Value]) {
    if !documents.iter().any(is_envoys) || is_json(text) {
        return;
    }
    let others = others(text);
    // Both leave out documents in which there is nothing.
    if others.len() != documents.len() {
        return;
    }
    for (document, others) in documents.iter_mut().zip(others) {
        if !is_envoys(document) {
            continue;
        }
        for (path, other) in others {
            put(document, &path, other);
        }
    }
}

/// Whether a document is for Envoy. Kubernetes' resources are read by another reader, and so is what Envoy says itself.
fn is_envoys(document: &Value) -> bool {
    const OTHERS: [&str; 4] = ["kind", "policies", "version", "configs"];
    document.is_array() || OTHERS.iter().all(|key| document.get(key).is_none())
}

/// Envoy reads JSON as JSON.
fn is_json(text: &str) -> bool {
    let starts = text.trim_start().starts_with(['{', '[']);
    starts && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// What Envoy reads in place of a plain scalar; `None` if it is what others read.
fn envoys(plain: &str) -> Option<Value> {
    let first = plain.bytes().next()?;
    if !first.is_ascii_digit() && !b"+-.".contains(&first) {
        return None;
    }
    let digits = plain.strip_prefix('-').unwrap_or(plain);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain && (digits == "0" || !digits.starts_with('0')) {
        return None;
    }
    let whole = whole(plain).and_then(|whole| i32::try_from(whole).ok());
    Some(whole.map_or_else(|| Value::from(plain), Value::from))
}

/// An integer as C has it: octal after a 0, hexadecimal after 0x.
fn whole(plain: &str) -> Option<i64> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let (digits, radix) = match unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if unsigned.starts_with('0') => (unsigned, 8),
        None => (unsigned, 10),
    };
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if plain.starts_with('-') {
        -value
    } else {
        value
    })
}

fn put(document: &mut Value, path: &[Step], other: Option<Value>) {
    let mut at = document;
    for step in path {
        let inner = match step {
            Step::Key(key) => at.get_mut(key),
            Step::Index(index) => at.get_mut(index),
        };
        match inner {
            Some(inner) => at = inner,
            None => return,
        }
    }
    match (other, at) {
        (Some(other), at) if !at.is_object() && !at.is_array() => *at = other,
        (None, Value::Object(map)) => {
            map.insert("<<".to_owned(), Value::Object(Map::new()));
        }
        _ => {}
    }
}

/// For each document in which there is something, what Envoy reads otherwise.
fn others(text: &str) -> Vec<Vec<Other>> {
    let mut reading = Reading::default();
    let mut all = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, _)) = event else {
            return Vec::new();
        };
        match event {
            Event::DocumentStart(..) => reading = Reading::default(),
            Event::DocumentEnd if !reading.is_empty => all.push(std::mem::take(&mut reading.found)),
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                reading.scalar(&text, is_plain, anchor);
            }
            Event::SequenceStart(_, anchor, _) => reading.start(Frame::List(0), anchor),
            Event::MappingStart(_, anchor, _) => reading.start(Frame::Map(None), anchor),
            Event::SequenceEnd | Event::MappingEnd => reading.end(),
            Event::Alias(anchor) => reading.alias(anchor),
            _ => {}
        }
    }
    all
}

/// What stands around a place.
enum Frame {
    /// A list, with the number of the next item.
    List(usize),
    /// A map, with the key whose value comes next.
    Map(Option<String>),
}

struct Reading {
    frames: Vec<Frame>,
    found: Vec<Other>,
    anchors: HashMap<usize, Vec<Step>>,
    is_empty: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            found: Vec::new(),
            anchors: HashMap::new(),
            is_empty: true,
        }
    }
}

impl Reading {
    fn path(&self) -> Vec<Step> {
        let steps = self.frames.iter().filter_map(|frame| match frame {
            Frame::List(index) => Some(Step::Index(*index)),
            Frame::Map(key) => key.clone().map(Step::Key),
        });
        steps.collect()
    }

    /// Whether a key comes next.
    fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map(None)))
    }

    fn start(&mut self, frame: Frame, anchor: usize) {
        self.is_empty = false;
        self.anchor(anchor);
        self.frames.push(frame);
    }

    fn end(&mut self) {
        self.frames.pop();
        self.step();
    }

    /// After a value, or after a key that is none of a JSON object.
    fn step(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::List(index)) => *index += 1,
            Some(Frame::Map(key)) => {
                *key = match key {
                    Some(_) => None,
                    None => Some(String::new()),
                };
            }
            None => {}
        }
    }

    fn anchor(&mut self, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, self.path());
        }
    }

    fn scalar(&mut self, text: &str, is_plain: bool, anchor: usize) {
        if self.wants_key() {
            if is_plain && text == "<<" {
                self.found.push((self.path(), None));
            }
            if let Some(Frame::Map(key)) = self.frames.last_mut() {
                *key = Some(text.to_owned());
            }
            return;
        }
        let is_null = is_plain && ["", "~", "null", "Null", "NULL"].contains(&text);
        self.is_empty &= is_null && self.frames.is_empty();
        self.anchor(anchor);
        if let Some(other) = envoys(text).filter(|_| is_plain) {
            self.found.push((self.path(), Some(other)));
        }
        self.step();
    }

    /// What stands elsewhere once more.
    fn alias(&mut self, anchor: usize) {
        if let Some(from) = self.anchors.get(&anchor) {
            let here = self.path();
            let within = self.found.iter().filter_map(|(path, other)| {
                let rest = path.strip_prefix(from.as_slice())?;
                Some(([&here, rest].concat(), other.clone()))
            });
            let again: Vec<Other> = within.collect();
            self.found.extend(again);
        }
        self.step();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        let mut documents = super::super::read::parse(text).unwrap();
        documents.remove(0)
    }

    #[test]
    fn numbers_are_read_as_envoy_reads_them() {
        for (plain, value) in [
            ("0", json!(0)),
            ("10", json!(10)),
            ("-10", json!(-10)),
            ("+5", json!(5)),
            ("010", json!(8)),
            ("-010", json!(-8)),
            ("08", json!("08")),
            ("0x14", json!(20)),
            ("0o12", json!("0o12")),
            ("1_0", json!("1_0")),
            ("1e1", json!("1e1")),
            ("0.5", json!("0.5")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("2s", json!("2s")),
            ("'010'", json!("010")),
        ] {
            let text = format!("admin: {{a: [{plain}]}}\n");
            assert_eq!(read(&text)["admin"]["a"][0], value, "{plain}");
            let kubernetes = format!("kind: A\nadmin: {{a: {plain}}}\n");
            let same = read(&kubernetes)["admin"]["a"] == value;
            let otherwise = ["010", "-010", "08", "0o12", "1_0", "1e1", "0.5"];
            assert!(same || otherwise.contains(&plain), "{plain}");
        }
    }

    #[test]
    fn an_alias_has_what_its_anchor_has_and_a_merge_key_is_a_key() {
        let text = "---\n~\n---\na: &a {b: [1, 08], c: &c 1e1}\nd: {e: *a}\nf: *c\n? [x]\n: 08\n";
        // A key that is a list is refused by others, and here it moves no path.
        let all = others(text);
        let paths: Vec<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(paths, [6]);
        let read = read("a: &a {b: [1, 08], c: &c 1e1}\nd: {e: *a}\nf: *c\ng: {<<: *a, h: 1}\n");
        assert_eq!(read["d"]["e"], json!({"b": [1, "08"], "c": "1e1"}));
        assert_eq!(read["f"], json!("1e1"));
        assert_eq!(read["g"]["<<"], json!({}));
    }
}
