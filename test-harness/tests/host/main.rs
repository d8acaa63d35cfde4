//! The Proxy-Wasm host, with small modules of its own: no filter is needed.

mod abi;
mod attempts;
mod buffers;
mod call_outs;
mod connections;
mod foreign;
mod grpc;
mod header_maps;
mod metrics;
mod modules;
mod nonsense;
mod probe;
mod properties;
mod queues;
mod steering;
mod wasi;
