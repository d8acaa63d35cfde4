//! Properties as Envoy has them: what the test says of a stream and the plugin, what follows from its headers, and what the
//! guest set itself.
//!
//! What follows from the request's headers is in reach as long as they are, and once more in the log. Time and sizes stay.
//! What a guest sets is found under its whole name alone: a name with parts can be set and not be read.

use wasmtime::{Caller, Linker};

use super::calls::run;
use super::inline::named;
use super::memory::{self, Answer};
use super::reply;
use super::status::{BAD_ARGUMENT, NOT_FOUND, SERIALIZATION_FAILURE};
use super::stream::{
    self, HeaderMap, REQUEST_BODY, REQUEST_HEADERS, RESPONSE_BODY, RESPONSE_HEADERS,
    RESPONSE_TRAILERS, Stream,
};
use super::{Guest, wall};

type Call<'a> = Caller<'a, Guest>;

/// Parts of `request` that come from its headers.
const FROM_HEADERS: [(&str, &str); 9] = [
    ("path", ":path"),
    ("url_path", ":path"),
    ("query", ":path"),
    ("host", ":authority"),
    ("scheme", ":scheme"),
    ("method", ":method"),
    ("referer", "referer"),
    ("useragent", "user-agent"),
    ("id", "x-request-id"),
];

/// Trees that a stream has, each of which cannot be handed over whole.
const TREES: [&str; 8] = [
    "request",
    "response",
    "connection",
    "upstream",
    "source",
    "destination",
    "filter_state",
    "xds",
];

/// What a host of the upstream has, neither of which can be handed over whole.
const OF_HOST: [&str; 2] = [
    "xds\0upstream_host_metadata",
    "xds\0upstream_host_locality_metadata",
];

/// How a property was declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Whether it can be set only once.
    pub once: bool,
}

fn of_plugin(guest: &Guest, path: &str) -> Option<Vec<u8>> {
    let settings = &guest.settings;
    let text = match path {
        "plugin_name" => &settings.plugin_name,
        "plugin_root_id" => &settings.root_id,
        "plugin_vm_id" => &settings.vm_id,
        _ => return settings.properties.get(path).cloned(),
    };
    Some(text.as_bytes().to_vec())
}

fn number(value: u64) -> Option<Vec<u8>> {
    Some(value.to_le_bytes().to_vec())
}

fn header(map: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let (_, value) = map.iter().find(|(key, _)| key == name.as_bytes())?;
    Some(value.clone())
}

/// The value in a tree of headers: one of them, or all.
fn in_map(number: u32, map: Option<&HeaderMap>, rest: Option<&str>) -> Option<Vec<u8>> {
    let none = HeaderMap::new();
    let map = map.unwrap_or(&none);
    match rest {
        None => Some(stream::serialise(map)),
        Some(name) => {
            let name = named(number, name.as_bytes());
            let found = map.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.clone())
        }
    }
}

fn size(map: Option<&HeaderMap>) -> u64 {
    map.map_or(0, |map| u64::from(stream::size(map)))
}

fn of_request(stream: &Stream, now: u64, part: &str, rest: Option<&str>) -> Option<Vec<u8>> {
    let headers = stream.readable(REQUEST_HEADERS);
    let body = stream.bytes[REQUEST_BODY as usize];
    if let Some((_, name)) = FROM_HEADERS.iter().find(|(known, _)| *known == part) {
        let value = header(headers?, name)?;
        let cut = value.iter().position(|byte| *byte == b'?');
        return Some(match (part, cut) {
            ("url_path", Some(cut)) => value[..cut].to_vec(),
            ("query", Some(cut)) => value[cut + 1..].to_vec(),
            ("query", None) => Vec::new(),
            _ => value,
        });
    }
    match part {
        "headers" => in_map(REQUEST_HEADERS, headers, rest),
        "time" => number(wall(stream.opened)),
        "duration" if stream.logs => number(now.saturating_sub(stream.opened)),
        "protocol" => Some(b"HTTP/1.1".to_vec()),
        "size" => {
            let length = headers.and_then(|map| stream::value(map, "content-length"));
            number(length.and_then(|text| text.parse().ok()).unwrap_or(body))
        }
        "total_size" => number(body.saturating_add(size(headers))),
        _ => None,
    }
}

fn of_response(stream: &Stream, part: &str, rest: Option<&str>) -> Option<Vec<u8>> {
    let begun = stream.maps.get(RESPONSE_HEADERS);
    let headers = stream.readable(RESPONSE_HEADERS);
    let trailers = stream.readable(RESPONSE_TRAILERS);
    let body = stream.bytes[RESPONSE_BODY as usize];
    let parsed = |map: &HeaderMap, name| stream::value(map, name)?.parse::<u64>().ok();
    let code = begun.and_then(|map| parsed(map, ":status"));
    match part {
        "code" => number(code?),
        "code_details" => {
            begun?;
            let details = stream.details.as_deref().unwrap_or("via_upstream");
            Some(details.as_bytes().to_vec())
        }
        "flags" => number(0),
        "size" => number(body),
        "total_size" => number(
            body.saturating_add(size(headers))
                .saturating_add(size(trailers)),
        ),
        "headers" => in_map(RESPONSE_HEADERS, headers, rest),
        "trailers" => in_map(RESPONSE_TRAILERS, trailers, rest),
        "grpc_status" => {
            let said = [trailers, headers].into_iter().flatten();
            let said = said.filter_map(|map| parsed(map, "grpc-status")).next();
            number(said.or(code.map(reply::grpc_status))?)
        }
        _ => None,
    }
}

/// What a stream has, beyond what the test said.
fn of_stream(stream: &Stream, now: u64, parts: &[&str]) -> Option<Vec<u8>> {
    match *parts {
        ["request", part] if !stream.connection => of_request(stream, now, part, None),
        ["request", "headers", name] => of_request(stream, now, "headers", Some(name)),
        ["response", part] if !stream.connection => of_response(stream, part, None),
        ["response", part @ ("headers" | "trailers"), name] => {
            of_response(stream, part, Some(name))
        }
        ["connection", "mtls"] => Some(vec![0]),
        ["connection", "requested_server_name"] | ["metadata"] => Some(Vec::new()),
        ["metadata", "filter_metadata"] => Some(stream::serialise(&HeaderMap::new())),
        ["filter_state", name] => {
            let name = name.strip_prefix("wasm.")?;
            stream.state.borrow().get(name).cloned()
        }
        [name] => stream.state.borrow().get(name).cloned(),
        _ => None,
    }
}

/// Whether a property that the test gave is in reach in this phase.
fn in_reach(stream: &Stream, path: &str) -> bool {
    let mut parts = path.split('\0');
    let gone = match (parts.next(), parts.next()) {
        (Some("request"), Some(part)) => {
            part == "headers" || FROM_HEADERS.iter().any(|(known, _)| *known == part)
        }
        _ => false,
    };
    !gone || stream.logs || stream.open.contains(REQUEST_HEADERS)
}

/// Looks a property up, its path's parts separated by NUL.
pub(crate) fn lookup(guest: &Guest, path: &str) -> Answer<Vec<u8>> {
    let path = path.strip_suffix('\0').unwrap_or(path);
    if path.is_empty() {
        return Err(SERIALIZATION_FAILURE);
    }
    if let Some(value) = of_plugin(guest, path) {
        return Ok(value);
    }
    let stream = guest.streams.get(&guest.context).ok_or(NOT_FOUND)?;
    if let Some(value) = stream.properties.get(path)
        && in_reach(stream, path)
    {
        return Ok(value.clone());
    }
    let parts: Vec<&str> = path.split('\0').collect();
    let has_upstream = stream.properties.get("upstream\0address").is_some();
    if TREES.contains(&path) || (has_upstream && OF_HOST.contains(&path)) {
        return Err(SERIALIZATION_FAILURE);
    }
    of_stream(stream, guest.common.now.get(), &parts).ok_or(NOT_FOUND)
}

/// Sets a property of a stream.
fn set(guest: &mut Guest, path: String, value: Vec<u8>) -> Answer {
    let root = guest.root_of(guest.context);
    let declared = guest.declared.get(&(root, path.clone())).copied();
    let stream = guest.streams.get(&guest.context).ok_or(NOT_FOUND)?;
    let mut state = stream.state.borrow_mut();
    if declared.unwrap_or_default().once && state.contains_key(&path) {
        return Err(BAD_ARGUMENT);
    }
    state.insert(path, value);
    Ok(())
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut c: Call<'_>, path: u32, path_size: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_property", |c| {
                let path = memory::text(c, path, path_size)?;
                let value = lookup(c.data(), &path)?;
                memory::hand_over(c, &value, at, size_at)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut c: Call<'_>, path: u32, path_size: u32, at: u32, size: u32| {
            run(&mut c, "proxy_set_property", |c| {
                let path = memory::text(c, path, path_size)?;
                let value = memory::read(c, at, size)?;
                set(c.data_mut(), path, value)
            })
        },
    )?;
    Ok(())
}
