//! Seawall's core on a native body: one process with shared data, a clock and metrics, workers on it, and requests whose facts
//! are a table. Everything runs in one thread and follows from the seed.
//!
//! A fact that was never set is absent, as on a real host. A fact of another phase cannot be asked: the type of the phase does
//! not answer it.

mod effects;
mod facts;
mod process;
mod stream;
mod worker;

pub use facts::{AtBody, AtRequest, AtResponse, AtTrailers, Headers, SharedFacts, StreamFacts};
pub use process::{Process, Shared};
pub use stream::Request;
pub use worker::{Host, Worker};
