//! Chaos experiments: files in the format of Chaos Toolkit, played in the simulation, and on whatever else is a [`Target`].
//!
//! An experiment says what users should get (its hypothesis), what is done to the system (its method), and how that ends. The
//! same file is run here in one go on a virtual clock, and by `chaos run` step by step: each step is a call of the program,
//! which keeps what was done so far in a session.

mod ask;
mod course;
mod document;
mod extension;
mod goal;
mod healing;
mod invariants;
mod journal;
mod judge;
mod overall;
mod page;
mod pair;
mod play;
mod row;
mod session;
mod shrink;
mod step;
mod storm;
mod suite;
mod summary;
mod table;
mod target;
mod timeline;
mod tolerance;
mod workload;

pub use ask::{Answer, Ask, Window};
pub use course::Course;
pub use document::{Activity, Experiment};
pub use extension::{Against, Control};
pub use goal::{Goal, Wanted};
pub use healing::Healing;
pub use invariants::{Broken, Invariant, StormError, Tried};
pub use journal::{Journal, Status};
pub use overall::Overall;
pub use page::page;
pub use pair::{Pair, Pairs};
pub use play::{PlayError, Played, Stage, Verdict};
pub use row::{Outcome, Row};
pub use session::Session;
pub use shrink::{Shrunk, shrink};
pub use step::Step;
pub use storm::{Gust, Storm};
pub use suite::Suite;
pub use summary::Summary;
pub use table::{junit, table};
pub use target::{Target, TargetError, lane_seconds, play_on};
pub use timeline::{Surge, Timeline};
pub use workload::Workload;
