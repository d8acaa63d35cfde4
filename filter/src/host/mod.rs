//! What the host can do, one small file for each capability, every call a value and never a panic.
//!
//! A status that nobody expects is counted by the name of its call ([`errors`]) and becomes "nothing there": whoever
//! asked goes on without.

mod abi;
pub(crate) mod body;
pub(crate) mod calls;
pub(crate) mod clock;
pub(crate) mod errors;
pub(crate) mod headers;
pub(crate) mod log;
mod metrics;
pub(crate) mod plugin;
pub(crate) mod properties;
mod random;
pub(crate) mod reply;
mod shared;
pub(crate) mod streams;
