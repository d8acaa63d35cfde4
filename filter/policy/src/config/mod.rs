//! From the plugin's configuration to valid policies: whole, or refused whole with the path of what is wrong.
//!
//! Three steps: `extends` is resolved on the plain JSON, so that a child says only what differs ([`merge`]); the result
//! is read into types that know every key ([`raw`]); those become the types that the policies are made of, with their
//! defaults and limits ([`valid`]).

mod error;
mod ladder;
mod limits;
mod load;
mod merge;
mod protobuf;
pub mod raw;
mod read;
mod retries;
mod units;
mod valid;

pub use error::Error;

use crate::json::{self, Object, Value};
use crate::route::Routing;
use read::{Path, Read};

/// The longest configuration, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The version of the format.
pub const VERSION: u32 = 1;

/// Reads a configuration: a JSON object, a JSON string that holds one, or a `google.protobuf.Struct` in its wire format.
pub fn parse(json: &[u8]) -> Result<Routing, Error> {
    let whole = Path::Root;
    if json.iter().all(u8::is_ascii_whitespace) {
        let problem = format_args!("empty: write an object with \"version\" and \"policies\"");
        return Err(whole.error(problem));
    }
    if json.len() > BYTES_MAX {
        return Err(whole.error(format_args!("longer than 1 MiB")));
    }
    let value = match json::parse(json) {
        Ok(value) => value,
        Err(error) => protobuf::object(json, 0)
            .ok_or_else(|| whole.error(format_args!("no JSON: {error}")))?,
    };
    let value = match value {
        Value::Text(inner) => json::parse(inner.as_bytes())
            .map_err(|error| whole.error(format_args!("the string holds no JSON: {error}")))?,
        other => other,
    };
    read(&value)
}

/// Reads a configuration that was parsed by others.
#[cfg(any(test, feature = "schema"))]
pub fn from_value(value: &serde_json::Value) -> Result<Routing, Error> {
    let too_much = || Path::Root.error(format_args!("too deep, or too many keys in one object"));
    read(&Value::from_serde(value).ok_or_else(too_much)?)
}

fn read(value: &Value) -> Result<Routing, Error> {
    if value.object().is_none() {
        let problem =
            format_args!("not an object: write an object with \"version\" and \"policies\"");
        return Err(Path::Root.error(problem));
    }
    let mut file = None;
    raw::File::read(&mut file, value, &Path::Root)?;
    let file = file.unwrap_or_default();
    let version = Path::Root.key("version");
    match file.version {
        Some(VERSION) => {}
        Some(other) => {
            let problem = format_args!("{other} is unknown: this Seawall reads version {VERSION}");
            return Err(version.error(problem));
        }
        None => {
            let problem = format_args!("missing: write \"version\": {VERSION}");
            return Err(version.error(problem));
        }
    }
    let empty = Object::default();
    let policies = value
        .object()
        .and_then(|file| file.get("policies"))
        .and_then(Value::object)
        .unwrap_or(&empty);
    let routing = valid::routing(
        merge::resolve(policies)?,
        file.upstreams.unwrap_or_default(),
        &file.limits.unwrap_or_default(),
    )?;
    let trust = Path::Root.key("trust");
    let trust = limits::trust(&trust, file.trust.unwrap_or_default())?;
    let page = match file.page {
        Some(raw) => Some(load::page(&Path::Root.key("page"), raw)?),
        None => None,
    };
    Ok(Routing {
        trust,
        page,
        ..routing
    })
}

#[cfg(test)]
mod tests;
