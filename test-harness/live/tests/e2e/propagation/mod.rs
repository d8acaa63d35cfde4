//! What is passed on across an application.

mod diamond;
pub(crate) mod hops;
