//! Chaos experiments: files in the format of Chaos Toolkit, played in the simulation.
//!
//! An experiment says what users should get (its hypothesis), what is done to the system (its method), and how that ends. The
//! same file is run here in one go on a virtual clock, and by `chaos run` step by step: each step is a call of the program,
//! which keeps what was done so far in a session.

mod ask;
mod document;
mod extension;
mod healing;
mod invariants;
mod journal;
mod play;
mod session;
mod shrink;
mod step;
mod storm;
mod suite;
mod timeline;
mod tolerance;
mod workload;

pub use ask::{Answer, Ask, Window};
pub use document::{Activity, Experiment};
pub use extension::{Against, Control};
pub use healing::Healing;
pub use invariants::{Broken, Invariant, StormError, Tried};
pub use journal::{Journal, Status};
pub use play::{PlayError, Played, Stage, Verdict};
pub use session::Session;
pub use shrink::{Shrunk, shrink};
pub use step::Step;
pub use storm::{Gust, Storm};
pub use suite::{Row, Suite, junit, table};
pub use timeline::{Surge, Timeline};
pub use workload::Workload;
