//! From the plugin's configuration to valid policies: whole, or refused whole with the path of what is wrong.
//!
//! Three steps: the file is held against the tables of all keys ([`raw`], `kinds`), so that an error points to where it was
//! written; `extends` is resolved on the plain tree (`merge`), so that a child says only what differs; what stands at each key
//! (`at`) becomes what the policies are made of, with defaults and limits (`valid` and its neighbours).

mod concurrency;
mod cursor;
mod defaults;
mod error;
mod fallback;
mod merge;
mod outcomes;
mod path;
mod policy;
mod protobuf;
pub mod raw;
mod requests;
mod retries;
mod schema;
mod tables;
mod timeout;
mod units;
mod value_kind;
mod values;

pub use error::{Error, suggestion};

use std::fmt;

use crate::json::{self, Value};
use crate::route::Routing;
use cursor::Cursor;
use error::Errors;
use path::Path;
use raw::File;
use value_kind::Schema;

/// The longest configuration, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The version of the format.
pub const VERSION: u32 = 1;

/// Reads a configuration: a JSON object, a JSON string that holds one, or a `google.protobuf.Struct` in its wire format.
pub fn parse(json: &[u8]) -> Result<Routing, Error> {
    if json.iter().all(u8::is_ascii_whitespace) {
        let problem = format_args!("empty: write an object with \"version\" and \"policies\"");
        return refused(problem);
    }
    if json.len() > BYTES_MAX {
        return refused(format_args!("longer than 1 MiB"));
    }
    let value = match json::parse(json) {
        Ok(value) => value,
        Err(error) => match protobuf::object(json, 0) {
            Some(value) => value,
            None => return refused(format_args!("no JSON: {error}")),
        },
    };
    match value {
        Value::Text(inner) => match json::parse(inner.as_bytes()) {
            Ok(value) => read(&value),
            Err(error) => refused(format_args!("the string holds no JSON: {error}")),
        },
        other => read(&other),
    }
}

/// Reads a configuration that was parsed by others.
#[cfg(any(test, feature = "schema"))]
pub fn from_value(value: &serde_json::Value) -> Result<Routing, Error> {
    match Value::from_serde(value) {
        Some(value) => read(&value),
        None => refused(format_args!("too deep, or too many keys in one object")),
    }
}

fn refused(problem: fmt::Arguments<'_>) -> Result<Routing, Error> {
    Err(Error::new(&Path::Root, problem))
}

fn read(value: &Value) -> Result<Routing, Error> {
    if value.object().is_none() {
        let problem =
            format_args!("not an object: write an object with \"version\" and \"policies\"");
        return refused(problem);
    }
    let wrong = Errors::default();
    schema::check(value, &File::KIND, &Path::Root, &wrong);
    let mut routing = Routing::default();
    if !wrong.is_noted() {
        policy::file(&Cursor::new(Path::Root, Some(value), &wrong), &mut routing);
    }
    wrong.first().map_or(Ok(routing), Err)
}

#[cfg(test)]
mod tests;
