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
        clippy::arithmetic_side_effects,
        clippy::too_many_lines
    )
)]

mod account;
mod arrival;
mod attempt;
mod attempt_state;
mod entry;
mod facts;
mod host;
mod local_leases;
mod local_reply;
mod page;
mod process_key;
mod request;
mod response;
mod root;
mod sorted_map;
mod stale;
mod steer;
mod stream;
mod telemetry;
mod upstreams;
mod worker;
