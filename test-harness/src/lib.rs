//! The harness: Proxy-Wasm host, simulation, traces and reports, on a virtual clock.

pub mod abi;
pub mod worker;
