//! What a suite must reach. A goal is met where each experiment reaches it.

use serde::Serialize;

use super::row::Row;

/// What each experiment must reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Each probe within its tolerance, and healed in time.
    PassRate,
    /// Well at the end, without anybody's help.
    AutomaticRecovery,
    /// Breakers closed within what is left of their open interval, the latency of their probes, and two seconds.
    ClosedInTime,
    /// All requests admitted within the policy's ramp after that.
    AdmittedInTime,
    /// Its controls failed as they should.
    ControlsFailed,
}

/// A goal, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What.
    pub what: Wanted,
    /// In how many of the experiments, in percent.
    pub wanted_percent: f64,
    /// In how many it is so, in percent.
    pub found_percent: f64,
    /// How many experiments there are.
    pub experiments: usize,
    /// Those that miss it.
    pub missed: Vec<String>,
    /// Whether it is met.
    pub met: bool,
}

impl Wanted {
    /// All of them, the most important first.
    pub const ALL: [Self; 5] = [
        Self::PassRate,
        Self::AutomaticRecovery,
        Self::ClosedInTime,
        Self::AdmittedInTime,
        Self::ControlsFailed,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PassRate => "pass rate",
            Self::AutomaticRecovery => "automatic recovery",
            Self::ClosedInTime => "breakers closed in time",
            Self::AdmittedInTime => "all admitted in time",
            Self::ControlsFailed => "controls failed as they should",
        }
    }

    fn reached(self, row: &Row) -> bool {
        match self {
            Self::PassRate => row.seawall.passed,
            Self::AutomaticRecovery => row.seawall.recovered,
            Self::ClosedInTime => row.healing.closed_in_time(),
            Self::AdmittedInTime => row.healing.admitted_in_time(),
            Self::ControlsFailed => row.controls_held.is_empty(),
        }
    }
}

impl Goal {
    pub(super) fn of(what: Wanted, rows: &[Row]) -> Self {
        let wanted_percent = 100.0;
        let missed = rows.iter().filter(|row| !what.reached(row));
        let missed: Vec<String> = missed.map(|row| row.experiment.clone()).collect();
        let reached = rows.len() - missed.len();
        let found_percent = 100.0 * reached as f64 / rows.len().max(1) as f64;
        Self {
            what,
            wanted_percent,
            found_percent,
            experiments: rows.len(),
            missed,
            met: found_percent >= wanted_percent,
        }
    }

    /// As a line.
    pub(super) fn told(&self) -> String {
        let word = if self.met { "met   " } else { "MISSED" };
        let reached = self.experiments - self.missed.len();
        let missed = match self.missed.is_empty() {
            true => String::new(),
            false => format!(
                ", {:.0} % wanted; not: {}",
                self.wanted_percent,
                self.missed.join(", ")
            ),
        };
        format!(
            "{word}  {}: {:.0} % ({reached} of {}){missed}",
            self.what.name(),
            self.found_percent,
            self.experiments
        )
    }
}
