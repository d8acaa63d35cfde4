//! Seawall's core on a native body: one process with shared data, a clock and metrics, workers on it, and requests whose facts
//! are a table. A process and its workers run in one thread, and everything follows from the seed.
//!
//! The state that workers share stands there as bytes, as in Envoy, or as typed values ([`TypedState`]). Processes on several
//! threads can share the latter, as threads of one proxy would.
//!
//! A fact that was never set is absent, as on a real host. A fact of another phase cannot be asked: the type of the phase does
//! not answer it.

mod effects;
mod facts;
mod process;
mod questions;
mod stream;
mod typed;
mod worker;

pub use facts::{AtBody, AtRequest, AtResponse, AtTrailers, Headers, SharedFacts, StreamFacts};
pub use process::{Process, Shared};
pub use questions::{Asked, Question, Questions};
pub use stream::Request;
pub use typed::TypedState;
pub use worker::{Host, Worker};
