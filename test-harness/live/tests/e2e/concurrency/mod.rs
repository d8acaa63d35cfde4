//! How many requests are in flight, and who holds what.

mod aborts;
pub(crate) mod dead_vms;
mod slots;
mod upgraded;
