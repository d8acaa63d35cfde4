//! The host, with small modules of its own and with the filter.

mod bounds;
mod cost;
mod filter;
mod interleaved;
mod modules;
