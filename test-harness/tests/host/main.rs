//! The host, with small modules of its own and with the filter.

mod abi;
mod attempts;
mod bounds;
mod cost;
mod filter;
mod grace;
mod hostile;
mod interleaved;
mod ledger;
mod modules;
mod outcomes;
