//! Many experiments: all their lanes are played, and what they say together.

use std::ops::ControlFlow;

use serde::Serialize;

use super::course::Course;
use super::document::Experiment;
use super::extension::Against;
use super::goal::{Goal, Wanted};
use super::journal::Journal;
use super::overall::Overall;
use super::play::{PlayError, Played, Stage};
use super::row::{Row, row};
use crate::lanes::Other;
use crate::measure::Measure;
use crate::module::Module;
use crate::parallel::{self, cores};

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
    /// What must be reached, and whether it is.
    pub goals: Vec<Goal>,
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
        let goals = Wanted::ALL.map(|what| Goal::of(what, &rows));
        let controls_failed = &goals[Wanted::ALL.len() - 1];
        let overall = Overall::of(rows.iter().map(Row::with_seawall)).unwrap_or_default();
        let own = rows.iter().filter_map(|row| row.envoy.as_ref());
        Self {
            interrupted: Vec::new(),
            version: 1,
            experiments: rows.len(),
            passed: overall.passed,
            pass_rate: overall.pass_rate,
            automatic_recovery_rate: overall.automatic_recovery_rate,
            controls_failed_rate: controls_failed.found_percent,
            passed_with_envoy: own.filter(|own| own.passed).count(),
            degraded_to_failed: overall.degraded_to_failed,
            goals: goals.into(),
            rows,
        }
    }

    /// Whether all passed, and all controls failed as they should.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(Row::passed)
    }
}
