//! A change of state, with its cause in figures: what a log line, a metric and a report say about it.

use std::fmt;

use crate::breaker::window::Counts;
use crate::ratio::Share;
use crate::time::{Span, Timestamp};

/// A breaker's state without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests pass and are counted.
    Closed,
    /// A few requests pass, to find out.
    HalfOpen,
    /// Nothing passes.
    Open,
}

impl Phase {
    /// The label in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// The value of the state's gauge.
    pub const fn gauge(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Closed: too large a share failed.
    FailureRate {
        /// What stood in the window.
        counts: Counts,
        /// What was allowed.
        threshold: Share,
    },
    /// Closed: too large a share was slow.
    SlowRate {
        /// What stood in the window.
        counts: Counts,
        /// What was allowed.
        threshold: Share,
    },
    /// Closed: so many failures in a row.
    Consecutive {
        /// How many.
        failures: u32,
    },
    /// Open: its time is over.
    TimeOver,
    /// Open: it answered the own probe.
    OwnProbe,
    /// Half-open: the probes were good.
    ProbesGood {
        /// The verdicts.
        counts: Counts,
    },
    /// Half-open: the probes were not good.
    ProbesBad {
        /// The verdicts.
        counts: Counts,
    },
    /// Half-open: no verdict came for long, and so many own probes in a row were good.
    OwnProbes {
        /// How many.
        good: u32,
    },
    /// A later configuration made it start anew.
    Reconfigured,
    /// An operator reset it.
    Operator,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailureRate { counts, threshold } => write!(
                f,
                "failures={} calls={} threshold=\"{threshold}\"",
                counts.failures, counts.calls
            ),
            Self::SlowRate { counts, threshold } => write!(
                f,
                "slow={} calls={} threshold=\"{threshold}\"",
                counts.slow, counts.calls
            ),
            Self::Consecutive { failures } => write!(f, "consecutive_failures={failures}"),
            Self::TimeOver => write!(f, "open_time=over"),
            Self::OwnProbe => write!(f, "own_probe=good"),
            Self::ProbesGood { counts } | Self::ProbesBad { counts } => write!(
                f,
                "probes={} failures={} slow={}",
                counts.calls, counts.failures, counts.slow
            ),
            Self::OwnProbes { good } => write!(f, "own_probes_good={good}"),
            Self::Reconfigured => write!(f, "configuration=new"),
            Self::Operator => write!(f, "operator=reset"),
        }
    }
}

/// One change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: Phase,
    /// The state after.
    pub to: Phase,
    /// When: a timed transition carries the time at which it was due, not at which it was noticed.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// The generation it began.
    pub generation: u64,
    /// How long the breaker will be open, where it opened.
    pub open_for: Option<Span>,
    /// Trips in a row, this one included.
    pub trips: u32,
}

impl fmt::Display for Transition {
    /// `closed -> open for=5.4s trips=1 failures=12 calls=20 threshold="50 %"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from.name(), self.to.name())?;
        if let Some(open_for) = self.open_for {
            write!(f, " for={}ms trips={}", open_for.as_millis(), self.trips)?;
        }
        write!(f, " {} generation={}", self.cause, self.generation)
    }
}
