//! Seawall's second body: the core, `seawall_policy`, joined to Envoy as a dynamic module.
//!
//! Envoy loads the library into its own process and calls its hooks ([`exports`]). The core decides; this crate asks Envoy for facts
//! ([`facts`]), applies effects ([`effects`]), and keeps what all workers share in the memory of the process ([`state`]).
//!
//! **Architecture invariants:**
//! * A panic never leaves a hook: the request passes, and the panic is counted.
//! * No lock and no borrow is held while Envoy may call the module again: facts are asked under the lock of a thread, effects are
//!   applied without it.
//! * All that belongs to a thread stands behind one lock ([`thread`]), so that the main thread can do the tick of a thread without streams.
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

mod abi;
mod attempts;
mod clock;
mod configuration;
mod effects;
mod environment;
mod errors;
mod exports;
mod facts;
mod headers;
mod loaded;
mod logging;
mod metrics;
mod period;
mod state;
mod stream;
mod thread;
mod threads;
mod ticks;
