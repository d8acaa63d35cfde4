//! Experiments that were played in the simulation and on another target: what both say, and where they differ.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::journal::Journal;
use super::row::{Outcome, Row};
use super::table::{controls, problems, seconds, verdict, xml};

/// Where a request is sent later than this, the machine has too much else to do.
const LATE_MS: u64 = 100;

/// One experiment on both.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// Its name.
    pub experiment: String,
    /// In the simulation.
    pub simulated: Row,
    /// On the target; null where it cannot be played there.
    pub real: Option<Row>,
    /// Why it cannot be played there.
    pub not_applicable: Option<String>,
    /// What the two say differently.
    pub differences: Vec<String>,
    /// The first time on the target, where it was played twice: the two said different things, and the machine had too much else to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Row>,
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub struct Pairs {
    /// The version of this format.
    pub version: u32,
    /// The target.
    pub target: String,
    /// How many experiments were played on both.
    pub played: usize,
    /// How many of these passed on the target.
    pub passed: usize,
    /// How many cannot be played there.
    pub not_applicable: usize,
    /// How many have other verdicts there than in the simulation.
    pub different: usize,
    /// Each of them.
    pub experiments: Vec<Pair>,
    /// Journals of experiments that were not played to their end, by their names.
    #[serde(skip)]
    pub interrupted: Vec<(String, Journal)>,
}

impl Pair {
    pub(super) fn of(simulated: Row, real: Option<Row>, not_applicable: Option<String>) -> Self {
        Self {
            experiment: simulated.experiment.clone(),
            differences: real
                .as_ref()
                .map_or_else(Vec::new, |real| differences(&simulated, real)),
            simulated,
            real,
            not_applicable,
            first: None,
        }
    }

    /// Whether the two say different things, and the machine had too much else to do.
    pub(super) fn is_disturbed(&self) -> bool {
        let late = self.real.as_ref().and_then(|real| real.sent_late_ms);
        !self.differences.is_empty() && late.is_some_and(|late| late > LATE_MS)
    }

    /// It was played once more on the target.
    pub(super) fn played_again(&mut self, real: Row) {
        self.differences = differences(&self.simulated, &real);
        self.first = self.real.replace(real);
    }

    /// Whether it passed wherever it was played, its controls failed as they should, and both say the same.
    pub fn passed(&self) -> bool {
        self.simulated.passed()
            && self.real.as_ref().is_none_or(Row::passed)
            && self.differences.is_empty()
    }
}

/// What two runs of an experiment say differently: how it ended, whether it deviated and in which probes, whether it recovered, and
/// whether its controls failed as they should.
fn differences(simulated: &Row, real: &Row) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, one: String, other: String| {
        if one != other {
            found.push(format!("{what}: {one} in the simulation, {other} here"));
        }
    };
    let name = |row: &Row| serde_json::to_string(&row.status).unwrap_or_default();
    compare("status", name(simulated), name(real));
    compare(
        "deviated",
        simulated.deviated.to_string(),
        real.deviated.to_string(),
    );
    let missed = |lane: &Outcome| match lane.missed.is_empty() {
        true => "none".to_owned(),
        false => lane.missed.join(", "),
    };
    compare(
        "missed probes",
        missed(&simulated.seawall),
        missed(&real.seawall),
    );
    let recovered = |row: &Row| row.seawall.recovered.to_string();
    compare("recovered by itself", recovered(simulated), recovered(real));
    let in_time = |row: &Row| row.healing.met.to_string();
    compare("recovered in time", in_time(simulated), in_time(real));
    for (one, other) in simulated.controls.iter().zip(&real.controls) {
        let held = |row: &Row| {
            let start = format!("{}: ", one.name);
            row.controls_held
                .iter()
                .any(|held| held.starts_with(&start))
        };
        compare(
            &format!("the control \"{}\" failed as it should", other.name),
            (!held(simulated)).to_string(),
            (!held(real)).to_string(),
        );
    }
    found
}

impl Pairs {
    pub(super) fn of(
        target: String,
        experiments: Vec<Pair>,
        interrupted: Vec<(String, Journal)>,
    ) -> Self {
        let count =
            |holds: &dyn Fn(&Pair) -> bool| experiments.iter().filter(|one| holds(one)).count();
        Self {
            version: 1,
            target,
            played: count(&|one| one.real.is_some()),
            passed: count(&|one| one.real.as_ref().is_some_and(Row::passed)),
            not_applicable: count(&|one| one.not_applicable.is_some()),
            different: count(&|one| !one.differences.is_empty()),
            experiments,
            interrupted,
        }
    }

    /// Whether all passed, and both targets say the same.
    pub fn passed(&self) -> bool {
        self.experiments.iter().all(Pair::passed)
    }

    /// As a table.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "experiment",
            "simulation",
            &self.target,
            "MTTR, simulation",
            &format!("MTTR, {}", self.target),
            "without it, or badly set, there",
            "the same",
        ]);
        for one in &self.experiments {
            let simulated = &one.simulated.seawall;
            let name = one.experiment.as_str();
            let recovers = seconds(simulated.time_to_recover_ms);
            let Some(real) = &one.real else {
                let there = "not applicable";
                table.add_row([name, verdict(simulated), there, &recovers, "-", "-", "-"]);
                continue;
            };
            let same = if one.differences.is_empty() {
                "yes"
            } else {
                "NO"
            };
            table.add_row([
                name,
                verdict(simulated),
                verdict(&real.seawall),
                recovers.as_str(),
                seconds(real.seawall.time_to_recover_ms).as_str(),
                controls(real),
                same,
            ]);
        }
        for column in [3, 4] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = format!("{table}\n");
        for one in &self.experiments {
            self.remarks(&mut text, one);
        }
        let _ = writeln!(
            text,
            "{}: {} of {} passed, {} with other verdicts than in the simulation, {} not applicable",
            self.target, self.passed, self.played, self.different, self.not_applicable
        );
        text
    }

    /// As JUnit's XML: each experiment that was played on the target is a test.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn junit(&self) -> Result<String, quick_junit::SerializeError> {
        xml(self.experiments.iter().filter_map(|one| {
            let real = one.real.as_ref()?;
            let both = problems(real)
                .into_iter()
                .chain(one.differences.iter().cloned());
            Some((real, both.collect()))
        }))
    }

    fn remarks(&self, text: &mut String, one: &Pair) {
        let name = &one.experiment;
        if let Some(why) = &one.not_applicable {
            let _ = writeln!(text, "{name}: not applicable: {why}");
        }
        for difference in &one.differences {
            let _ = writeln!(text, "{name}: {difference}");
        }
        if let Some(first) = &one.first {
            let _ = writeln!(
                text,
                "{name}: played twice: the first time its verdict was another one, and the machine had too much else to do: a request was \
                 sent {} ms late",
                first.sent_late_ms.unwrap_or(0)
            );
        }
        if one.is_disturbed() {
            let _ = writeln!(
                text,
                "{name}: the machine had too much else to do: latencies say nothing"
            );
        }
        let both = [
            ("simulation", Some(&one.simulated)),
            (self.target.as_str(), one.real.as_ref()),
        ];
        for (target, row) in both {
            let Some(row) = row.filter(|row| !row.passed()) else {
                continue;
            };
            for problem in problems(row) {
                let _ = writeln!(text, "{name}, {target}: {problem}");
            }
            let _ = writeln!(text, "again: {}", row.reproduce);
        }
    }
}
