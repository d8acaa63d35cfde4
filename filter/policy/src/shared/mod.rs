//! What all workers of one Envoy know together: the records in shared data, their keys, and how one step is taken on them.
//!
//! [`state`] is how rules see them: typed records under typed keys. [`store`] keeps those as bytes, and has the one loop of
//! compare and swap. [`envelope`] seals bytes, so that damage and other versions are seen.
//! [`record`] is an upstream's state, [`upstream`] takes one step on it. [`leases`] says who holds what of that which is bounded
//! over all VMs, [`members`] which of them live. [`keys`] makes every key. [`registry`], [`authorities`] and [`configurations`] bound
//! and name what there is.
//!
//! **Where a layout goes:** what several rules read stands here, beside its steps ([`record`], [`leases`], [`members`], [`authorities`]); what
//! one rule has for itself is in that rule's module, in `codec.rs` where it is long. All are written and read by [`envelope`]'s
//! `Writer` and `Reader`, which is what a [`state::SharedRecord`] has for its form as bytes, and what is no record is told by
//! [`state::Unreadable`]. Every key is made in [`keys`], with the type of its record.

pub mod authorities;
pub mod configurations;
pub(crate) mod envelope;
pub mod governed_upstream;
pub mod instance;
pub mod keys;
pub mod leases;
pub mod members;
pub mod process_key;
pub mod record;
pub mod registry;
pub mod state;
pub mod store;
pub mod upstream;
pub mod upstream_view;
pub mod values;
