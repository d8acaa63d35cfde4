//! Whether Envoy's messages have the shape that Envoy's definitions give them: keys, words, lengths of time. Envoy refuses a
//! whole file for one key that it does not know, and what stands under such a key was read by nobody.

use serde_json::{Map, Value};

use seawall_policy::time::parse_duration;

use super::fields::{self, Field, Kind, VERSION};
use super::read::has_template;
use super::spelling::FREE;
use super::{Findings, joined, text};

/// The message of this name that stands at a place, and all that is known within it. Each item of a list is one.
pub(super) fn message(findings: &mut Findings, at: &str, value: &Value, name: &str) {
    let Some(known) = fields::of(name) else {
        return any(findings, at, value);
    };
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter().filter(|(key, _)| *key != "@type") {
                let path = joined(at, key);
                match (fields::named(known, key), inner) {
                    (None, _) => {
                        let short = name.rsplit('.').next().unwrap_or(name);
                        let names: Vec<&str> = known.iter().map(|field| field.name).collect();
                        unknown(findings, &path, map, key, &names, &whose(short));
                    }
                    (Some(field), Value::Object(entries)) if field.is_map => {
                        for (key, inner) in entries {
                            one(findings, &joined(&path, key), inner, field);
                        }
                    }
                    (Some(field), _) => one(findings, &path, inner, field),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                message(findings, &format!("{at}[{index}]"), item, name);
            }
        }
        Value::Null => {}
        other => wrong(findings, at, other, "Envoy expects an object here"),
    }
}

fn whose(short: &str) -> String {
    format!("a {short} of Envoy {VERSION}")
}

/// A key that is not known. One that is nearly another is a slip; another may be one of a later version.
pub(super) fn unknown(
    findings: &mut Findings,
    path: &str,
    map: &Map<String, Value>,
    key: &str,
    known: &[&str],
    whose: &str,
) {
    match near(key, known).filter(|near| !map.contains_key(*near)) {
        Some(near) => {
            let problem = format!("{whose} has no such key: did you mean \"{near}\"?");
            findings.error(path, problem);
        }
        None => {
            let problem = format!("{whose} has no such key: what stands there is not judged");
            findings.unread(path, problem);
        }
    }
}

/// The known word from which this one differs by two letters at most.
pub(super) fn near<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = word.to_ascii_lowercase();
    let distance = |known: &str| strsim::osa_distance(&lower, &known.to_ascii_lowercase());
    let each = known.iter().map(|known| (distance(known), *known));
    let (distance, found) = each.min()?;
    (distance <= 2 && distance.saturating_mul(3) <= found.len()).then_some(found)
}

fn one(findings: &mut Findings, at: &str, value: &Value, field: Field) {
    match field.kind {
        Kind::Message(name) => message(findings, at, value, name),
        Kind::Duration => duration(findings, at, value),
        Kind::Word(words) => word(findings, at, value, words),
        Kind::Any if FREE.contains(&field.name) => {}
        Kind::Any => any(findings, at, value),
    }
}

/// Something of a kind that is not known, within which messages may stand that are.
pub(super) fn any(findings: &mut Findings, at: &str, value: &Value) {
    match value {
        Value::Object(map) => {
            let kind = text(value, "/@type");
            if kind.ends_with("TypedStruct") {
                let name = last(text(value, "/type_url"));
                return message(findings, &joined(at, "value"), &value["value"], name);
            }
            if fields::of(last(kind)).is_some() {
                return message(findings, at, value, last(kind));
            }
            let inner = map.iter().filter(|(key, _)| !FREE.contains(&key.as_str()));
            for (key, inner) in inner {
                any(findings, &joined(at, key), inner);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                any(findings, &format!("{at}[{index}]"), item);
            }
        }
        _ => {}
    }
}

/// The name of a message, from the address of its type.
fn last(kind: &str) -> &str {
    kind.rsplit('/').next().unwrap_or(kind)
}

/// In protobuf's JSON a length of time is a text of seconds. Envoy takes its message too.
fn duration(findings: &mut Findings, at: &str, value: &Value) {
    let said = match value {
        Value::String(text) if is_duration(text) => return,
        Value::String(text) => text.clone(),
        Value::Number(number) => format!("{number}s"),
        Value::Object(_) | Value::Null => return,
        _ => String::new(),
    };
    // A number without a unit is meant as seconds.
    let read = parse_duration(&said).or_else(|_| parse_duration(&format!("{said}s")));
    let example = read.map_or_else(|_| "2.5s".to_owned(), |span| seconds(span.as_nanos()));
    let problem =
        format!("Envoy takes a length of time in seconds alone, as a text: \"{example}\"");
    wrong(findings, at, value, &problem);
}

fn is_duration(text: &str) -> bool {
    let Some(number) = text.strip_suffix('s') else {
        return false;
    };
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(rest) && rest.len() <= 9
}

fn seconds(nanos: u64) -> String {
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let rest = format!(".{rest:09}");
    format!(
        "{whole}{}s",
        rest.trim_end_matches('0').trim_end_matches('.')
    )
}

/// A word, or its number.
fn word(findings: &mut Findings, at: &str, value: &Value, known: &[&str]) {
    let Value::String(text) = value else {
        return;
    };
    if known.contains(&text.as_str()) || text.parse::<i32>().is_ok() {
        return;
    }
    let near = near(text, known).map_or_else(String::new, |near| format!(", did you mean {near}?"));
    let problem = format!("Envoy knows {}{near}", known.join(", "));
    wrong(findings, at, value, &problem);
}

/// What is wrong as it stands, unless it is to be filled in.
fn wrong(findings: &mut Findings, at: &str, value: &Value, problem: &str) {
    if value.as_str().is_some_and(has_template) {
        findings.unread(at, "is a template: check what is rendered from it");
    } else {
        findings.error(at, format!("{value}: {problem}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_as_envoy_takes_it() {
        for (given, instead) in [
            ("2000ms", "2s"),
            ("1m", "60s"),
            ("1500us", "0.0015s"),
            ("abc", "2.5s"),
            ("2", "2s"),
            ("s", "2.5s"),
        ] {
            let mut findings = Findings::default();
            duration(&mut findings, "a", &Value::String(given.to_owned()));
            let [found] = findings.errors.as_slice() else {
                panic!("{given}: {findings:?}");
            };
            assert!(
                found.problem.ends_with(&format!("\"{instead}\"")),
                "{found:?}"
            );
        }
        for right in ["0s", "2s", "0.25s", "-1s", "3600.000000001s"] {
            let mut findings = Findings::default();
            duration(&mut findings, "a", &Value::String(right.to_owned()));
            assert_eq!(findings, Findings::default(), "{right}");
        }
    }
}
