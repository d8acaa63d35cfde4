//! Seawall's Wasm body: the core, `seawall_policy`, joined to Envoy by Proxy-Wasm.
//!
//! **Architecture invariant:** nothing here decides. A callback becomes an event, host calls answer the core's questions, and
//! what the core wants done is applied. No header byte, host status, record or configuration may panic: a panic kills the VM and every request in it.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::too_many_lines
    )
)]

mod body;
mod entry;
mod host;
mod root;
mod stream;
mod worker;
