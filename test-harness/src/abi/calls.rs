//! The functions under `env`, each a few lines on the state behind the VM.

use std::rc::Rc;

use wasmtime::{Caller, Linker};

use super::memory::{self, Answer};
use super::status::{BAD_ARGUMENT, NOT_FOUND, OK};
use super::stream::{self, HeaderMap, LocalReply, Stream};
use super::{Guest, LogLine};

const PLUGIN_CONFIGURATION: u32 = 7;

type Call<'a> = Caller<'a, Guest>;

/// Counts the call, lets a fault answer in its place, and makes a status of what it gives.
fn run(
    caller: &mut Call<'_>,
    name: &'static str,
    call: impl FnOnce(&mut Call<'_>) -> Answer,
) -> u32 {
    let common = Rc::clone(&caller.data().common);
    if let Some(status) = common.called(name) {
        return status;
    }
    call(caller).err().unwrap_or(OK)
}

fn stream<'a>(caller: &'a mut Call<'_>) -> Answer<&'a mut Stream> {
    let guest = caller.data_mut();
    guest.streams.get_mut(&guest.context).ok_or(BAD_ARGUMENT)
}

fn map<'a>(caller: &'a mut Call<'_>, number: u32) -> Answer<&'a mut HeaderMap> {
    stream(caller)?.maps.get_mut(&number).ok_or(BAD_ARGUMENT)
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    general(linker)?;
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
                let guest = c.data_mut();
                guest.ticks.insert(guest.context, period);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut c: Call<'_>, at: u32| {
            run(&mut c, "proxy_get_current_time_nanoseconds", |c| {
                let now = c.data().common.now.get();
                memory::write(c, at, &now.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut c: Call<'_>, buffer: u32, start: u32, max: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_buffer_bytes", |c| {
                if buffer != PLUGIN_CONFIGURATION {
                    return Err(NOT_FOUND);
                }
                let configuration = &c.data().configuration;
                let bytes = configuration.iter().skip(start as usize).take(max as usize);
                let bytes: Vec<u8> = bytes.copied().collect();
                memory::hand_over(c, &bytes, at, size_at)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut c: Call<'_>, id: u32| {
            run(&mut c, "proxy_set_effective_context", |c| {
                c.data_mut().context = id;
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn headers(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
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
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut c: Call<'_>, number: u32, key: u32, key_size: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_header_map_value", |c| {
                let key = memory::read(c, key, key_size)?;
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
                    let map = map(c, number)?;
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
                map(c, number)?.retain(|(name, _)| *name != key);
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
                let stream = stream(c)?;
                let known = stream
                    .properties
                    .get(&path)
                    .or_else(|| stream.state.get(&path));
                let value = known.cloned().ok_or(NOT_FOUND)?;
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
                stream(c)?.state.insert(path, value);
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
                let loaded = c.data().common.shared.borrow().load(&key);
                let (bytes, cas) = loaded?;
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
                let (vm, common) = (c.data().vm, Rc::clone(&c.data().common));
                let hook = common.hook.borrow().clone();
                if let Some(hook) = hook {
                    hook(vm);
                }
                common.shared.borrow_mut().swap(&key, &bytes, cas)
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
