//! The search over interleavings, and calls in every order with every content.

mod hostile;
mod search;
#[path = "../shipped/mod.rs"]
mod shipped;
