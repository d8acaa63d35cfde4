//! The few calls of WASI preview 1 that modules for `wasm32-unknown-unknown` import.

use rand::Rng;
use wasmtime::{Caller, Linker};

use super::known::WASI_SPACES;
use super::memory::{self, Answer};
use super::{Guest, LogLine, wall};

/// WASI's "bad file", "fault", "invalid argument" and "function not supported".
const BAD_FILE: u32 = 8;
const FAULT: u32 = 21;
const INVALID: u32 = 28;
pub(super) const NOT_SUPPORTED: u32 = 52;
/// No more pieces are written at once.
const PIECES_MAX: u32 = 1_024;

fn errno(answer: Answer) -> u32 {
    if answer.is_ok() { 0 } else { FAULT }
}

/// Gathers the pieces that are written to the standard output or error.
fn pieces(caller: &mut Caller<'_, Guest>, at: u32, count: u32) -> Answer<Vec<u8>> {
    let table = memory::read(caller, at, count.min(PIECES_MAX) * 8)?;
    let mut bytes = Vec::new();
    for piece in table.chunks_exact(8) {
        let part = |range| -> u32 {
            let part: Option<&[u8]> = piece.get(range);
            let part = part.and_then(|part| part.try_into().ok());
            part.map_or(0, u32::from_le_bytes)
        };
        bytes.extend(memory::read(caller, part(0..4), part(4..8))?);
    }
    Ok(bytes)
}

/// What a guest prints is logged, errors as errors, as Envoy does.
fn output(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    linker.func_wrap(
        space,
        "fd_write",
        |mut caller: Caller<'_, Guest>, file: u32, at: u32, count: u32, written_at: u32| {
            if let Some(status) = caller.data().common.called("fd_write") {
                return status;
            }
            let level = match file {
                1 => 2,
                2 => 4,
                _ => return BAD_FILE,
            };
            let Ok(bytes) = pieces(&mut caller, at, count) else {
                return FAULT;
            };
            let written = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let guest = caller.data();
            guest.common.log.borrow_mut().push(LogLine {
                at: guest.common.now.get(),
                vm: guest.vm,
                level,
                text: String::from_utf8_lossy(&bytes).trim_end().to_owned(),
            });
            errno(memory::write(
                &mut caller,
                written_at,
                &written.to_le_bytes(),
            ))
        },
    )?;
    linker.func_wrap(
        space,
        "proc_exit",
        |caller: Caller<'_, Guest>, code: u32| -> wasmtime::Result<()> {
            caller.data().common.called("proc_exit");
            Err(wasmtime::Error::msg(format!(
                "the guest exited with {code}"
            )))
        },
    )?;
    Ok(())
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for space in WASI_SPACES {
        time_and_chance(linker, space)?;
        output(linker, space)?;
        surroundings(linker, space)?;
    }
    Ok(())
}

fn time_and_chance(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    linker.func_wrap(
        space,
        "clock_time_get",
        |mut caller: Caller<'_, Guest>, clock: u32, _precision: u64, at: u32| {
            if let Some(status) = caller.data().common.called("clock_time_get") {
                return status;
            }
            let now = caller.data().common.now.get();
            let time = match clock {
                0 => wall(now),
                1 => now,
                _ => return INVALID,
            };
            errno(memory::write(&mut caller, at, &time.to_le_bytes()))
        },
    )?;
    linker.func_wrap(
        space,
        "random_get",
        |mut caller: Caller<'_, Guest>, at: u32, size: u32| {
            if let Some(status) = caller.data().common.called("random_get") {
                return status;
            }
            if size > 1 << 16 {
                return INVALID;
            }
            let mut bytes = vec![0; size as usize];
            caller.data_mut().random.fill_bytes(&mut bytes);
            errno(memory::write(&mut caller, at, &bytes))
        },
    )?;
    Ok(())
}

/// No arguments and no environment.
fn surroundings(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    for name in ["environ_sizes_get", "args_sizes_get"] {
        linker.func_wrap(
            space,
            name,
            |mut caller: Caller<'_, Guest>, count_at: u32, size_at: u32| {
                let none = 0_u32.to_le_bytes();
                let written = memory::write(&mut caller, count_at, &none);
                errno(written.and_then(|()| memory::write(&mut caller, size_at, &none)))
            },
        )?;
    }
    for name in ["environ_get", "args_get"] {
        linker.func_wrap(space, name, |_: Caller<'_, Guest>, _: u32, _: u32| 0_u32)?;
    }
    Ok(())
}
