//! A part of CEL, for the foreign functions `expr_create`, `expr_evaluate` and `expr_delete`.
//!
//! Known: literals, properties with `.` and `["..."]`, `! - + * / %`, comparisons, `in` a list, `&& || ?:`, and the methods
//! `size startsWith endsWith contains`. Not known, and refused when the expression is made: macros, maps, bytes, other
//! functions. An error while it is evaluated is an internal failure, as in Envoy.

use super::Guest;
use super::memory::Answer;
use super::properties::lookup;
use super::status::{BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND};

mod parse;

pub(crate) use parse::Node;

/// Properties that are numbers; all others are text, but for the one that is a truth.
const NUMBERS: [&str; 14] = [
    "size",
    "total_size",
    "time",
    "duration",
    "code",
    "flags",
    "grpc_status",
    "port",
    "id",
    "listener_direction",
    "connection_id",
    "request_attempt_count",
    "upstream_connection_id",
    "backend_latency",
];

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => vec![u8::from(*value)],
            Self::Int(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Text(text) => text.clone(),
            Self::List(_) => Vec::new(),
        }
    }
}

/// Makes an expression; its number.
pub(super) fn create(guest: &mut Guest, text: &[u8]) -> Answer<Vec<u8>> {
    let text = std::str::from_utf8(text).map_err(|_| BAD_ARGUMENT)?;
    let node = parse::parse(text).ok_or(BAD_ARGUMENT)?;
    let root = guest.root_of(guest.running);
    let (next, known) = guest.expressions.entry(root).or_default();
    let token = *next;
    *next += 1;
    known.insert(token, node);
    Ok(token.to_le_bytes().to_vec())
}

fn token(argument: &[u8]) -> Answer<u32> {
    let bytes = argument.try_into().map_err(|_| BAD_ARGUMENT)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Evaluates an expression on the stream whose callback runs.
pub(super) fn evaluate(guest: &mut Guest, argument: &[u8]) -> Answer<Vec<u8>> {
    let token = token(argument)?;
    let root = guest.root_of(guest.running);
    let node = guest
        .expressions
        .get(&root)
        .and_then(|(_, known)| known.get(&token));
    let value = value(guest, node.ok_or(NOT_FOUND)?);
    value.map(|value| value.bytes()).ok_or(INTERNAL_FAILURE)
}

/// Forgets an expression.
pub(super) fn delete(guest: &mut Guest, argument: &[u8]) -> Answer<Vec<u8>> {
    let token = token(argument)?;
    let root = guest.root_of(guest.running);
    if let Some((_, known)) = guest.expressions.get_mut(&root) {
        known.remove(&token);
    }
    Ok(Vec::new())
}

fn property(guest: &Guest, path: &[String]) -> Option<Value> {
    let bytes = lookup(guest, &path.join("\0")).ok()?;
    let last = path.last()?.as_str();
    let is_id = last == "id" && path.first()? != "connection";
    if last == "mtls" {
        return Some(Value::Bool(bytes.first() == Some(&1)));
    }
    match <[u8; 8]>::try_from(bytes.as_slice()) {
        Ok(number) if NUMBERS.contains(&last) && !is_id && path.len() <= 2 => {
            Some(Value::Int(i64::from_le_bytes(number)))
        }
        _ => Some(Value::Text(bytes)),
    }
}

fn truth(guest: &Guest, node: &Node) -> Option<bool> {
    match value(guest, node)? {
        Value::Bool(value) => Some(value),
        _ => None,
    }
}

fn value(guest: &Guest, node: &Node) -> Option<Value> {
    match node {
        Node::Literal(value) => Some(value.clone()),
        Node::Property(path) => property(guest, path),
        Node::List(nodes) => {
            let values = nodes.iter().map(|node| value(guest, node));
            Some(Value::List(values.collect::<Option<_>>()?))
        }
        Node::Not(node) => Some(Value::Bool(!truth(guest, node)?)),
        Node::Negative(node) => match value(guest, node)? {
            Value::Int(number) => Some(Value::Int(number.checked_neg()?)),
            Value::Double(number) => Some(Value::Double(-number)),
            _ => None,
        },
        Node::Choice(condition, yes, no) => {
            let chosen = if truth(guest, condition)? { yes } else { no };
            value(guest, chosen)
        }
        // One side decides even if the other is an error, as CEL has it.
        Node::Binary("&&", left, right) => match (truth(guest, left), truth(guest, right)) {
            (Some(false), _) | (_, Some(false)) => Some(Value::Bool(false)),
            (left, right) => Some(Value::Bool(left? && right?)),
        },
        Node::Binary("||", left, right) => match (truth(guest, left), truth(guest, right)) {
            (Some(true), _) | (_, Some(true)) => Some(Value::Bool(true)),
            (left, right) => Some(Value::Bool(left? || right?)),
        },
        Node::Binary(operator, left, right) => {
            binary(operator, &value(guest, left)?, &value(guest, right)?)
        }
        Node::Method(name, this, argument) => {
            let argument = argument.as_ref().map(|node| value(guest, node));
            method(name, &value(guest, this)?, argument)
        }
    }
}

fn method(name: &str, this: &Value, argument: Option<Option<Value>>) -> Option<Value> {
    let size = |length: usize| i64::try_from(length).ok().map(Value::Int);
    match (name, this, argument) {
        ("size", Value::Text(text), None) => size(String::from_utf8_lossy(text).chars().count()),
        ("size", Value::List(list), None) => size(list.len()),
        (name, Value::Text(text), Some(Some(Value::Text(part)))) => Some(Value::Bool(match name {
            "startsWith" => text.starts_with(&part),
            "endsWith" => text.ends_with(&part),
            "contains" => part.is_empty() || text.windows(part.len()).any(|window| window == part),
            _ => return None,
        })),
        _ => None,
    }
}

fn binary(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    use Value::{Bool, Double, Int, List, Text};
    match (operator, left, right) {
        ("==", left, right) => Some(Bool(left == right)),
        ("!=", left, right) => Some(Bool(left != right)),
        ("in", left, List(list)) => Some(Bool(list.contains(left))),
        ("+", Int(a), Int(b)) => a.checked_add(*b).map(Int),
        ("-", Int(a), Int(b)) => a.checked_sub(*b).map(Int),
        ("*", Int(a), Int(b)) => a.checked_mul(*b).map(Int),
        ("/", Int(a), Int(b)) => a.checked_div(*b).map(Int),
        ("%", Int(a), Int(b)) => a.checked_rem(*b).map(Int),
        ("+", Double(a), Double(b)) => Some(Double(a + b)),
        ("-", Double(a), Double(b)) => Some(Double(a - b)),
        ("*", Double(a), Double(b)) => Some(Double(a * b)),
        ("/", Double(a), Double(b)) => Some(Double(a / b)),
        ("+", Text(a), Text(b)) => Some(Text([a.as_slice(), b].concat())),
        (operator, left, right) => {
            let order = match (left, right) {
                (Int(a), Int(b)) => a.cmp(b),
                (Double(a), Double(b)) => a.partial_cmp(b)?,
                (Text(a), Text(b)) => a.cmp(b),
                _ => return None,
            };
            Some(Bool(match operator {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                _ => return None,
            }))
        }
    }
}
