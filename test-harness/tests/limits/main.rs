//! Adaptive limits on the same traces: Seawall's against those of the field, in front of servers with a queue.
//!
//! What is claimed of Seawall's stands in `claims`; the table of docs/limiter.md is printed by
//! `cargo test --workspace --release --locked --test limits table -- --ignored --nocapture`.
//! Times are nanoseconds since a run began, as in the simulation; rates are requests a second.

mod claims;
mod figures;
mod rivals;
mod run;
mod scene;
mod table;
