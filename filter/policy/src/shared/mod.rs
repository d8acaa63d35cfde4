//! What all workers of one Envoy know together: the records in shared data, their keys, and how one step is taken on them.
//!
//! [`state`] is how rules see them: typed records under typed keys. [`store`] keeps those as bytes, and has the one loop of
//! compare and swap. [`envelope`] seals bytes, so that damage and other versions are seen.
//! [`record`] is an upstream's state, [`upstream`] takes one step on it. [`keys`] makes every key. [`registry`], [`authorities`]
//! and [`configurations`] bound and name what there is.

pub mod authorities;
pub mod configurations;
pub(crate) mod envelope;
pub mod keys;
pub mod process_key;
pub mod record;
pub mod registry;
pub mod state;
pub mod store;
pub mod upstream;
