//! WASI preview 1 as Envoy has it: enough for the runtimes that modules bring, and no files.
//!
//! Every call may be imported under both of its names; what is not here is linked and answers "function not supported".

use rand::Rng;
use wasmtime::{Caller, Linker};

use super::known::WASI_SPACES;
use super::memory::{self, Answer};
use super::status::INVALID_MEMORY_ACCESS;
use super::{Guest, LogLine};

/// WASI's "bad file", "fault", "invalid argument", "function not supported" and "not supported".
const BAD_FILE: u32 = 8;
const FAULT: u32 = 21;
const INVALID: u32 = 28;
pub(super) const NOT_SUPPORTED: u32 = 52;
const NO_SUCH_CLOCK: u32 = 58;
/// No more pieces are written at once.
const PIECES_MAX: u32 = 1_024;
/// No more randomness is given at once, in bytes.
const RANDOM_MAX: u32 = 1 << 16;
/// Of a file: that it may be written.
const RIGHT_TO_WRITE: u64 = 64;

type Call<'a> = Caller<'a, Guest>;

fn errno(answer: Answer) -> u32 {
    if answer.is_ok() { 0 } else { FAULT }
}

/// Counts the call, lets a fault answer in its place, and makes an error number of what it gives.
fn run(
    caller: &mut Call<'_>,
    name: &'static str,
    call: impl FnOnce(&mut Call<'_>) -> u32,
) -> wasmtime::Result<u32> {
    caller.data().allow(name)?;
    let made = caller.data().common.called(name);
    Ok(made.unwrap_or_else(|| call(caller)))
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for space in WASI_SPACES {
        time_and_chance(linker, space)?;
        files(linker, space)?;
        output(linker, space)?;
        surroundings(linker, space)?;
    }
    Ok(())
}

/// Gathers the pieces that are written to the standard output or error.
fn pieces(caller: &mut Call<'_>, at: u32, count: u32) -> Answer<Vec<u8>> {
    let table = memory::read(caller, at, count.min(PIECES_MAX) * 8)?;
    let mut bytes = Vec::new();
    for piece in table.chunks_exact(8) {
        let part = |range| -> u32 {
            let part: Option<&[u8]> = piece.get(range);
            let part = part.and_then(|part| part.try_into().ok());
            part.map_or(0, u32::from_le_bytes)
        };
        bytes.extend(memory::read(caller, part(0..4), part(4..8))?);
        if bytes.len() > memory::BYTES_MAX as usize {
            return Err(INVALID_MEMORY_ACCESS);
        }
    }
    Ok(bytes)
}

/// What a guest prints is logged, errors as errors, without the last line's end.
fn print(caller: &mut Call<'_>, file: u32, at: u32, count: u32, written_at: u32) -> u32 {
    let level = match file {
        1 => 2,
        2 => 4,
        _ => return BAD_FILE,
    };
    let Ok(bytes) = pieces(caller, at, count) else {
        return FAULT;
    };
    let written = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let guest = caller.data();
    if !bytes.is_empty() {
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        guest.common.log.borrow_mut().push(LogLine {
            at: guest.common.now.get(),
            vm: guest.vm,
            level,
            text: String::from_utf8_lossy(line).into_owned(),
        });
    }
    errno(memory::write(caller, written_at, &written.to_le_bytes()))
}

fn output(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    linker.func_wrap(
        space,
        "fd_write",
        |mut c: Call<'_>, file: u32, at: u32, count: u32, written_at: u32| {
            run(&mut c, "fd_write", |c| {
                print(c, file, at, count, written_at)
            })
        },
    )?;
    // Nothing happens: a guest that meant its end runs into its own trap behind it.
    linker.func_wrap(
        space,
        "proc_exit",
        |c: Call<'_>, _code: u32| -> wasmtime::Result<()> {
            c.data().allow("proc_exit")?;
            c.data().common.called("proc_exit");
            Ok(())
        },
    )?;
    Ok(())
}

fn files(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    linker.func_wrap(space, "fd_close", |mut c: Call<'_>, _: u32| {
        run(&mut c, "fd_close", |_| 0)
    })?;
    linker.func_wrap(
        space,
        "fd_seek",
        |mut c: Call<'_>, _: u32, _: i64, _: u32, _: u32| run(&mut c, "fd_seek", |_| 0),
    )?;
    linker.func_wrap(
        space,
        "fd_fdstat_get",
        |mut c: Call<'_>, file: u32, at: u32| {
            run(&mut c, "fd_fdstat_get", |c| {
                if !matches!(file, 1 | 2) {
                    return BAD_FILE;
                }
                let rights = [0, RIGHT_TO_WRITE, 0].map(u64::to_le_bytes).concat();
                // A bad pointer is passed over in silence.
                let _ = memory::write(c, at, &rights);
                0
            })
        },
    )?;
    linker.func_wrap(
        space,
        "fd_prestat_get",
        |mut c: Call<'_>, _: u32, _: u32| run(&mut c, "fd_prestat_get", |_| BAD_FILE),
    )?;
    linker.func_wrap(
        space,
        "poll_oneoff",
        |mut c: Call<'_>, _: u32, _: u32, _: u32, _: u32| run(&mut c, "poll_oneoff", |_| 0),
    )?;
    linker.func_wrap(space, "sched_yield", |mut c: Call<'_>| {
        run(&mut c, "sched_yield", |_| 0)
    })?;
    Ok(())
}

fn time_and_chance(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    linker.func_wrap(
        space,
        "clock_time_get",
        |mut c: Call<'_>, clock: u32, _precision: u64, at: u32| {
            run(&mut c, "clock_time_get", |c| {
                let common = &c.data().common;
                let time = match clock {
                    0 => common.wall(),
                    1 => common.now.get(),
                    _ => return NO_SUCH_CLOCK,
                };
                errno(memory::write(c, at, &time.to_le_bytes()))
            })
        },
    )?;
    linker.func_wrap(
        space,
        "random_get",
        |mut c: Call<'_>, at: u32, size: u32| {
            run(&mut c, "random_get", |c| {
                if size > RANDOM_MAX {
                    return INVALID;
                }
                let mut bytes = vec![0; size as usize];
                c.data_mut().random.fill_bytes(&mut bytes);
                errno(memory::write(c, at, &bytes))
            })
        },
    )?;
    Ok(())
}

/// The environment as `NAME=value` and an end, one after the other.
fn environment(guest: &Guest) -> Vec<Vec<u8>> {
    let all = guest.settings.environment.iter();
    all.map(|(name, value)| format!("{name}={value}\0").into_bytes())
        .collect()
}

fn sizes(c: &mut Call<'_>, all: &[Vec<u8>], count_at: u32, size_at: u32) -> Answer {
    let size: usize = all.iter().map(Vec::len).sum();
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    memory::write(c, count_at, &word(all.len()))?;
    memory::write(c, size_at, &word(size))
}

fn variables(c: &mut Call<'_>, mut table: u32, mut at: u32) -> Answer {
    for variable in environment(c.data()) {
        memory::write(c, table, &at.to_le_bytes())?;
        memory::write(c, at, &variable)?;
        table = table.saturating_add(4);
        at = at.saturating_add(u32::try_from(variable.len()).unwrap_or(u32::MAX));
    }
    Ok(())
}

/// The environment of the VM's configuration, and no arguments.
fn surroundings(linker: &mut Linker<Guest>, space: &str) -> wasmtime::Result<()> {
    linker.func_wrap(
        space,
        "environ_sizes_get",
        |mut c: Call<'_>, count_at: u32, size_at: u32| {
            run(&mut c, "environ_sizes_get", |c| {
                let all = environment(c.data());
                errno(sizes(c, &all, count_at, size_at))
            })
        },
    )?;
    linker.func_wrap(
        space,
        "environ_get",
        |mut c: Call<'_>, table: u32, at: u32| {
            run(&mut c, "environ_get", |c| errno(variables(c, table, at)))
        },
    )?;
    linker.func_wrap(
        space,
        "args_sizes_get",
        |mut c: Call<'_>, count_at: u32, size_at: u32| {
            run(&mut c, "args_sizes_get", |c| {
                errno(sizes(c, &[], count_at, size_at))
            })
        },
    )?;
    linker.func_wrap(space, "args_get", |mut c: Call<'_>, _: u32, _: u32| {
        run(&mut c, "args_get", |_| 0)
    })?;
    Ok(())
}
