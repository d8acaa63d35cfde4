//! The functions under `env` on logs, time, shared data, metrics and replies, each a few lines on the state behind
//! the VM.

use std::rc::Rc;

use wasmtime::{Caller, Linker};

use super::memory::{self, Answer};
use super::status::{BAD_ARGUMENT, OK};
use super::stream::{self as streams, LocalReply, Stream};
use super::{Guest, LogLine};

/// The highest level of a log line: critical.
const LEVEL_MAX: u32 = 5;

type Call<'a> = Caller<'a, Guest>;

/// Counts the call, lets a fault answer in its place, and makes a status of what it gives. An allocator that trapped
/// meanwhile is the guest's own trap.
pub(super) fn run(
    caller: &mut Call<'_>,
    name: &'static str,
    call: impl FnOnce(&mut Call<'_>) -> Answer,
) -> wasmtime::Result<u32> {
    let common = Rc::clone(&caller.data().common);
    caller.data().allow(name)?;
    if let Some(status) = common.called(name) {
        return Ok(status);
    }
    let status = call(caller).err().unwrap_or(OK);
    caller.data_mut().trap.take().map_or(Ok(status), Err)
}

/// The stream that the guest speaks for.
pub(super) fn stream<'a>(caller: &'a mut Call<'_>) -> Answer<&'a mut Stream> {
    let guest = caller.data_mut();
    let stream = guest.streams.get_mut(&guest.context);
    stream.map(|stream| &mut **stream).ok_or(BAD_ARGUMENT)
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    general(linker)?;
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
                if level > LEVEL_MAX {
                    return Err(BAD_ARGUMENT);
                }
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
                let micros = c.data().common.wall() / 1_000;
                memory::write(c, at, &(micros * 1_000).to_le_bytes())
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
                memory::hand_over(c, &bytes, at, size_at)?;
                memory::write(c, cas_at, &cas.to_le_bytes())
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
                let common = Rc::clone(&c.data().common);
                let metrics = &mut *common.metrics.borrow_mut();
                let id = c.data_mut().metrics.define(metrics, kind, name);
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
                c.data_mut().counter(id, Some(by)).map(drop)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_record_metric",
        |mut c: Call<'_>, id: u32, value: u64| {
            run(&mut c, "proxy_record_metric", |c| {
                let guest = c.data();
                let metrics = &mut *guest.common.metrics.borrow_mut();
                guest.metrics.record(metrics, id, value)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_metric",
        |mut c: Call<'_>, id: u32, at: u32| {
            run(&mut c, "proxy_get_metric", |c| {
                let value = c.data_mut().counter(id, None)?.to_le_bytes();
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
                    details: details.replace(|c: char| c.is_ascii_whitespace(), "_"),
                    body,
                    headers: streams::deserialise(&headers).unwrap_or_default(),
                    grpc_status,
                };
                // A root or a connection cannot be answered, and Envoy says nothing of it. Of two replies the first
                // counts: Envoy crashes.
                if let Ok(stream) = stream(c)
                    && !stream.connection
                {
                    stream.reply.get_or_insert(reply);
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}
