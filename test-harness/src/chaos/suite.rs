//! Many experiments: a row for each, with its controls and Envoy's own means beside it, and what they say together.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::document::Experiment;
use super::extension::Against;
use super::healing::Healing;
use super::journal::{Journal, Status};
use super::play::{PlayError, Stage};
use crate::lanes::Other;
use crate::measure::{BlastRadius, Figures, Measure, lanes};
use crate::module::Module;
use crate::parallel::{self, cores};
use crate::report::{Report, VERSION};

/// What became of the experiment in one lane.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The lane.
    pub name: String,
    /// Whether the hypothesis held all along, and it recovered in time.
    pub passed: bool,
    /// The probes that were out of their tolerance.
    pub missed: Vec<String>,
    /// Requests with a good or a degraded answer, in percent.
    pub success_percent: f64,
    /// From the last fault's end to the last request without a good answer; null where it did not recover.
    pub time_to_recover_ms: Option<u64>,
    /// From the first fault to the first request that was kept from the upstream; null where none was.
    pub time_to_detect_ms: Option<u64>,
    /// Attempts that reached the upstream for each request.
    pub amplification: f64,
    /// What was hit.
    pub blast_radius: BlastRadius,
    /// Degraded answers for each refusal or error; null where there was neither.
    pub degraded_to_failed: Option<f64>,
    /// Whether it was well at the end, by itself.
    pub recovered: bool,
}

/// One experiment.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name: that of its file.
    pub experiment: String,
    /// What it is about.
    pub title: String,
    /// How it ended.
    pub status: Status,
    /// With Seawall.
    pub seawall: Outcome,
    /// How it healed.
    pub healing: Healing,
    /// What its hypothesis must fail against.
    pub controls: Vec<Outcome>,
    /// Controls that did not fail as they should, and which probes did not find them.
    pub controls_held: Vec<String>,
    /// With Envoy's own means.
    pub envoy: Outcome,
    /// Seed of all chance.
    pub seed: u64,
    /// The command that plays it again.
    pub reproduce: String,
    /// The journal.
    #[serde(skip)]
    pub journal: Journal,
    /// The report of all its lanes.
    #[serde(skip)]
    pub report: Report,
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub struct Suite {
    /// The version of this format.
    pub version: u32,
    /// How many.
    pub experiments: usize,
    /// How many passed.
    pub passed: usize,
    /// In percent.
    pub pass_rate: f64,
    /// How many systems recovered by themselves, in percent.
    pub automatic_recovery_rate: f64,
    /// How many experiments have controls that all failed as they should, in percent.
    pub controls_failed_rate: f64,
    /// How many hypotheses held with Envoy's own means.
    pub passed_with_envoy: usize,
    /// Degraded answers for each refusal or error, over all; null where there was neither.
    pub degraded_to_failed: Option<f64>,
    /// Each of them.
    pub rows: Vec<Row>,
}

impl Row {
    /// Whether it passed, and its controls failed as they should.
    pub fn passed(&self) -> bool {
        self.seawall.passed && self.controls_held.is_empty()
    }
}

impl Suite {
    /// Plays experiments, each in all its lanes. `progress` is told of each lane that was played, and says whether to go on.
    ///
    /// # Errors
    /// If a workload cannot be made, or the filter does not start.
    pub fn run(
        experiments: &[Experiment],
        module: &Module,
        progress: impl Fn() -> bool + Sync,
    ) -> Result<Self, PlayError> {
        let stages = experiments
            .iter()
            .map(|experiment| Stage::new(experiment, module));
        let stages = stages.collect::<Result<Vec<_>, _>>()?;
        let mut pieces = Vec::new();
        for (number, experiment) in experiments.iter().enumerate() {
            pieces.push((number, "Seawall".to_owned(), experiment.seawall()));
            for control in experiment.controls() {
                pieces.push((number, control.name.clone(), control.against.clone()));
            }
            let envoy = Against::Other(Other::Envoy);
            pieces.push((number, Other::Envoy.name().to_owned(), envoy));
        }
        let played = parallel::each(pieces.len(), cores(), |number| {
            let (stage, _, against) = &pieces[number];
            let played = progress().then(|| stages[*stage].run(against, || {}));
            played.transpose()
        });
        let played = played.ok_or(PlayError::Died)?;
        let mut rows = Vec::new();
        let mut played = pieces.into_iter().zip(played).peekable();
        for (number, experiment) in experiments.iter().enumerate() {
            let mut lanes = Vec::new();
            while let Some(((_, name, _), played)) = played.next_if(|((at, ..), _)| *at == number) {
                lanes.push((name, played?));
            }
            let found: Option<Vec<_>> = lanes
                .into_iter()
                .map(|(name, played)| Some((name, played?)))
                .collect();
            if let Some(found) = found {
                let row = row(experiment, &stages[number], module, found);
                rows.extend(row);
            }
        }
        Ok(Self::of(rows))
    }

    fn of(rows: Vec<Row>) -> Self {
        let count = |holds: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| holds(row)).count();
        let percent = |count: usize| 100.0 * count as f64 / rows.len().max(1) as f64;
        let passed = count(&|row| row.seawall.passed);
        let answers = rows.iter().filter_map(|row| row.report.lanes.last());
        let (degraded, bad) = answers.fold((0, 0), |(degraded, bad), lane| {
            let answers = lane.answers;
            (
                degraded + answers.degraded,
                bad + answers.refused + answers.failed,
            )
        });
        Self {
            version: 1,
            experiments: rows.len(),
            passed,
            pass_rate: percent(passed),
            automatic_recovery_rate: percent(count(&|row| row.seawall.recovered)),
            controls_failed_rate: percent(count(&|row| row.controls_held.is_empty())),
            passed_with_envoy: count(&|row| row.envoy.passed),
            degraded_to_failed: (bad > 0).then(|| degraded as f64 / bad as f64),
            rows,
        }
    }

    /// Whether all passed, and all controls failed as they should.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(Row::passed)
    }
}

/// The row of an experiment whose lanes were played: Seawall's first, Envoy's last.
fn row(
    experiment: &Experiment,
    stage: &Stage<'_>,
    module: &Module,
    mut played: Vec<(String, super::play::Played)>,
) -> Option<Row> {
    // Reports have the lane that is judged last.
    played.rotate_left(1);
    let verdicts: Vec<_> = played.iter().map(|(_, one)| one.verdict.clone()).collect();
    let names: Vec<_> = played.iter().map(|(name, _)| name.clone()).collect();
    let measured: Vec<(&str, Measure)> = names
        .iter()
        .map(String::as_str)
        .zip(played.into_iter().map(|(_, one)| one.measure))
        .collect();
    let figures = lanes(measured, stage.trouble());
    let reproduce = format!(
        "seawall chaos run {} --seed {}",
        crate::report::words::quoted(&experiment.file.to_string_lossy()),
        experiment.seed()
    );
    let mut outcomes: Vec<Outcome> = figures
        .iter()
        .zip(&verdicts)
        .map(|(lane, verdict)| outcome(lane, verdict.passed, &verdict.missed))
        .collect();
    let seawall = outcomes.pop()?;
    let envoy = outcomes.pop()?;
    let verdict = verdicts.into_iter().next_back()?;
    let mut held = Vec::new();
    for (control, outcome) in experiment.controls().iter().zip(&outcomes) {
        let missing: Vec<&str> = control
            .fails
            .iter()
            .filter(|name| !outcome.missed.contains(name))
            .map(String::as_str)
            .collect();
        if outcome.passed || !missing.is_empty() {
            held.push(format!("{}: {}", control.name, missing.join(", ")));
        }
    }
    let report = Report {
        version: VERSION,
        wasm_sha256: Some(module.sha256().to_owned()),
        reproduce: reproduce.clone(),
        seed: experiment.seed(),
        requests: stage.trace.len(),
        length_ms: stage.timeline.clock / 1_000_000,
        workers: experiment.extension.world.edge.workers,
        route_timeout_ms: experiment.extension.route_timeout / 1_000_000,
        faults: stage.scenario().faults.clone(),
        criteria: verdict.criteria,
        lanes: figures,
        ..Report::default()
    };
    Some(Row {
        experiment: experiment.name(),
        title: experiment.title.clone(),
        status: verdict.journal.status,
        seawall,
        healing: verdict.healing,
        controls: outcomes,
        controls_held: held,
        envoy,
        seed: experiment.seed(),
        reproduce,
        journal: verdict.journal,
        report,
    })
}

fn outcome(lane: &Figures, passed: bool, missed: &[String]) -> Outcome {
    let answers = &lane.answers;
    Outcome {
        name: lane.lane.clone(),
        passed,
        missed: missed.to_vec(),
        success_percent: 100.0 * answers.share(answers.good + answers.degraded),
        time_to_recover_ms: lane.time_to_recover_ms.filter(|_| lane.recovered),
        time_to_detect_ms: lane.time_to_detect_ms,
        amplification: lane.amplification,
        blast_radius: lane.blast_radius,
        degraded_to_failed: lane.degraded_to_failed,
        recovered: lane.recovered,
    }
}

/// The suite as a table.
pub fn table(suite: &Suite) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "experiment",
        "verdict",
        "MTTR",
        "detected",
        "requests hit",
        "degraded : failed",
        "answered",
        "without it, or badly set",
        "Envoy's own",
    ]);
    let seconds = |millis: Option<u64>| {
        millis.map_or_else(
            || "-".to_owned(),
            |millis| format!("{:.1} s", millis as f64 / 1_000.0),
        )
    };
    for row in &suite.rows {
        let lane = &row.seawall;
        let verdict = if lane.passed { "passed" } else { "FAILED" };
        let controls = match (row.controls.is_empty(), row.controls_held.is_empty()) {
            (true, _) => "-",
            (false, true) => "failed, as it should",
            (false, false) => "HELD",
        };
        let envoy = &row.envoy;
        let recovers = seconds(envoy.time_to_recover_ms);
        let word = if envoy.passed { "held" } else { "failed" };
        table.add_row([
            row.experiment.clone(),
            verdict.to_owned(),
            seconds(lane.time_to_recover_ms),
            seconds(lane.time_to_detect_ms),
            format!("{:.1} %", 100.0 * lane.blast_radius.requests),
            lane.degraded_to_failed
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}")),
            format!("{:.1} %", lane.success_percent),
            controls.to_owned(),
            format!("{word}: {:.1} %, MTTR {recovers}", envoy.success_percent),
        ]);
    }
    for column in [2, 3, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{table}\n");
    for row in suite.rows.iter().filter(|row| !row.passed()) {
        for name in &row.seawall.missed {
            let _ = writeln!(text, "{}: missed: {name}", row.experiment);
        }
        if !row.healing.met {
            let _ = writeln!(text, "{}: {}", row.experiment, healed(&row.healing));
        }
        for control in &row.controls_held {
            let _ = writeln!(
                text,
                "{}: its control did not fail as it should: {control}",
                row.experiment
            );
        }
        let _ = writeln!(text, "again: {}", row.reproduce);
    }
    let _ = writeln!(
        text,
        "pass rate {:.0} % ({} of {}), automatic recovery {:.0} %, controls that failed as they should {:.0} %; with Envoy's own means {} of {} held",
        suite.pass_rate,
        suite.passed,
        suite.experiments,
        suite.automatic_recovery_rate,
        suite.controls_failed_rate,
        suite.passed_with_envoy,
        suite.experiments
    );
    text
}

/// What was asked of the healing, and what became of it.
fn healed(healing: &Healing) -> String {
    let seconds = |millis: u64| millis as f64 / 1_000.0;
    let shown = |at: Option<u64>| {
        at.map_or_else(|| "never".to_owned(), |at| format!("{:.1} s", seconds(at)))
    };
    format!(
        "closed {} after the last fault ({:.1} s allowed), all admitted {} after it ({:.1} s allowed)",
        shown(healing.closed_ms),
        seconds(healing.closed_by_ms),
        shown(healing.admitted_ms),
        seconds(healing.admitted_by_ms)
    )
}

/// The suite as JUnit's XML: each experiment is a test.
///
/// # Errors
/// If it cannot be written.
pub fn junit(suite: &Suite) -> Result<String, quick_junit::SerializeError> {
    let mut tests = TestSuite::new("seawall chaos");
    for row in &suite.rows {
        let mut problems: Vec<String> = row
            .seawall
            .missed
            .iter()
            .map(|name| format!("missed: {name}"))
            .collect();
        if !row.healing.met {
            problems.push(healed(&row.healing));
        }
        problems.extend(
            row.controls_held
                .iter()
                .map(|control| format!("a control held: {control}")),
        );
        let status = if row.passed() {
            TestCaseStatus::success()
        } else {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed
                .set_type("experiment")
                .set_message(problems.join("; "));
            failed
        };
        let mut case = TestCase::new(row.experiment.clone(), status);
        case.set_classname("seawall chaos")
            .set_system_out(format!("{}\n{}", row.title, row.reproduce));
        tests.add_test_case(case);
    }
    let mut all = quick_junit::Report::new("seawall chaos");
    all.add_test_suite(tests);
    all.to_string()
}
