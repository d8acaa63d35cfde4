//! What may stand where: the keys of each object and the kind of each value, as tables.
//!
//! Two macros ([`super::tables`]) make a type, its table, its schema and its readers from one list of keys. One function holds
//! a file against the tables; code for each key, by Serde's derive or by traits, is several times as large.
//!
//! YAML 1.1 takes a plain `off` for false and a plain `on` for true. Envoy does so with values, Kubernetes with keys too,
//! before the filter sees them; so false is read as the word `off`, and the key `true` as `on`, where those are known.

use super::error::{Errors, suggestion};
use super::path::Path;
use super::units;
use super::value_kind::{Field, Named, Schema, ValueKind};
use crate::json::{Object, Value};
use crate::text;
use crate::time::parse_duration;

/// Holds a value against a kind.
pub(super) fn check(value: &Value, kind: &ValueKind, path: &Path<'_>, wrong: &Errors) {
    let what = match (kind, value) {
        (ValueKind::Truth, Value::Bool(_)) | (ValueKind::Text, Value::Text(_)) => return,
        (ValueKind::Object(fields), Value::Object(object)) => {
            return members(object, fields, path, wrong);
        }
        (ValueKind::Named(kind), Value::Object(object)) => {
            for (name, value) in object.iter() {
                check(value, kind, &Path::Key(path, name), wrong);
            }
            return;
        }
        (ValueKind::List(kind), Value::List(items)) => {
            for (index, value) in items.iter().enumerate() {
                check(value, kind, &Path::Index(path, index), wrong);
            }
            return;
        }
        (ValueKind::Duration, Value::Text(text)) => {
            if let Err(error) = parse_duration(text) {
                wrong.note(path, format_args!("{error}"));
            }
            return;
        }
        (ValueKind::Word(known), _) => return one_of(value, known, path, wrong),
        (ValueKind::Whole, _) if units::whole(value).is_some() => return,
        (ValueKind::Decimal, _) if units::decimal(value).is_some() => return,
        (ValueKind::Percent, _) if units::percent(value).is_some() => return,
        (ValueKind::Ratio, _) if units::ratio(value).is_some() => return,
        (ValueKind::HttpStatus, _) if units::http_statuses(value).is_some() => return,
        (ValueKind::GrpcStatus, _) if units::grpc_status(value).is_some() => return,
        (ValueKind::AnyGrpcStatus, _) if units::any_grpc_status(value).is_some() => return,
        (ValueKind::Object(fields), _) if is_off(value) => {
            return off(fields, path, wrong);
        }
        (ValueKind::Truth, _) => "true or false",
        (ValueKind::Whole, _) => "a whole number",
        (ValueKind::Decimal, _) => {
            "a number from 0 to 100000 with at most four decimals, such as 2 or 0.1"
        }
        (ValueKind::Percent, _) => {
            "a percentage from 0 to 100 with at most two decimals, such as 50 or \"5%\""
        }
        (ValueKind::Ratio, _) => {
            "a percentage from 0 to 1000 with at most two decimals, such as 20 or \"150%\""
        }
        (ValueKind::Duration, _) => "a duration with its unit, such as \"250ms\", \"5s\" or \"2m\"",
        (ValueKind::HttpStatus, _) => {
            "a status from 100 to 599, or several, such as 503, \"5xx\" or \"520-527\""
        }
        (ValueKind::GrpcStatus, _) => {
            "a gRPC status from 1 to 16, or its name, such as 14 or \"unavailable\""
        }
        (ValueKind::AnyGrpcStatus, _) => {
            "a gRPC status from 0 to 16, or its name, such as 0, \"ok\" or \"unavailable\""
        }
        (ValueKind::Text, _) => "text",
        (ValueKind::List(_), _) => "a list",
        (ValueKind::Named(_) | ValueKind::Object(_), _) => "an object",
    };
    expected(what, value, path, wrong);
}

fn is_off(value: &Value) -> bool {
    matches!(value, Value::Bool(false)) || value.text() == Some("off")
}

/// Where an object stands, `off` is no word: says what switches off what can be.
fn off(fields: &[Field], path: &Path<'_>, wrong: &Errors) {
    let has_off = |field: &Field| matches!(field.kind, ValueKind::Word(words) if field.key == "mode" && words.contains(&"off"));
    let known: Vec<&str> = fields.iter().map(|field| field.key).collect();
    let instead = match fields.iter().any(has_off) {
        true => "write {mode: off}",
        false => "leave it out",
    };
    let known = text::join(&known, ", ");
    wrong.note(
        path,
        format_args!("expected an object, got off; {instead}, or write an object with {known}"),
    );
}

/// A key without a value is as if it were not there.
fn members(object: &Object, fields: &[Field], path: &Path<'_>, wrong: &Errors) {
    for (key, _) in object.iter() {
        let is = |word: &str| fields.iter().any(|field| field.key == word);
        let is_known = is(key) || key == "true" && is("on") && object.get("on").is_none();
        if !is_known {
            let known: Vec<&str> = fields.iter().map(|field| field.key).collect();
            let (near, known) = (suggestion(key, &known), text::join(&known, ", "));
            let problem = format_args!("unknown key{near}; known: {known}");
            wrong.note(&Path::Key(path, key), problem);
        }
    }
    for Field { key, kind } in fields {
        if let Some(value) = member(object, key) {
            check(value, kind, &Path::Key(path, key), wrong);
        }
    }
}

/// What stands under a key.
#[inline(never)]
pub(super) fn member<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    let found = object.get(key);
    let found = found.or_else(|| object.get("true").filter(|_| key == "on"));
    found.filter(|value| **value != Value::Null)
}

/// A place in a list of words.
#[inline(never)]
pub(super) fn word(value: &Value, known: &[&str]) -> Option<usize> {
    let written = written(value, known)?;
    known.iter().position(|word| *word == written)
}

fn written<'a>(value: &'a Value, known: &[&str]) -> Option<&'a str> {
    match value {
        Value::Bool(false) if known.contains(&"off") => Some("off"),
        other => other.text(),
    }
}

fn one_of(value: &Value, known: &[&str], path: &Path<'_>, wrong: &Errors) {
    if word(value, known).is_some() {
        return;
    }
    let list = text::join(known, ", ");
    match written(value, known) {
        Some(text) => {
            let near = suggestion(text, known);
            let problem = format_args!("unknown value \"{text}\"{near}; known: {list}");
            wrong.note(path, problem);
        }
        None => expected(&format!("one of {list}"), value, path, wrong),
    }
}

fn expected(what: &str, value: &Value, path: &Path<'_>, wrong: &Errors) {
    let got = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::Text(text) => {
            return wrong.note(path, format_args!("expected {what}, got \"{text}\""));
        }
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    };
    wrong.note(path, format_args!("expected {what}, got {got}"));
}

impl Schema for bool {
    const KIND: ValueKind = ValueKind::Truth;
}

impl Schema for u32 {
    const KIND: ValueKind = ValueKind::Whole;
}

impl Schema for String {
    const KIND: ValueKind = ValueKind::Text;
}

impl<T: Schema> Schema for Vec<T> {
    const KIND: ValueKind = ValueKind::List(&T::KIND);
}

impl<T: Schema> Schema for Named<T> {
    const KIND: ValueKind = ValueKind::Named(&T::KIND);
}
