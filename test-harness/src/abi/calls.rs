//! The functions under `env` on headers, properties, shared data, metrics and replies, each a few lines on the state behind
//! the VM.

use std::rc::Rc;

use wasmtime::{Caller, Linker};

use super::memory::{self, Answer};
use super::status::{BAD_ARGUMENT, NOT_FOUND, OK};
use super::stream::{self, HeaderMap, LocalReply, Stream};
use super::{Guest, LogLine, wall};

type Call<'a> = Caller<'a, Guest>;

/// Counts the call, lets a fault answer in its place, and makes a status of what it gives. An allocator that trapped
/// meanwhile is the guest's own trap.
pub(super) fn run(
    caller: &mut Call<'_>,
    name: &'static str,
    call: impl FnOnce(&mut Call<'_>) -> Answer,
) -> wasmtime::Result<u32> {
    let common = Rc::clone(&caller.data().common);
    if let Some(status) = common.called(name) {
        return Ok(status);
    }
    let status = call(caller).err().unwrap_or(OK);
    caller.data_mut().trap.take().map_or(Ok(status), Err)
}

fn stream<'a>(caller: &'a mut Call<'_>) -> Answer<&'a mut Stream> {
    let guest = caller.data_mut();
    guest.streams.get_mut(&guest.context).ok_or(BAD_ARGUMENT)
}

/// A map that can be read in this phase.
fn map<'a>(caller: &'a mut Call<'_>, number: u32) -> Answer<&'a HeaderMap> {
    stream(caller)?.readable(number).ok_or(BAD_ARGUMENT)
}

/// A map that can be changed in this phase.
fn map_mut<'a>(caller: &'a mut Call<'_>, number: u32) -> Answer<&'a mut HeaderMap> {
    stream(caller)?.writable(number).ok_or(BAD_ARGUMENT)
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    general(linker)?;
    pairs(linker)?;
    headers(linker)?;
    properties(linker)?;
    shared_data(linker)?;
    metrics(linker)?;
    reply(linker)
}

fn general(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut c: Call<'_>, level: u32, at: u32, size: u32| {
            run(&mut c, "proxy_log", |c| {
                let text = memory::text(c, at, size)?;
                let guest = c.data();
                let line = LogLine {
                    at: guest.common.now.get(),
                    vm: guest.vm,
                    level,
                    text,
                };
                guest.common.log.borrow_mut().push(line);
                Ok(())
            })
        },
    )?;
    linker.func_wrap("env", "proxy_get_log_level", |mut c: Call<'_>, at: u32| {
        run(&mut c, "proxy_get_log_level", |c| {
            memory::write(c, at, &2_u32.to_le_bytes())
        })
    })?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |mut c: Call<'_>, period: u32| {
            run(&mut c, "proxy_set_tick_period_milliseconds", |c| {
                c.data_mut().set_tick(period);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut c: Call<'_>, at: u32| {
            run(&mut c, "proxy_get_current_time_nanoseconds", |c| {
                let micros = wall(c.data().common.now.get()) / 1_000;
                memory::write(c, at, &(micros * 1_000).to_le_bytes())
            })
        },
    )?;
    Ok(())
}

fn pairs(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_size",
        |mut c: Call<'_>, number: u32, at: u32| {
            run(&mut c, "proxy_get_header_map_size", |c| {
                let size = stream::size(map(c, number)?);
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
                let pairs = stream::deserialise(&bytes).ok_or(BAD_ARGUMENT)?;
                *map_mut(c, number)? = pairs;
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |mut c: Call<'_>, number: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_header_map_pairs", |c| {
                let bytes = stream::serialise(map(c, number)?);
                memory::hand_over(c, &bytes, at, size_at)
            })
        },
    )?;
    Ok(())
}

fn headers(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut c: Call<'_>, number: u32, key: u32, key_size: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_header_map_value", |c| {
                let key = memory::read(c, key, key_size)?.to_ascii_lowercase();
                let found = map(c, number)?.iter().find(|(name, _)| *name == key);
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
                    let key = memory::read(c, key, key_size)?.to_ascii_lowercase();
                    let value = memory::read(c, at, size)?;
                    let map = map_mut(c, number)?;
                    if replaces {
                        map.retain(|(name, _)| *name != key);
                    }
                    map.push((key, value));
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
                let key = memory::read(c, key, key_size)?.to_ascii_lowercase();
                map_mut(c, number)?.retain(|(name, _)| *name != key);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn properties(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut c: Call<'_>, path: u32, path_size: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_property", |c| {
                let path = memory::text(c, path, path_size)?;
                // A root has no stream whose properties it could read.
                let stream = stream(c).map_err(|_| NOT_FOUND)?;
                let known = stream.properties.get(&path).cloned();
                let value = known.or_else(|| stream.state.borrow().get(&path).cloned());
                let value = value.ok_or(NOT_FOUND)?;
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
                let state = &stream(c).map_err(|_| NOT_FOUND)?.state;
                state.borrow_mut().insert(path, value);
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn shared_data(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut c: Call<'_>, key: u32, key_size: u32, at: u32, size_at: u32, cas_at: u32| {
            run(&mut c, "proxy_get_shared_data", |c| {
                let key = memory::text(c, key, key_size)?;
                let (bytes, cas) = c.data_mut().load(&key)?;
                memory::write(c, cas_at, &cas.to_le_bytes())?;
                memory::hand_over(c, &bytes, at, size_at)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut c: Call<'_>, key: u32, key_size: u32, at: u32, size: u32, cas: u32| {
            run(&mut c, "proxy_set_shared_data", |c| {
                let key = memory::text(c, key, key_size)?;
                let bytes = memory::read(c, at, size)?;
                c.data_mut().swap(&key, &bytes, cas)
            })
        },
    )?;
    Ok(())
}

fn metrics(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut c: Call<'_>, kind: u32, name: u32, name_size: u32, at: u32| {
            run(&mut c, "proxy_define_metric", |c| {
                let name = memory::text(c, name, name_size)?;
                let id = c.data().common.metrics.borrow_mut().define(kind, name);
                let id = id?.to_le_bytes();
                memory::write(c, at, &id)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_increment_metric",
        |mut c: Call<'_>, id: u32, by: i64| {
            run(&mut c, "proxy_increment_metric", |c| {
                c.data().common.metrics.borrow_mut().increment(id, by)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |mut c: Call<'_>, id: u32, value: u64| {
            run(&mut c, "proxy_record_metric", |c| {
                c.data().common.metrics.borrow_mut().record(id, value)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_metric",
        |mut c: Call<'_>, id: u32, at: u32| {
            run(&mut c, "proxy_get_metric", |c| {
                let value = c.data().common.metrics.borrow_mut().get(id);
                let value = value?.to_le_bytes();
                memory::write(c, at, &value)
            })
        },
    )?;
    Ok(())
}

fn reply(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut c: Call<'_>,
         status: u32,
         details: u32,
         details_size: u32,
         body: u32,
         body_size: u32,
         headers: u32,
         headers_size: u32,
         grpc_status: i32| {
            run(&mut c, "proxy_send_local_response", |c| {
                let details = memory::text(c, details, details_size)?;
                let body = memory::read(c, body, body_size)?;
                let headers = memory::read(c, headers, headers_size)?;
                let reply = LocalReply {
                    status,
                    details,
                    body,
                    headers: stream::deserialise(&headers).ok_or(BAD_ARGUMENT)?,
                    grpc_status,
                };
                stream(c)?.reply = Some(reply);
                Ok(())
            })
        },
    )?;
    Ok(())
}
