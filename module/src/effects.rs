//! What each effect of the core's is to Envoy. Applied while no lock is held: Envoy may call the module again meanwhile.

use seawall_policy::environment::effects::{Effect, HeadersOf, Reply};
use seawall_policy::fallback::FAILOVER;
use seawall_policy::grpc;

use crate::abi::{self, Filter, Map};
use crate::{attempts, errors};

/// Does what is to be done on a stream. Envoy may destroy the stream over a local reply, or when it goes on: `lives` says whether it did not.
pub(crate) fn apply(filter: Filter, effects: Vec<Effect>, lives: impl Fn() -> bool) {
    let mut reroutes = false;
    for effect in effects {
        reroutes |= changes_route(&effect);
        let may_end = matches!(effect, Effect::Reply(_) | Effect::Resume);
        one(filter, effect);
        if may_end && !lives() {
            return;
        }
    }
    if reroutes {
        abi::clear_route(filter);
    }
}

fn one(filter: Filter, effect: Effect) {
    let (call, done) = match effect {
        Effect::SetHeader(of, name, value) => (
            "set_header",
            abi::set_header(filter, map(of), &name, &value),
        ),
        Effect::RemoveHeader(of, name) => {
            ("remove_header", abi::remove_header(filter, map(of), &name))
        }
        Effect::LogField(key, value) => (
            "set_filter_state",
            abi::set_filter_state(filter, key, value.as_bytes()),
        ),
        Effect::KeepAttempts(bytes) => ("keep_attempts", attempts::keep(filter, &bytes)),
        Effect::Reply(reply) => return send(filter, &reply),
        Effect::Resume => return abi::resume(filter),
    };
    errors::succeeded(call, done);
}

/// Whether routes may match what it changes. The body of WebAssembly has no say in this: there Envoy picks the route anew after each change.
fn changes_route(effect: &Effect) -> bool {
    match effect {
        Effect::SetHeader(HeadersOf::Request, name, _) => name == FAILOVER,
        Effect::RemoveHeader(HeadersOf::Request, name) => **name == *FAILOVER.as_bytes(),
        _ => false,
    }
}

/// Sends a local reply. Envoy takes a gRPC caller's status from the HTTP status, unless a header says it.
fn send(filter: Filter, reply: &Reply) {
    let lines = reply.headers.iter();
    let mut lines: Vec<(&[u8], &[u8])> = lines
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .collect();
    let grpc = reply.grpc_status.filter(|_| is_grpc(filter));
    let grpc = grpc.map(|status| status.to_string());
    if let Some(status) = &grpc {
        lines.push((b"grpc-status", status.as_bytes()));
    }
    abi::send_response(filter, reply.status, &lines, &reply.body, &reply.details);
}

/// Whether the caller speaks gRPC, as Envoy decides it: by the request's content type.
fn is_grpc(filter: Filter) -> bool {
    let content_type = abi::header(filter, Map::Request, "content-type");
    content_type.is_some_and(|content_type| grpc::is_grpc(&content_type))
}

const fn map(of: HeadersOf) -> Map {
    match of {
        HeadersOf::Request => Map::Request,
        HeadersOf::Response => Map::Response,
    }
}
