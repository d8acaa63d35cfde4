//! From the plugin's configuration to valid policies: whole, or refused whole with the path of what is wrong.
//!
//! Whatever the form, it becomes a tree of `serde_json`'s values first. Serde's derived code makes the types of [`raw`] of it
//! (`reader`), so that an error points to where it was written; `extends` is resolved on the plain tree (`merge`), so that a
//! child says only what differs; what stands at each key (`at`) becomes what the policies are made of, with defaults and
//! limits (`policy` and its neighbours).
//!
//! **Architecture invariant:** the core does not know this crate. It is apart so that the compiler can make it small: it runs once.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::too_many_lines
    )
)]
#![forbid(unsafe_code)]

mod at;
mod concurrency;
mod defaults;
mod error;
mod fallback;
mod merge;
mod outcomes;
mod policy;
mod protobuf;
pub mod raw;
mod reader;
mod requests;
mod retries;
mod timeout;
mod units;
mod values;

pub use error::{Error, suggestion};

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use error::Problems;
use raw::File;
use reader::Reader;
use seawall_policy::json::{self, Path};
use seawall_policy::route::Routing;

/// The longest configuration, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The version of the format.
pub const VERSION: u32 = 1;
/// The most errors that a check tells of one configuration.
#[cfg(any(test, feature = "schema"))]
pub const ERRORS_MAX: usize = 100;

/// Reads a configuration: a JSON object, a JSON string that holds one, or a `google.protobuf.Struct` in its wire format.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(json: &[u8]) -> Result<Routing, Error> {
    first(tree(json).and_then(|value| read(&value, 1)))
}

/// Reads a configuration that was parsed by others.
///
/// # Errors
/// The first thing that is wrong.
#[cfg(any(test, feature = "schema"))]
pub fn from_value(value: &Value) -> Result<Routing, Error> {
    first(bounded(value).and_then(|value| read(&value, 1)))
}

/// As [`parse`], for checks.
///
/// # Errors
/// All that is wrong, up to [`ERRORS_MAX`]; at least one.
#[cfg(any(test, feature = "schema"))]
pub fn check(json: &[u8]) -> Result<Routing, Vec<Error>> {
    tree(json).and_then(|value| read(&value, ERRORS_MAX))
}

/// As [`from_value`], for checks.
///
/// # Errors
/// All that is wrong, up to [`ERRORS_MAX`]; at least one.
#[cfg(any(test, feature = "schema"))]
pub fn check_value(value: &Value) -> Result<Routing, Vec<Error>> {
    bounded(value).and_then(|value| read(&value, ERRORS_MAX))
}

fn first(read: Result<Routing, Vec<Error>>) -> Result<Routing, Error> {
    read.map_err(|errors| {
        let first = errors.into_iter().next();
        first.unwrap_or_else(|| Error::new(&Path::Root, format_args!("refused")))
    })
}

fn refused(problem: fmt::Arguments<'_>) -> Vec<Error> {
    vec![Error::new(&Path::Root, problem)]
}

/// The value that was parsed by others, if it is within the bounds of what is parsed here.
#[cfg(any(test, feature = "schema"))]
fn bounded(value: &Value) -> Result<Value, Vec<Error>> {
    json::parse(value.to_string().as_bytes())
        .map_err(|error| vec![Error::unreadable(error, "no JSON")])
}

/// The tree of a configuration, whatever its form.
fn tree(bytes: &[u8]) -> Result<Value, Vec<Error>> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let problem = format_args!("empty: write an object with \"version\" and \"policies\"");
        return Err(refused(problem));
    }
    if bytes.len() > BYTES_MAX {
        return Err(refused(format_args!("longer than 1 MiB")));
    }
    let value = match json::parse(bytes) {
        Ok(value) => value,
        Err(error) => {
            protobuf::object(bytes, 0).ok_or_else(|| vec![Error::unreadable(error, "no JSON")])?
        }
    };
    match value {
        Value::String(inner) => json::parse(inner.as_bytes())
            .map_err(|error| vec![Error::unreadable(error, "the string holds no JSON")]),
        other => Ok(other),
    }
}

/// From a tree to policies, or to at most so many errors.
fn read(value: &Value, most: usize) -> Result<Routing, Vec<Error>> {
    if !value.is_object() {
        let problem =
            format_args!("not an object: write an object with \"version\" and \"policies\"");
        return Err(refused(problem));
    }
    let problems = Problems::new(most);
    let mut routing = Routing::default();
    let mut skipped = Vec::new();
    if let Some(file) = kinds(value, &mut skipped, &problems) {
        policy::file(value, &file, &skipped, &problems, &mut routing);
    }
    let found = problems.into_all();
    match found.is_empty() {
        true => Ok(routing),
        false => Err(found),
    }
}

/// A file whose values are all of the right kind. What is not is noted and skipped; nothing, once there is no room for
/// another error.
fn kinds<'a>(value: &'a Value, skipped: &mut Vec<String>, problems: &Problems) -> Option<File<'a>> {
    loop {
        match File::deserialize(Reader::new(value, Path::Root, skipped)) {
            Ok(file) => return Some(file),
            Err(error) => {
                let error = Error::from(error);
                let path = error.path().to_owned();
                let more = problems.add(error);
                if !more || path.is_empty() || skipped.contains(&path) {
                    return None;
                }
                skipped.push(path);
            }
        }
    }
}

#[cfg(test)]
mod tests;
