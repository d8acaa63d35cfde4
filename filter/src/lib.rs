//! Seawall's filter: the policies of `seawall_policy` joined to Envoy by Proxy-Wasm.
//!
//! **Architecture invariant:** nothing here decides. A request is read as facts, the policy is asked, and what it says is
//! applied. No header byte, host status, record or configuration may panic: a panic kills the VM and every request in it.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod account;
mod answer;
mod arrival;
mod attempt;
mod attempts;
mod facts;
mod host;
mod names;
mod page;
mod process_key;
mod request;
mod root;
mod seats;
mod seen;
mod stale;
mod steer;
mod stream;
mod telemetry;
mod upstreams;
mod worker;
