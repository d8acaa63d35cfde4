//! Bodies, data of connections, answers and configurations as the guest reads and changes them. Bounds and statuses are
//! Envoy's: most buffers that hold nothing now read as empty, and only bodies and data can be changed.

use wasmtime::{Caller, Linker};

use super::Guest;
use super::calls::run;
use super::memory::{self, Answer};
use super::status::{BAD_ARGUMENT, NOT_FOUND};
use super::stream::UPSTREAM_DATA;

pub(crate) const HTTP_CALL_BODY: u32 = 4;
pub(crate) const GRPC_MESSAGE: u32 = 5;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
/// Whatever was looked at last.
const CALL_DATA: u32 = 8;

type Call<'a> = Caller<'a, Guest>;

/// A buffer, if there is such a one now.
fn buffer<'a>(caller: &'a mut Call<'_>, number: u32) -> Answer<&'a [u8]> {
    if number > CALL_DATA {
        return Err(BAD_ARGUMENT);
    }
    let guest = caller.data_mut();
    let number = match number {
        CALL_DATA => guest.last_buffer,
        number => number,
    };
    let found = find(guest, number);
    let present = found.is_some();
    let can_be_absent = matches!(number, HTTP_CALL_BODY | PLUGIN_CONFIGURATION);
    if !present && can_be_absent {
        return Err(NOT_FOUND);
    }
    guest.last_buffer = number;
    Ok(find(guest, number).unwrap_or_default())
}

fn find(guest: &Guest, number: u32) -> Option<&[u8]> {
    let found = match number {
        VM_CONFIGURATION => Some(&guest.settings.vm_configuration),
        PLUGIN_CONFIGURATION => Some(&guest.configuration).filter(|_| guest.configures),
        HTTP_CALL_BODY | GRPC_MESSAGE => guest.received_buffer(number),
        number => {
            let stream = guest.streams.get(&guest.context)?;
            stream.bodies.get(&number)
        }
    };
    found.map(Vec::as_slice)
}

/// Puts bytes in place of a body's beginning, or behind it; within it is nothing that Envoy does.
fn change(body: &mut Vec<u8>, start: u32, length: u32, bytes: Vec<u8>) -> Answer {
    let (start, length) = (start as usize, length as usize);
    if start == 0 {
        body.splice(0..length.min(body.len()), bytes);
    } else if start >= body.len() {
        body.extend(bytes);
    } else {
        return Err(BAD_ARGUMENT);
    }
    Ok(())
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut c: Call<'_>, number: u32, start: u32, max: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_buffer_bytes", |c| {
                let buffer = buffer(c, number)?;
                let rest = buffer.get(start as usize..).unwrap_or_default();
                let bytes = rest.get(..max as usize).unwrap_or(rest).to_vec();
                memory::hand_over(c, &bytes, at, size_at)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_configuration",
        |mut c: Call<'_>, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_configuration", |c| {
                let guest = c.data();
                let bytes = match guest.configures {
                    true => guest.configuration.clone(),
                    false => guest.settings.vm_configuration.clone(),
                };
                memory::hand_over(c, &bytes, at, size_at)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_buffer_status",
        |mut c: Call<'_>, number: u32, size_at: u32, flags_at: u32| {
            run(&mut c, "proxy_get_buffer_status", |c| {
                let size = u32::try_from(buffer(c, number)?.len()).unwrap_or(u32::MAX);
                memory::write(c, size_at, &size.to_le_bytes())?;
                memory::write(c, flags_at, &0_u32.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |mut c: Call<'_>, number: u32, start: u32, length: u32, at: u32, size: u32| {
            run(&mut c, "proxy_set_buffer_bytes", |c| {
                buffer(c, number)?;
                let bytes = memory::read(c, at, size)?;
                let guest = c.data_mut();
                let number = guest.last_buffer;
                let stream = guest.streams.get_mut(&guest.context);
                let body = stream.and_then(|stream| stream.bodies.get_mut(&number));
                let body = body.filter(|_| number <= UPSTREAM_DATA);
                change(body.ok_or(BAD_ARGUMENT)?, start, length, bytes)
            })
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_changed_before_after_or_whole_and_never_within() {
        for (start, length, expected) in [
            (0, 0, Ok("new-body")),
            (0, 4, Ok("new-")),
            (0, 99, Ok("new-")),
            (4, 0, Ok("bodynew-")),
            (9, 7, Ok("bodynew-")),
            (0, 3, Ok("new-y")),
            (2, 1, Err(BAD_ARGUMENT)),
        ] {
            let mut body = b"body".to_vec();
            let changed = change(&mut body, start, length, b"new-".to_vec());
            let shown = changed.map(|()| String::from_utf8_lossy(&body).into_owned());
            assert_eq!(
                shown.as_deref(),
                expected.as_ref().copied(),
                "{start} {length}"
            );
        }
    }
}
