//! How a guest steers a stream from elsewhere: which context it speaks for, going on, cutting off, being done.

use wasmtime::{Caller, Linker};

use super::Guest;
use super::calls::run;
use super::memory::{self, Answer};
use super::status::{BAD_ARGUMENT, NOT_FOUND, UNIMPLEMENTED};
use super::stream::Action::{
    self, CloseDownstream, CloseUpstream, ResetRequest, ResetResponse, ResumeDownstream,
    ResumeRequest, ResumeResponse,
};
use super::stream::{REQUEST_BODY, REQUEST_TRAILERS, RESPONSE_BODY, UPSTREAM_DATA};

/// Number of a stream's side in the interface: a connection's upstream, which cannot be read on.
const UPSTREAM: u32 = UPSTREAM_DATA;

type Call<'a> = Caller<'a, Guest>;

/// Notes what a guest asks of a stream. A root has none, and a connection no request: nothing happens then.
fn act(caller: &mut Call<'_>, kind: u32, actions: &[Action]) -> Answer {
    let action = *actions.get(kind as usize).ok_or(BAD_ARGUMENT)?;
    let guest = caller.data_mut();
    let Some(stream) = guest.streams.get_mut(&guest.context) else {
        return Ok(());
    };
    let of_connection = matches!(action, ResumeDownstream | CloseDownstream | CloseUpstream);
    if of_connection != stream.connection {
        return Ok(());
    }
    stream.actions.push(action);
    let resumed = match action {
        ResumeRequest => REQUEST_BODY,
        ResumeResponse => RESPONSE_BODY,
        _ => return Ok(()),
    };
    // The request is out of the guest's reach, whichever side goes on; so is a body that waited.
    stream.open.retain(|map| map > REQUEST_TRAILERS);
    if let Some(went) = stream.bodies.remove(&resumed) {
        stream.passed.entry(resumed).or_default().extend(went);
    }
    Ok(())
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_set_effective_context",
        |mut c: Call<'_>, id: u32| {
            run(&mut c, "proxy_set_effective_context", |c| {
                let guest = c.data_mut();
                guest.context = match id {
                    // The context of no plugin stands for none: back to the one whose callback runs.
                    0 => guest.running,
                    id if guest.streams.contains_key(&id) || guest.roots.contains(&id) => id,
                    _ => return Err(BAD_ARGUMENT),
                };
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_continue_stream",
        |mut c: Call<'_>, kind: u32| {
            run(&mut c, "proxy_continue_stream", |c| {
                if kind == UPSTREAM {
                    return Err(UNIMPLEMENTED);
                }
                act(c, kind, &[ResumeRequest, ResumeResponse, ResumeDownstream])
            })
        },
    )?;
    for (name, kind) in [
        ("proxy_continue_request", 0),
        ("proxy_continue_response", 1),
    ] {
        linker.func_wrap("env", name, move |mut c: Call<'_>| {
            run(&mut c, name, |c| {
                act(c, kind, &[ResumeRequest, ResumeResponse])
            })
        })?;
    }
    linker.func_wrap("env", "proxy_clear_route_cache", |mut c: Call<'_>| {
        run(&mut c, "proxy_clear_route_cache", |c| {
            let guest = c.data_mut();
            if let Some(stream) = guest.streams.get_mut(&guest.context) {
                stream.route_cleared = true;
            }
            Ok(())
        })
    })?;
    linker.func_wrap("env", "proxy_close_stream", |mut c: Call<'_>, kind: u32| {
        run(&mut c, "proxy_close_stream", |c| {
            let all = [ResetRequest, ResetResponse, CloseDownstream, CloseUpstream];
            act(c, kind, &all)
        })
    })?;
    linker.func_wrap("env", "proxy_done", |mut c: Call<'_>| {
        run(&mut c, "proxy_done", |c| {
            let guest = c.data_mut();
            let root = guest.root_of(guest.context);
            if !guest.pending_done.remove(&root) {
                return Err(NOT_FOUND);
            }
            guest.finished.push(root);
            Ok(())
        })
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_status",
        |mut c: Call<'_>, code_at: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_get_status", |c| {
                let guest = c.data();
                let status = guest.call_status.get(&guest.context).cloned();
                let (code, text) = status.unwrap_or_default();
                memory::write(c, code_at, &code.to_le_bytes())?;
                memory::hand_over(c, &text, at, size_at)
            })
        },
    )?;
    Ok(())
}
