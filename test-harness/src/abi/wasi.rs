//! The few calls of WASI preview 1 that modules for `wasm32-unknown-unknown` import.

use rand::Rng;
use wasmtime::{Caller, Linker};

use super::Guest;
use super::memory::{self, Answer};

const SPACE: &str = "wasi_snapshot_preview1";
/// Wall clock = this + the virtual clock: 2026-01-01T00:00:00Z in nanoseconds.
const EPOCH: u64 = 1_767_225_600_000_000_000;
/// WASI's "invalid argument" and "fault".
const INVALID: u32 = 28;
const FAULT: u32 = 21;

fn errno(answer: Answer) -> u32 {
    if answer.is_ok() { 0 } else { FAULT }
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        SPACE,
        "clock_time_get",
        |mut caller: Caller<'_, Guest>, clock: u32, _precision: u64, at: u32| {
            if let Some(status) = caller.data().common.called("clock_time_get") {
                return status;
            }
            let now = caller.data().common.now.get();
            let time = match clock {
                0 => EPOCH + now,
                1 => now,
                _ => return INVALID,
            };
            errno(memory::write(&mut caller, at, &time.to_le_bytes()))
        },
    )?;
    linker.func_wrap(
        SPACE,
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
    for name in ["environ_sizes_get", "args_sizes_get"] {
        linker.func_wrap(
            SPACE,
            name,
            |mut caller: Caller<'_, Guest>, count_at: u32, size_at: u32| {
                let none = 0_u32.to_le_bytes();
                let written = memory::write(&mut caller, count_at, &none);
                errno(written.and_then(|()| memory::write(&mut caller, size_at, &none)))
            },
        )?;
    }
    for name in ["environ_get", "args_get"] {
        linker.func_wrap(SPACE, name, |_: Caller<'_, Guest>, _: u32, _: u32| 0_u32)?;
    }
    Ok(())
}
