//! The core of Seawall: it decides everything that a proxy does with a request, and does no I/O.
//!
//! A body tells it of events ([`stream::Stream`], [`worker::Worker`]), answers its questions and applies its effects ([`environment`]).
//!
//! **Architecture invariant:** this crate knows no Envoy, no clock, no randomness and no I/O: they are traits of the environment.
//! Everything here runs in tests, in the harness and in the data plane alike.
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
#![forbid(unsafe_code)]

mod attempt;
mod direction;
mod draws;
mod hash;
mod request;
mod response_facts;
pub mod telemetry;

pub mod admission;
pub mod authority;
pub mod breaker;
pub mod bulkhead;
pub mod concurrency;
pub mod control;
pub mod deadline;
pub mod decimal;
pub mod environment;
pub mod event_stream;
pub mod exempt;
pub mod fallback;
pub mod glob;
pub mod grpc;
pub mod health_check;
pub mod http_date;
pub mod json;
pub mod latency;
pub mod limiter;
pub mod liveness;
pub mod long_poll;
pub mod orca;
pub mod outcome;
pub mod path_pattern;
pub mod policy;
pub mod position;
pub mod priority;
pub mod propagation;
pub mod protobuf_wire;
pub mod ratio;
pub mod retry;
pub mod retry_budget;
pub mod route;
pub mod shared;
pub mod shedding;
pub mod stale;
pub mod state_page;
pub mod stream;
pub mod text;
pub mod time;
pub mod trust;
pub mod worker;
