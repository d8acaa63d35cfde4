//! Game days: a team meets an outage that is played in the simulation, says what it sees, and learns what it did not see.
//!
//! A scenario has phases. What goes wrong in them is played first, so that each phase has its figures; then the team is led through
//! them, one by one, and what it says becomes the record.

mod answers;
mod check;
mod known;
pub(crate) mod markdown;
mod phases;
mod play;
mod record;
mod runbook;
mod scenario;
mod score;
mod walk;

pub use answers::{Answers, Scripted};
pub use phases::{Inject, Phase, Question, See, Sign};
pub use play::{Happened, Held, Told, play};
pub use record::{Gap, Moment, PhaseRecord, QuestionRecord, Record, Score, Seen, Status};
pub use runbook::{last_verified, verify};
pub use scenario::{Roles, Scenario};
pub use walk::{Head, Reply, Team, walk};
