//! The functions by which a guest calls others over HTTP and gRPC. All memory is looked at before anything goes out.

use std::rc::Rc;

use wasmtime::{Caller, Linker};

use super::callouts::CallOut;
use super::calls::run;
use super::inline;
use super::memory::{self, Answer};
use super::proto;
use super::status::{BAD_ARGUMENT, INTERNAL_FAILURE, PARSE_FAILURE};
use super::stream::{self, HeaderMap, REQUEST_HEADERS};
use super::upstreams::{Cluster, GrpcCall, GrpcEvent, HttpCall};
use super::{Guest, NANOS_PER_MILLI};

type Call<'a> = Caller<'a, Guest>;

fn cluster(caller: &Call<'_>, name: &str) -> Option<Cluster> {
    caller.data().common.clusters.borrow().get(name).cloned()
}

fn pairs(caller: &mut Call<'_>, at: u32, size: u32) -> Answer<HeaderMap> {
    let bytes = memory::read(caller, at, size)?;
    Ok(stream::deserialise(&bytes).unwrap_or_default())
}

fn has(headers: &HeaderMap, names: &[&str]) -> bool {
    let named = |name: &&str| headers.iter().any(|(key, _)| key == name.as_bytes());
    names.iter().any(named)
}

/// Sends an HTTP call; its number.
fn http(caller: &mut Call<'_>, mut call: HttpCall, millis: u32) -> Answer<u32> {
    if i32::try_from(millis).is_err() {
        return Err(BAD_ARGUMENT);
    }
    let Some(cluster) = cluster(caller, &call.cluster) else {
        let text = format!(
            "a call to the cluster {:?}, which is not there",
            call.cluster
        );
        caller.data().common.warn(caller.data().vm, &text);
        return Err(BAD_ARGUMENT);
    };
    call.headers = inline::kept(REQUEST_HEADERS, call.headers);
    for names in [&[":path"][..], &[":method"], &[":authority"]] {
        if !has(&call.headers, names) {
            return Err(BAD_ARGUMENT);
        }
    }
    if !call.body.is_empty() {
        let length = call.body.len().to_string();
        inline::set(&mut call.headers, "content-length", length.as_bytes());
    }
    call.timeout = (millis > 0).then(|| u64::from(millis) * NANOS_PER_MILLI);
    let now = caller.data().common.now.get();
    let id = caller.data_mut().call_outs.http_id();
    let answer = match cluster {
        Cluster::Empty => return Err(INTERNAL_FAILURE),
        Cluster::Answered(upstream) => Some(upstream.http(&call)),
        Cluster::Held => None,
    };
    let guest = caller.data_mut();
    let root = guest.root_of(guest.context);
    guest.call_outs.begin(id, root, CallOut::Http(call), now);
    if let Some((after, outcome)) = answer {
        guest.call_outs.http(id, now.saturating_add(after), outcome);
    }
    Ok(id)
}

/// The cluster that a gRPC service names: by itself, or in Envoy's message for it.
fn grpc_cluster(caller: &Call<'_>, service: &[u8]) -> Answer<(String, Cluster)> {
    let name = String::from_utf8_lossy(service).into_owned();
    if let Some(cluster) = cluster(caller, &name) {
        return Ok((name, cluster));
    }
    let name = proto::fields(service)
        .and_then(|fields| proto::bytes(&fields, 1).map(<[u8]>::to_vec))
        .and_then(|envoy| proto::fields(&envoy).and_then(|fields| proto::text(&fields, 1)))
        .ok_or(PARSE_FAILURE)?;
    // A message is not checked against the clusters, so the call itself fails.
    let cluster = cluster(caller, &name).unwrap_or(Cluster::Empty);
    Ok((name, cluster))
}

fn later(caller: &mut Call<'_>, id: u32, events: Vec<(u64, GrpcEvent)>) {
    let now = caller.data().common.now.get();
    for (after, event) in events {
        let calls = &mut caller.data_mut().call_outs;
        calls.event(id, now.saturating_add(after), event);
    }
}

/// Opens a gRPC call or stream; its number.
fn grpc(caller: &mut Call<'_>, service: &[u8], mut call: GrpcCall, is_stream: bool) -> Answer<u32> {
    let (name, cluster) = grpc_cluster(caller, service)?;
    call.cluster = name;
    let now = caller.data().common.now.get();
    let guest = caller.data_mut();
    let root = guest.root_of(guest.context);
    let calls = &mut guest.call_outs;
    let id = if is_stream {
        calls.stream_id()
    } else {
        calls.grpc_id()
    };
    let upstream = match cluster {
        // Envoy 1.40 crashes here.
        Cluster::Empty => return Err(INTERNAL_FAILURE),
        Cluster::Answered(upstream) => Some(upstream),
        Cluster::Held => None,
    };
    if is_stream {
        calls.begin(id, root, CallOut::Stream(call.clone(), Vec::new()), now);
        if let Some(upstream) = upstream {
            later(caller, id, upstream.opened(&call));
        }
        return Ok(id);
    }
    calls.begin(id, root, CallOut::Grpc(call.clone()), now);
    if let Some(upstream) = upstream {
        let (after, outcome) = upstream.grpc(&call);
        calls.grpc(id, now.saturating_add(after), outcome);
    }
    Ok(id)
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    link_http(linker)?;
    link_grpc(linker)?;
    link_streams(linker)
}

fn link_http(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |mut c: Call<'_>,
         cluster: u32,
         cluster_size: u32,
         headers: u32,
         headers_size: u32,
         body: u32,
         body_size: u32,
         trailers: u32,
         trailers_size: u32,
         timeout: u32,
         id_at: u32| {
            run(&mut c, "proxy_http_call", |c| {
                let call = HttpCall {
                    cluster: memory::text(c, cluster, cluster_size)?,
                    body: memory::read(c, body, body_size)?,
                    headers: pairs(c, headers, headers_size)?,
                    trailers: pairs(c, trailers, trailers_size)?,
                    timeout: None,
                };
                // Written before the call goes out, so that a bad pointer stops it.
                memory::write(c, id_at, &0_u32.to_le_bytes())?;
                let id = http(c, call, timeout)?;
                memory::write(c, id_at, &id.to_le_bytes())
            })
        },
    )?;
    Ok(())
}

fn link_grpc(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_grpc_call",
        |mut c: Call<'_>,
         service: u32,
         service_size: u32,
         name: u32,
         name_size: u32,
         method: u32,
         method_size: u32,
         metadata: u32,
         metadata_size: u32,
         message: u32,
         message_size: u32,
         timeout: u32,
         id_at: u32| {
            run(&mut c, "proxy_grpc_call", |c| {
                let service = memory::read(c, service, service_size)?;
                let call = GrpcCall {
                    cluster: String::new(),
                    service: memory::text(c, name, name_size)?,
                    method: memory::text(c, method, method_size)?,
                    metadata: pairs(c, metadata, metadata_size)?,
                    message: memory::read(c, message, message_size)?,
                    timeout: (timeout > 0).then(|| u64::from(timeout) * NANOS_PER_MILLI),
                };
                // A bad pointer for the number does not take the call back, as in Envoy.
                let id = grpc(c, &service, call, false)?;
                memory::write(c, id_at, &id.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_stream",
        |mut c: Call<'_>,
         service: u32,
         service_size: u32,
         name: u32,
         name_size: u32,
         method: u32,
         method_size: u32,
         metadata: u32,
         metadata_size: u32,
         id_at: u32| {
            run(&mut c, "proxy_grpc_stream", |c| {
                let service = memory::read(c, service, service_size)?;
                let call = GrpcCall {
                    service: memory::text(c, name, name_size)?,
                    method: memory::text(c, method, method_size)?,
                    metadata: pairs(c, metadata, metadata_size)?,
                    ..GrpcCall::default()
                };
                let id = grpc(c, &service, call, true)?;
                memory::write(c, id_at, &id.to_le_bytes())
            })
        },
    )?;
    Ok(())
}

fn link_streams(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_grpc_send",
        |mut c: Call<'_>, id: u32, at: u32, size: u32, end: u32| {
            run(&mut c, "proxy_grpc_send", |c| {
                let message = memory::read(c, at, size)?;
                let sent = c.data_mut().call_outs.send(id, &message, end != 0)?;
                let Some(call) = sent else {
                    return Ok(());
                };
                if let Some(Cluster::Answered(upstream)) = cluster(c, &call.cluster) {
                    let upstream = Rc::clone(&upstream);
                    later(c, id, upstream.sent(&call, &message, end != 0));
                }
                Ok(())
            })
        },
    )?;
    linker.func_wrap("env", "proxy_grpc_cancel", |mut c: Call<'_>, id: u32| {
        run(&mut c, "proxy_grpc_cancel", |c| {
            c.data_mut().call_outs.cancel(id)
        })
    })?;
    linker.func_wrap("env", "proxy_grpc_close", |mut c: Call<'_>, id: u32| {
        run(&mut c, "proxy_grpc_close", |c| {
            c.data_mut().call_outs.close(id)
        })
    })?;
    Ok(())
}
