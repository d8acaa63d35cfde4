//! Values of a policy for a trace and its outage: what is tried, what is searched for, and what was found.
//!
//! A point has a level for each setting ([`space`]). The search ([`mod@search`]) plays points with the core natively, in parallel, and
//! compares them with the shipped default by the objectives ([`objective`]). Chance comes from a seed alone, and the search looks
//! at no clock and at no number of cores: the same arguments give the same policy.

pub mod found;
pub mod objective;
pub mod policy;
pub mod search;
pub mod space;

pub use found::{Found, Reason, Tried};
pub use objective::Objective;
pub use search::{Budget, search};
pub use space::Space;
