//! `extends`: a child's keys win, object by object; a list or a value takes the place of the parent's.

use super::cursor::Cursor;
use super::error::suggestion;
use super::raw::RawPolicy;
use super::value_kind::Named;
use crate::json::{Object, Value};
use crate::text;

/// Where a share of the requests may be enforced.
const SHARED: [&str; 3] = ["breaker", "bulkhead", "shedding"];
/// How many policies may stand above one another.
const DEPTH_MAX: usize = 16;

/// A policy of these with what it extends. All have been checked before, so that an error points to where it was written.
pub(super) fn inherited(policies: &Cursor<'_, Named<RawPolicy>>, name: &str) -> Value {
    let mut chain = vec![name];
    let mut values: Vec<&Value> = policies.named(name).into_iter().collect();
    while let Some(parent) = values.last().and_then(|value| extends(value)) {
        let policy = policies.child::<RawPolicy>(chain.last().copied().unwrap_or(name));
        let at = policy.extends();
        if chain.contains(&parent) {
            let way = text::join(&chain, " -> ");
            at.refuse_as(format_args!("goes in a circle: {way} -> {parent}"));
            break;
        }
        if chain.len() >= DEPTH_MAX {
            at.refuse_as(format_args!("more than {DEPTH_MAX} policies deep"));
            break;
        }
        let Some(value) = policies.named(parent) else {
            let known: Vec<&str> = policies.names().collect();
            let near = suggestion(parent, &known);
            at.refuse_as(format_args!("there is no policy \"{parent}\"{near}"));
            break;
        };
        chain.push(parent);
        values.push(value);
    }
    let mut merged = Value::Object(Object::default());
    for value in values.into_iter().rev() {
        overlay(&mut merged, value, "");
    }
    merged
}

fn extends(policy: &Value) -> Option<&str> {
    policy.object()?.get("extends")?.text()
}

/// The key as it stands there: `on` may have become a truth value in the one and not in the other.
fn spelled<'a>(key: &'a str, under: &Object) -> &'a str {
    match key {
        "on" if under.get("true").is_some() => "true",
        "true" if under.get("on").is_some() => "on",
        key => key,
    }
}

/// Lays `over` onto `under`. A key without a value takes back what stands there, so that it is as if nobody had said it. A window is a time or a number of calls, so one takes the place of the other; a mode that
/// does not enforce leaves the parent's enforced share behind, wherever one can stand.
fn overlay(under: &mut Value, over: &Value, key: &str) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) if key != "window" => {
            let other_mode =
                |mode: &&Value| **mode != Value::Null && mode.text() != Some("enforce");
            if SHARED.contains(&key)
                && over.get("mode").filter(other_mode).is_some()
                && let Some(share) = under.entry("enforce".to_owned())
            {
                *share = Value::Null;
            }
            for (key, value) in over.iter() {
                if let Some(under) = under.entry(spelled(key, under).to_owned()) {
                    overlay(under, value, key);
                }
            }
        }
        (under, over) => *under = over.clone(),
    }
}
