//! Many experiments: a row for each, with its controls and Envoy's own means beside it, and what they say together.

use std::ops::ControlFlow;

use serde::Serialize;

use super::course::Course;
use super::document::Experiment;
use super::extension::Against;
use super::healing::Healing;
use super::journal::{Journal, Status};
use super::play::{PlayError, Played, Stage};
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
    /// Whether a probe was out of its tolerance.
    pub deviated: bool,
    /// With Seawall.
    pub seawall: Outcome,
    /// How it healed.
    pub healing: Healing,
    /// What its hypothesis must fail against.
    pub controls: Vec<Outcome>,
    /// Controls that did not fail as they should, and which probes did not find them.
    pub controls_held: Vec<String>,
    /// With Envoy's own means; null where that was not played.
    pub envoy: Option<Outcome>,
    /// How late the latest request was sent, in milliseconds. There is no such figure on a virtual clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_late_ms: Option<u64>,
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
    /// Journals of experiments that were not played to their end, by their names.
    #[serde(skip)]
    pub interrupted: Vec<(String, Journal)>,
}

/// A lane of an experiment.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The number of the experiment.
    pub(super) stage: usize,
    /// Its name.
    pub(super) name: String,
    /// What stands there.
    pub(super) against: Against,
}

/// The lanes of experiments: Seawall's and the controls.
pub(super) fn pieces(experiments: &[&Experiment]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (stage, experiment) in experiments.iter().enumerate() {
        pieces.push(Piece {
            stage,
            name: "Seawall".to_owned(),
            against: experiment.seawall(),
        });
        pieces.extend(experiment.controls().iter().map(|control| Piece {
            stage,
            name: control.name.clone(),
            against: control.against.clone(),
        }));
    }
    pieces
}

impl Row {
    /// Whether it passed, and its controls failed as they should.
    pub fn passed(&self) -> bool {
        self.seawall.passed && self.controls_held.is_empty()
    }
}

impl Suite {
    /// Plays experiments, each in all its lanes. `begins` is told of each lane; `progress` of each request, and says whether to go on.
    ///
    /// # Errors
    /// If a workload cannot be made, or the filter does not start.
    pub fn run(
        experiments: &[Experiment],
        module: &Module,
        begins: impl Fn() + Sync,
        progress: impl Fn() -> ControlFlow<()> + Sync,
    ) -> Result<Self, PlayError> {
        let stages = experiments
            .iter()
            .map(|experiment| Stage::new(experiment, module));
        let stages = stages.collect::<Result<Vec<_>, _>>()?;
        let mut pieces = pieces(&experiments.iter().collect::<Vec<_>>());
        pieces.extend((0..experiments.len()).map(|stage| Piece {
            stage,
            name: Other::Envoy.name().to_owned(),
            against: Against::Other(Other::Envoy),
        }));
        let played = parallel::each(pieces.len(), cores(), |number| {
            let piece = &pieces[number];
            if progress().is_break() {
                return Ok(None);
            }
            begins();
            stages[piece.stage].run(&piece.against, &progress).map(Some)
        });
        let played = played.ok_or(PlayError::Died)?;
        let played = played.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of_lanes(
            &stages.iter().collect::<Vec<_>>(),
            &pieces,
            played,
            "",
        ))
    }

    /// What became of lanes: a row for each experiment all of whose lanes were played to their end, and else its journal. `target` is what the
    /// command that plays it again says of where.
    pub(super) fn of_lanes(
        stages: &[&Stage<'_>],
        pieces: &[Piece],
        played: Vec<Option<Played>>,
        target: &str,
    ) -> Self {
        let mut lanes: Vec<Vec<(String, Option<Played>)>> =
            stages.iter().map(|_| Vec::new()).collect();
        for (piece, played) in pieces.iter().zip(played) {
            lanes[piece.stage].push((piece.name.clone(), played));
        }
        let (mut rows, mut interrupted) = (Vec::new(), Vec::new());
        for (stage, lanes) in stages.iter().zip(lanes) {
            let stopped = lanes
                .iter()
                .any(|(_, played)| played.as_ref().is_none_or(|played| played.verdict.stopped));
            if stopped {
                // What is tried is Seawall; the controls are no part of the journal.
                let first = lanes.into_iter().next().and_then(|(_, played)| played);
                let journal = first.map_or_else(
                    || {
                        stage
                            .judge(&Measure::default(), &Course::never_begun())
                            .journal
                    },
                    |played| played.verdict.journal,
                );
                interrupted.push((stage.experiment().name(), journal));
                continue;
            }
            let whole: Option<Vec<_>> = lanes
                .into_iter()
                .map(|(name, played)| Some((name, played?)))
                .collect();
            rows.extend(whole.and_then(|whole| row(stage, whole, target)));
        }
        Self {
            interrupted,
            ..Self::of(rows)
        }
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
            interrupted: Vec::new(),
            version: 1,
            experiments: rows.len(),
            passed,
            pass_rate: percent(passed),
            automatic_recovery_rate: percent(count(&|row| row.seawall.recovered)),
            controls_failed_rate: percent(count(&|row| row.controls_held.is_empty())),
            passed_with_envoy: count(&|row| row.envoy.as_ref().is_some_and(|own| own.passed)),
            degraded_to_failed: (bad > 0).then(|| degraded as f64 / bad as f64),
            rows,
        }
    }

    /// Whether all passed, and all controls failed as they should.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(Row::passed)
    }
}

/// The row of an experiment whose lanes were played: Seawall's first, then the controls, then Envoy's where it was played.
fn row(stage: &Stage<'_>, mut played: Vec<(String, Played)>, target: &str) -> Option<Row> {
    let experiment = stage.experiment();
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
        "seawall chaos run {} --seed {}{target}",
        crate::report::words::quoted(&experiment.file.to_string_lossy()),
        experiment.seed()
    );
    let mut outcomes: Vec<Outcome> = figures
        .iter()
        .zip(&verdicts)
        .map(|(lane, verdict)| outcome(lane, verdict.passed, &verdict.missed))
        .collect();
    let seawall = outcomes.pop()?;
    let own = outcomes.len() > experiment.controls().len();
    let envoy = own.then(|| outcomes.pop()).flatten();
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
        wasm_sha256: Some(stage.module().sha256().to_owned()),
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
        deviated: verdict.journal.deviated,
        seawall,
        healing: verdict.healing,
        controls: outcomes,
        controls_held: held,
        envoy,
        sent_late_ms: verdict.late_ms,
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
