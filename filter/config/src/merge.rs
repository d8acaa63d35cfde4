//! `extends`: a child's keys win, object by object; a list or a value takes the place of the parent's.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::at::{At, at};
use super::error::suggestion;
use super::raw::RawPolicy;

/// Where a share of the requests may be enforced.
const SHARED: [&str; 3] = ["breaker", "bulkhead", "shedding"];
/// How many policies may stand above one another.
const DEPTH_MAX: usize = 16;

/// A policy of these and what it extends, from the child to the root; nothing where one is missing or extends itself.
/// What is wrong in itself is in the tree alone.
pub(super) fn chain<'a>(
    policies: &At<'a, BTreeMap<&'a str, RawPolicy<'a>>>,
    tree: &Map<String, Value>,
    name: &'a str,
) -> Option<Vec<&'a str>> {
    let all = policies.map()?;
    let extends = |name: &str| all.get(name).and_then(|policy| policy.extends);
    let mut chain = vec![name];
    let mut last = name;
    while let Some(parent) = extends(last) {
        let policy = policies.entry(last);
        let at = at!(policy.extends);
        if chain.contains(&parent) {
            let way = chain.join(" -> ");
            at.refuse_as(format_args!("goes in a circle: {way} -> {parent}"));
            return None;
        }
        if chain.len() >= DEPTH_MAX {
            at.refuse_as(format_args!("more than {DEPTH_MAX} policies deep"));
            return None;
        }
        if !tree.contains_key(parent) {
            let known: Vec<&str> = tree.keys().map(String::as_str).collect();
            let near = suggestion(parent, &known);
            at.refuse_as(format_args!("there is no policy \"{parent}\"{near}"));
            return None;
        }
        chain.push(parent);
        last = parent;
    }
    Some(chain)
}

/// The policies of a chain laid over one another, as they are written. All have been checked before, so that an error
/// points to where it was written.
pub(super) fn merged(policies: &Map<String, Value>, chain: &[&str]) -> Value {
    let mut merged = Value::Object(Map::new());
    for value in chain.iter().rev().filter_map(|name| policies.get(*name)) {
        overlay(&mut merged, value, "");
    }
    merged
}

/// The key as it stands there: `on` may have become a truth value in the one and not in the other.
fn spelled<'a>(key: &'a str, under: &Map<String, Value>) -> &'a str {
    match key {
        "on" if under.contains_key("true") => "true",
        "true" if under.contains_key("on") => "on",
        key => key,
    }
}

/// Lays `over` onto `under`. A key without a value takes back what stands there, so that it is as if nobody had said it.
/// A window is a time or a number of calls, so one takes the place of the other; a mode that does not enforce leaves the
/// parent's enforced share behind, wherever one can stand.
fn overlay(under: &mut Value, over: &Value, key: &str) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) if key != "window" => {
            let other_mode = |mode: &&Value| !mode.is_null() && mode.as_str() != Some("enforce");
            if SHARED.contains(&key) && over.get("mode").filter(other_mode).is_some() {
                under.insert("enforce".to_owned(), Value::Null);
            }
            for (key, value) in over {
                let under = under.entry(spelled(key, under)).or_insert(Value::Null);
                overlay(under, value, key);
            }
        }
        (under, over) => *under = over.clone(),
    }
}
