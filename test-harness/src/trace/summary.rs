//! What an import found: how much was read, what was left out and why, and which lines are bad.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use seawall_policy::priority::Priority;

use super::{Format, Left};
use crate::report::words::counted;

/// So many bad lines are named; all are counted.
const NAMED: usize = 10;

/// A line that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Counted from 1; in HAR files and JSON arrays, the entry.
    pub line: u64,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What the log is.
    pub format: Format,
    /// Requests.
    pub requests: u64,
    /// From the first one's start to the last one's, in microseconds.
    pub length_us: u64,
    /// Lines that are no requests, though nothing is wrong with them.
    pub left: BTreeMap<Left, u64>,
    /// Lines that do not fit.
    pub bad: u64,
    /// The first of them.
    pub named: Vec<BadLine>,
    /// Requests that the log says failed.
    pub failed: u64,
    /// Requests of which the log says what became of them, by a status or a flag.
    pub outcomes: u64,
    /// Requests whose priority is no known one, and the first of them.
    pub unknown_priorities: Option<(u64, String)>,
    /// Requests that were spread over the whole second that the log says they came in.
    pub spread: u64,
    /// A time was given for requests that lack one, and none does.
    pub unused_service_time: bool,
    /// Requests for which the log says no length of time, and what was taken instead, in microseconds.
    pub untimed: Option<(u64, u64)>,
    /// Requests that ended so long after their start that they stand behind later ones.
    pub late: u64,
    /// Keys that `--fields` names and that no line has.
    pub unmet: Vec<String>,
}

impl Summary {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            requests: 0,
            length_us: 0,
            left: BTreeMap::new(),
            bad: 0,
            named: Vec::new(),
            failed: 0,
            outcomes: 0,
            unknown_priorities: None,
            spread: 0,
            unused_service_time: false,
            untimed: None,
            late: 0,
            unmet: Vec::new(),
        }
    }

    pub(super) fn bad(&mut self, line: u64, problem: String) {
        self.bad += 1;
        if self.named.len() < NAMED {
            self.named.push(BadLine { line, problem });
        }
    }

    pub(super) fn left(&mut self, left: Left) {
        *self.left.entry(left).or_default() += 1;
    }

    /// What there is to say beyond the number of requests, line by line; nothing if all is well.
    pub fn remarks(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failed > 0 {
            writeln!(f, "  {} of them failed, as the log says", self.failed)?;
        }
        for (left, count) in &self.left {
            writeln!(f, "  left out: {} {}", lines(*count), left.words())?;
        }
        if let Some((count, micros)) = self.untimed {
            let millis = micros as f64 / 1_000.0;
            let requests = counted(count, "request");
            writeln!(
                f,
                "  the log does not say how long {requests} took: {millis} ms are taken (--service-time)"
            )?;
        }
        if self.unused_service_time {
            writeln!(
                f,
                "  --service-time changes nothing: every request says how long it took"
            )?;
        }
        // A trace that was made from nothing has no outcomes, and nobody expects them.
        if self.requests > 0 && self.outcomes == 0 && self.format != Format::Jsonl {
            writeln!(
                f,
                "  no request says what became of it, so what failed is not known: --fields status=KEY names what does"
            )?;
        }
        if let Some((count, name)) = &self.unknown_priorities {
            let known = Priority::ALL.map(Priority::name).join(", ");
            writeln!(
                f,
                "  {} with an unknown priority, such as \"{name}\": expected one of {known}; they have none",
                counted(*count, "request")
            )?;
        }
        if self.spread > 0 {
            writeln!(
                f,
                "  the log's times are whole seconds: {} are spread evenly over theirs",
                counted(self.spread, "request")
            )?;
        }
        for key in &self.unmet {
            writeln!(f, "  --fields names \"{key}\", and no line has that key")?;
        }
        if self.late > 0 {
            writeln!(
                f,
                "  {} ended so late that they stand behind later ones (a replay sorts them)",
                counted(self.late, "request")
            )?;
        }
        if self.bad > 0 {
            writeln!(
                f,
                "  left out: {} not in the format {}",
                lines(self.bad),
                self.format.name()
            )?;
            for bad in &self.named {
                writeln!(f, "    line {}: {}", bad.line, bad.problem)?;
            }
            let more = self.bad - self.named.len() as u64;
            if more > 0 {
                writeln!(f, "    and {more} more")?;
            }
        }
        Ok(())
    }
}

fn lines(count: u64) -> String {
    counted(count, "line")
}
