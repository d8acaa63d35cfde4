//! The harness: Proxy-Wasm host, simulation, traces and reports, on a virtual clock.

pub mod abi;
pub mod baseline;
pub mod bench;
pub mod chaos;
pub mod check;
pub mod cli;
pub mod document;
pub mod explore;
pub mod fault;
pub mod gameday;
pub mod host;
pub mod lanes;
pub mod measure;
pub mod module;
pub mod parallel;
pub mod process;
pub mod random;
pub mod report;
pub mod router;
pub mod sim;
pub mod stdout;
pub mod trace;
pub mod tune;
pub mod world;
