//! The host, with small modules of its own and with the filter.

mod cost;
mod filter;
mod interleaved;
mod modules;
