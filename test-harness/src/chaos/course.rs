//! How a lane was played: where, when it began, and whether somebody stopped it.

use crate::abi::wall;
use crate::sim::START;

/// How a lane was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// Where, as the journal says it.
    pub platform: String,
    /// The wall clock when the trace began, in nanoseconds since 1970.
    pub began: u64,
    /// When somebody stopped it, in nanoseconds since the trace began.
    pub interrupted: Option<u64>,
    /// How late the latest request was sent, in milliseconds: in real time, where the machine had something else to do.
    pub late_ms: Option<u64>,
}

impl Course {
    /// In the simulation, whose clock begins at the same time in every run: the same run gives the same bytes.
    pub fn simulated() -> Self {
        Self {
            platform: "simulation".to_owned(),
            began: wall(START),
            interrupted: None,
            late_ms: None,
        }
    }

    /// In the simulation, and stopped before it began.
    pub fn never_begun() -> Self {
        Self {
            interrupted: Some(0),
            ..Self::simulated()
        }
    }

    /// Whether it came as far, in nanoseconds since the trace began.
    pub(super) fn reached(&self, at: u64) -> bool {
        self.interrupted.is_none_or(|stopped| at <= stopped)
    }

    /// A time as the journal writes it, in nanoseconds since the trace began.
    pub(super) fn time(&self, at: u64) -> String {
        let nanos = i128::from(self.began.saturating_add(at));
        jiff::Timestamp::from_nanosecond(nanos)
            .map_or_else(|_| String::new(), |time| time.to_string())
    }
}
