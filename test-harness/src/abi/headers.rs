//! Header maps as the guest reads and changes them: which of them is in reach in which phase is Envoy's.
//!
//! Names are in lower case; what becomes of a second value is [`inline`]'s. A whole map that is out of reach reads as empty; all else on it is a bad argument.

use wasmtime::{Caller, Linker};

use super::Guest;
use super::calls::{run, stream};
use super::inline::{self, add, named};
use super::memory::{self, Answer};
use super::status::{BAD_ARGUMENT, NOT_FOUND};
use super::stream::{self as streams, HeaderMap, REQUEST_HEADERS};

/// The highest number of a header map in the interface.
const MAP_MAX: u32 = 7;

type Call<'a> = Caller<'a, Guest>;

/// A map that can be read now.
fn readable<'a>(caller: &'a Call<'_>, number: u32) -> Answer<Option<&'a HeaderMap>> {
    if number > MAP_MAX {
        return Err(BAD_ARGUMENT);
    }
    let guest = caller.data();
    let received = guest.received_map(number);
    let stream = guest.streams.get(&guest.context);
    Ok(received.or_else(|| stream.and_then(|stream| stream.readable(number))))
}

/// A map that can be changed now. A change of the request's headers lets the route be chosen anew.
fn writable<'a>(caller: &'a mut Call<'_>, number: u32) -> Answer<&'a mut HeaderMap> {
    let stream = stream(caller)?;
    stream.route_cleared |= number == REQUEST_HEADERS && stream.open.contains(number);
    stream.writable(number).ok_or(BAD_ARGUMENT)
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    whole(linker)?;
    one(linker)
}

fn whole(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_size",
        |mut c: Call<'_>, number: u32, at: u32| {
            run(&mut c, "proxy_get_header_map_size", |c| {
                let stream = stream(c)?;
                let size = stream.writable(number).ok_or(BAD_ARGUMENT)?;
                let size = streams::size(size);
                memory::write(c, at, &size.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_header_map_pairs",
        |mut c: Call<'_>, number: u32, at: u32, size: u32| {
            run(&mut c, "proxy_set_header_map_pairs", |c| {
                let bytes = memory::read(c, at, size)?;
                // What cannot be read is no pairs: the map is empty then.
                let pairs = streams::deserialise(&bytes).unwrap_or_default();
                let map = writable(c, number)?;
                *map = inline::kept(number, pairs);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |mut c: Call<'_>, number: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_header_map_pairs", |c| {
                let map = readable(c, number)?.filter(|map| !map.is_empty());
                let bytes = map.map(streams::serialise).unwrap_or_default();
                memory::hand_over(c, &bytes, at, size_at)
            })
        },
    )?;
    Ok(())
}

fn one(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut c: Call<'_>, number: u32, key: u32, key_size: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_header_map_value", |c| {
                if number > MAP_MAX {
                    return Err(BAD_ARGUMENT);
                }
                let key = named(number, &memory::read(c, key, key_size)?);
                let guest = c.data();
                let logs = guest.streams.get(&guest.context).map(|stream| stream.logs);
                let absent = if logs == Some(true) {
                    NOT_FOUND
                } else {
                    BAD_ARGUMENT
                };
                let map = readable(c, number)?.ok_or(absent)?;
                let found = map.iter().find(|(name, _)| *name == key);
                let value = found.map(|(_, value)| value.clone()).ok_or(NOT_FOUND)?;
                memory::hand_over(c, &value, at, size_at)
            })
        },
    )?;
    for (name, replaces) in [
        ("proxy_replace_header_map_value", true),
        ("proxy_add_header_map_value", false),
    ] {
        linker.func_wrap(
            "env",
            name,
            move |mut c: Call<'_>, number: u32, key: u32, key_size: u32, at: u32, size: u32| {
                run(&mut c, name, |c| {
                    let key = named(number, &memory::read(c, key, key_size)?);
                    let value = memory::read(c, at, size)?;
                    let map = writable(c, number)?;
                    if replaces {
                        map.retain(|(name, _)| *name != key);
                    }
                    add(number, map, key, value);
                    Ok(())
                })
            },
        )?;
    }
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut c: Call<'_>, number: u32, key: u32, key_size: u32| {
            run(&mut c, "proxy_remove_header_map_value", |c| {
                let key = named(number, &memory::read(c, key, key_size)?);
                writable(c, number)?.retain(|(name, _)| *name != key);
                Ok(())
            })
        },
    )?;
    Ok(())
}
