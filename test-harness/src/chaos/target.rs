//! Where else than in the simulation experiments can be played: whoever can do it is a [`Target`].

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::course::Course;
use super::document::Experiment;
use super::extension::Against;
use super::pair::{Pair, Pairs};
use super::play::{PlayError, Played, Stage};
use super::suite::{Suite, pieces};
use crate::measure::Measure;
use crate::module::Module;
use crate::parallel;

/// A load of so many requests a second is as much of a reason to begin early as its length is.
const HEAVY: u64 = 150;

/// Something in which experiments can be played.
pub trait Target: Sync {
    /// Its name, as in `Envoy 1.40.0`.
    fn name(&self) -> String;

    /// Whether an experiment can be played there.
    ///
    /// # Errors
    /// Why it cannot.
    fn applies(&self, stage: &Stage<'_>) -> Result<(), String>;

    /// How many lanes it plays side by side, at most.
    fn at_once(&self) -> usize;

    /// Plays a lane. `progress` is told of each second, and says whether to go on. A lane that somebody stopped is told of too, as far as it came; nothing
    /// is told of one that was not begun.
    ///
    /// # Errors
    /// If something does not start, or ends too soon.
    fn play(
        &self,
        stage: &Stage<'_>,
        against: &Against,
        progress: &dyn Fn() -> ControlFlow<()>,
    ) -> anyhow::Result<Option<(Measure, Course)>>;
}

/// Why experiments could not be played on a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The simulation, with which it is compared.
    #[error(transparent)]
    Simulation(#[from] PlayError),
    /// A lane.
    #[error("{experiment}, {lane}: {error:#}")]
    Lane {
        /// Of which experiment.
        experiment: String,
        /// Which.
        lane: String,
        /// Why.
        error: anyhow::Error,
    },
}

/// How long all lanes take one after another on a target, in seconds.
pub fn lane_seconds(experiments: &[Experiment], module: &Module, target: &dyn Target) -> u64 {
    let stages = experiments.iter().map(|one| Stage::new(one, module));
    let stages =
        stages.filter_map(|stage| stage.ok().filter(|stage| target.applies(stage).is_ok()));
    let seconds = stages.map(|stage| {
        let lanes = 1 + stage.experiment().controls().len() as u64;
        lanes * (stage.timeline.clock / 1_000_000_000)
    });
    seconds.sum()
}

/// Plays experiments that were played in the simulation on a target too, and compares. `progress` is told of each second of each lane,
/// and says whether to go on; once it does not, no other lane begins. Where the verdict is another one and the machine had too much else to do meanwhile, an experiment is played once more, and that counts.
///
/// # Errors
/// If a workload cannot be made, or a lane cannot be played.
pub fn play_on(
    experiments: &[Experiment],
    module: &Module,
    simulation: Suite,
    target: &dyn Target,
    progress: impl Fn() -> ControlFlow<()> + Sync,
) -> Result<Pairs, TargetError> {
    let stopped = AtomicBool::new(false);
    let progress = || {
        let flow = progress();
        stopped.fetch_or(flow.is_break(), Ordering::Relaxed);
        flow
    };
    let stages = experiments.iter().map(|one| Stage::new(one, module));
    let stages = stages.collect::<Result<Vec<_>, _>>()?;
    let mut left_out = Vec::new();
    let mut playable = Vec::new();
    for stage in &stages {
        match target.applies(stage) {
            Ok(()) => playable.push(stage),
            Err(why) => left_out.push((stage.experiment().name(), why)),
        }
    }
    let real = all(&playable, target, &progress, &stopped)?;
    let mut interrupted = real.interrupted;
    let mut rows = real.rows;
    let mut pairs = Vec::new();
    for simulated in simulation.rows {
        let name = &simulated.experiment;
        let why = left_out.iter().find(|(left_out, _)| left_out == name);
        let at = rows.iter().position(|row| row.experiment == *name);
        let row = at.map(|at| rows.swap_remove(at));
        if row.is_some() || why.is_some() {
            pairs.push(Pair::of(simulated, row, why.map(|(_, why)| why.clone())));
        }
    }
    for pair in pairs.iter_mut().filter(|pair| pair.is_disturbed()) {
        let again = playable
            .iter()
            .filter(|stage| stage.experiment().name() == pair.experiment);
        let again: Vec<&Stage<'_>> = again.copied().collect();
        let mut again = all(&again, target, &progress, &stopped)?;
        interrupted.append(&mut again.interrupted);
        if let Some(row) = again.rows.pop() {
            pair.played_again(row);
        }
    }
    for stopped in simulation.interrupted {
        if !interrupted.iter().any(|(name, _)| *name == stopped.0) {
            interrupted.push(stopped);
        }
    }
    // What was stopped in one of its runs has no verdict.
    pairs.retain(|pair| !interrupted.iter().any(|(name, _)| *name == pair.experiment));
    Ok(Pairs::of(target.name(), pairs, interrupted))
}

/// Plays all lanes of these experiments on a target. Once somebody has stopped it, no other one begins.
fn all(
    stages: &[&Stage<'_>],
    target: &dyn Target,
    progress: &(impl Fn() -> ControlFlow<()> + Sync),
    stopped: &AtomicBool,
) -> Result<Suite, TargetError> {
    let subjects: Vec<&Experiment> = stages.iter().map(|stage| stage.experiment()).collect();
    let pieces = pieces(&subjects);
    // What is heaviest or longest begins first, so that the rest fills what it leaves free.
    let size = |number: &usize| {
        let stage = stages[pieces[*number].stage];
        let heaviest = stage.trace.len() as u64 * 1_000_000_000;
        std::cmp::Reverse(heaviest.max(stage.timeline.clock * HEAVY))
    };
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(size);
    let played = parallel::each(pieces.len(), target.at_once(), |turn| {
        let number = order[turn];
        let piece = &pieces[number];
        let stage = stages[piece.stage];
        if stopped.load(Ordering::Relaxed) {
            return Ok((number, None));
        }
        let played = target.play(stage, &piece.against, progress);
        let played = played.map_err(|error| TargetError::Lane {
            experiment: stage.experiment().name(),
            lane: piece.name.clone(),
            error,
        })?;
        let judged = played.map(|(measure, course)| Played {
            verdict: stage.judge(&measure, &course),
            measure,
        });
        Ok((number, judged))
    });
    let played = played.ok_or(PlayError::Died)?;
    let mut played = played
        .into_iter()
        .collect::<Result<Vec<_>, TargetError>>()?;
    played.sort_by_key(|(number, _)| *number);
    let played = played.into_iter().map(|(_, played)| played).collect();
    Ok(Suite::of_lanes(stages, &pieces, played, " --on envoy"))
}
