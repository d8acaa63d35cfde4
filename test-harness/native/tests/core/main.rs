//! The core as a body sees it: events in, effects out, on a native host in one thread. No wasm and no Envoy.

mod fallback;
mod hedges;
mod reasons;
mod replies;
