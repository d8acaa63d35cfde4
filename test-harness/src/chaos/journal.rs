//! What became of an experiment, as Chaos Toolkit writes it down.
//!
//! In a simulation all times are the virtual clock's, so that the same run gives the same bytes.

use serde::Serialize;
use serde_json::Value;

use super::ask::Answer;
use super::course::Course;

/// How an experiment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To its end.
    Completed,
    /// The hypothesis did not hold before anything was done.
    Failed,
    /// A condition to abort was met.
    Aborted,
    /// Somebody stopped it.
    Interrupted,
}

/// A journal.
#[derive(Clone, Debug, Serialize)]
pub struct Journal {
    /// Where it was played.
    pub platform: String,
    /// By what.
    pub node: &'static str,
    /// What was played.
    pub experiment: Value,
    /// When it began.
    pub start: String,
    /// How it ended.
    pub status: Status,
    /// Whether the hypothesis did not hold after all, or a probe in the method was out of its tolerance.
    pub deviated: bool,
    /// What the hypothesis' probes said.
    pub steady_states: SteadyStates,
    /// What was done.
    pub run: Vec<Entry>,
    /// What was done in the end.
    pub rollbacks: Vec<Entry>,
    /// When it ended.
    pub end: String,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// What the hypothesis' probes said.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SteadyStates {
    /// Before the method.
    pub before: Option<SteadyState>,
    /// After it.
    pub after: Option<SteadyState>,
    /// Never asked: probes in the method are.
    pub during: Vec<SteadyState>,
}

/// What they said at one time.
#[derive(Clone, Debug, Serialize)]
pub struct SteadyState {
    /// Whether all were within their tolerance.
    pub steady_state_met: bool,
    /// Each of them.
    pub probes: Vec<Entry>,
}

/// One activity that was done.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// As it is written.
    pub activity: Value,
    /// What it gave.
    pub output: Answer,
    /// When it began.
    pub start: String,
    /// Whether it could be done.
    pub status: &'static str,
    /// When it ended.
    pub end: String,
    /// How long it took, in seconds.
    pub duration: f64,
    /// Whether it was within its tolerance; null where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance_met: Option<bool>,
}

impl Entry {
    /// An activity that was done from one time to another, in nanoseconds since the trace began.
    pub(super) fn new(
        activity: Value,
        output: Answer,
        (from, to): (u64, u64),
        course: &Course,
        met: Option<bool>,
    ) -> Self {
        Self {
            activity,
            output,
            start: course.time(from),
            status: "succeeded",
            end: course.time(to),
            duration: (to - from) as f64 / 1e9,
            tolerance_met: met,
        }
    }
}
