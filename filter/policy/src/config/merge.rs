//! `extends`: a child's keys win, object by object; a list or a value takes the place of the parent's.

use super::error::{Error, suggestion};
use super::raw::RawPolicy;
use super::read::{Path, Read};
use crate::json::{Object, Value};

/// Where a share of the requests may be enforced.
const SHARED: [&str; 3] = ["breaker", "bulkhead", "shedding"];
/// How many policies may stand above one another.
const DEPTH_MAX: usize = 16;

/// The policies, each with what it extends. They must have been read on their own before, so that an error points to
/// where it was written.
pub(super) fn resolve(policies: &Object) -> Result<Vec<(String, RawPolicy)>, Error> {
    let root = Path::Root.key("policies");
    let mut resolved = Vec::new();
    for (name, own) in policies.iter() {
        let whole = inherited(policies, name, own)?;
        let mut read = None;
        RawPolicy::read(&mut read, &whole, &root.key(name))?;
        resolved.extend(read.map(|read| (name.to_owned(), read)));
    }
    Ok(resolved)
}

fn inherited(policies: &Object, name: &str, own: &Value) -> Result<Value, Error> {
    let mut chain = vec![name];
    let mut values = vec![own];
    let mut current = own;
    while let Some(parent) = extends(current) {
        let path = Path::Root.key("policies");
        let path = path.key(chain.last().copied().unwrap_or(name));
        let path = path.key("extends");
        if chain.contains(&parent) {
            let way = chain.join(" -> ");
            return Err(path.error(format_args!("goes in a circle: {way} -> {parent}")));
        }
        if chain.len() >= DEPTH_MAX {
            return Err(path.error(format_args!("more than {DEPTH_MAX} policies deep")));
        }
        let Some(value) = policies.get(parent) else {
            let known: Vec<&str> = policies.iter().map(|(name, _)| name).collect();
            let near = suggestion(parent, &known);
            return Err(path.error(format_args!("there is no policy \"{parent}\"{near}")));
        };
        chain.push(parent);
        values.push(value);
        current = value;
    }
    let mut merged = Value::Object(Object::default());
    for value in values.into_iter().rev() {
        overlay(&mut merged, value, "");
    }
    Ok(merged)
}

/// Lays `over` onto `under`. A window is a time or a number of calls, so one takes the place of the other; a mode that
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
                if let Some(under) = under.entry(key.to_owned()) {
                    overlay(under, value, key);
                }
            }
        }
        (_, Value::Null) => {}
        (under, over) => *under = over.clone(),
    }
}

fn extends(policy: &Value) -> Option<&str> {
    policy.object()?.get("extends")?.text()
}
