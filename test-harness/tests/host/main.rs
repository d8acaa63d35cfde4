//! The host, with small modules of its own and with the filter.

mod abi;
mod attempts;
mod bounds;
mod buffers;
mod call_outs;
mod connections;
mod cost;
mod ends;
mod filter;
mod foreign;
mod grace;
mod grpc;
mod header_maps;
mod hostile;
mod interleaved;
mod ledger;
mod metrics;
mod modules;
mod nonsense;
mod outcomes;
mod owed;
mod own_probe;
mod page;
mod places;
mod probe;
mod properties;
mod queues;
#[path = "../shipped/mod.rs"]
mod shipped;
mod stale;
mod steering;
mod strangers;
mod together;
mod updates;
mod versions;
mod wasi;
