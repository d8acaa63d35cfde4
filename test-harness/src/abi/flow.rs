//! How a guest steers a stream from elsewhere: which context it speaks for, going on, cutting off, being done.

use wasmtime::{Caller, Linker};

use super::Guest;
use super::calls::run;
use super::memory;
use super::status::{BAD_ARGUMENT, NOT_FOUND};
use super::stream::{Action, REQUEST_TRAILERS};

type Call<'a> = Caller<'a, Guest>;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut c: Call<'_>, id: u32| {
            run(&mut c, "proxy_set_effective_context", |c| {
                let guest = c.data_mut();
                if !guest.streams.contains_key(&id) && !guest.roots.contains(&id) {
                    return Err(BAD_ARGUMENT);
                }
                guest.context = id;
                Ok(())
            })
        },
    )?;
    for (name, actions) in [
        (
            "proxy_continue_stream",
            [Action::ResumeRequest, Action::ResumeResponse],
        ),
        (
            "proxy_close_stream",
            [Action::ResetRequest, Action::ResetResponse],
        ),
    ] {
        linker.func_wrap("env", name, move |mut c: Call<'_>, kind: u32| {
            run(&mut c, name, |c| {
                let action = actions.get(kind as usize).ok_or(BAD_ARGUMENT)?;
                let guest = c.data_mut();
                let stream = guest.streams.get_mut(&guest.context);
                let stream = stream.ok_or(BAD_ARGUMENT)?;
                stream.actions.push(*action);
                // What goes on is out of the guest's reach.
                match action {
                    Action::ResumeRequest => stream.open.retain(|map| *map > REQUEST_TRAILERS),
                    Action::ResumeResponse => stream.open.retain(|map| *map <= REQUEST_TRAILERS),
                    Action::ResetRequest | Action::ResetResponse => {}
                }
                Ok(())
            })
        })?;
    }
    linker.func_wrap("env", "proxy_done", |mut c: Call<'_>| {
        run(&mut c, "proxy_done", |c| {
            let guest = c.data_mut();
            let context = guest.context;
            let stream = guest.streams.get_mut(&context).ok_or(NOT_FOUND)?;
            if !std::mem::take(&mut stream.lingers) {
                return Err(NOT_FOUND);
            }
            guest.finished.push(context);
            Ok(())
        })
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_status",
        |mut c: Call<'_>, code_at: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_status", |c| {
                memory::write(c, code_at, &0_u32.to_le_bytes())?;
                memory::hand_over(c, &[], at, size_at)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |mut c: Call<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| {
            run(&mut c, "proxy_call_foreign_function", |_| Err(NOT_FOUND))
        },
    )?;
    Ok(())
}
