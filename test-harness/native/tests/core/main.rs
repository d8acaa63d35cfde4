//! The core as a body sees it: events in, effects out, on a native host. No wasm and no Envoy.
//!
//! All that runs in one thread runs twice: with the state as bytes, and with the state as typed values.
#![expect(
    clippy::duplicate_mod,
    reason = "the suite runs on both implementations of the state"
)]

mod bytes;
mod questions;
mod threads;
mod typed;
