//! The record of a game day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::phases::Sign;
use super::play::Happened;

/// The version of the record's format.
pub(super) const VERSION: u32 = 1;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All phases were played.
    Finished,
    /// Somebody ended it.
    Interrupted,
}

/// What should be seen, and who saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Where.
    pub sign: Sign,
    /// What.
    pub what: String,
    /// Who saw it; null if nobody did.
    pub who: Option<String>,
    /// Whether it was there as the phase was played; null where a simulation has none of it.
    pub happened: Option<bool>,
}

/// A question, and what was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionRecord {
    /// Its name.
    pub id: String,
    /// What was asked.
    pub ask: String,
    /// What was answered; null if nothing was.
    pub answer: Option<String>,
    /// Whether the team took the hint.
    pub hinted: bool,
    /// The right answer.
    pub expected: String,
    /// Points that it got.
    pub points: f64,
    /// Points that there are.
    pub of: f64,
}

/// A phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Its name.
    pub name: String,
    /// When it begins, in milliseconds since the beginning.
    pub from_ms: u64,
    /// When it ends.
    pub to_ms: u64,
    /// What the team was told.
    pub told: String,
    /// Who was to be called.
    pub escalation: Option<String>,
    /// What happened.
    pub happened: Happened,
    /// What should be seen, and who saw it.
    pub seen: Vec<Seen>,
    /// Questions and answers.
    pub questions: Vec<QuestionRecord>,
}

/// Something that happened, on the virtual clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When, in milliseconds since the beginning.
    pub at_ms: u64,
    /// What.
    pub what: String,
}

/// What the team did not see, or did not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// In which phase.
    pub phase: String,
    /// What was missed.
    pub what: String,
    /// What would have been right, or where it is seen.
    pub right: String,
}

/// The score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Points that the team got: for what it saw, and for its answers.
    pub points: f64,
    /// Points that there are.
    pub of: f64,
    /// In percent.
    pub percent: f64,
    /// What the scenario asks for, in percent.
    pub pass_percent: f64,
}

/// The record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The version of this format.
    pub version: u32,
    /// What was played.
    pub title: String,
    /// What the team was to learn.
    pub goal: String,
    /// The scenario's file.
    pub scenario: String,
    /// The runbook.
    pub runbook: String,
    /// The day.
    pub day: String,
    /// How it ended.
    pub status: Status,
    /// Who did what.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Seed of all chance.
    pub seed: u64,
    /// The command that plays it again.
    pub reproduce: String,
    /// The score.
    pub score: Score,
    /// Whether it was finished, the score is enough, and everything went wrong as the scenario says.
    pub passed: bool,
    /// The phases that were played.
    pub phases: Vec<PhaseRecord>,
    /// What happened, in order.
    pub timeline: Vec<Moment>,
    /// What was not seen, or not known.
    pub gaps: Vec<Gap>,
}
