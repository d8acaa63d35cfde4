//! A scenario on the virtual clock: what happens in each of its phases.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::scenario::Scenario;
use crate::chaos::{Ask, PlayError, Stage, Window};
use crate::measure::Transition;
use crate::module::Module;
use crate::report::Figure;

/// Figures of a phase that a team is told.
const FIGURES: [Figure; 7] = [
    Figure::Success,
    Figure::Degraded,
    Figure::Refused,
    Figure::Failed,
    Figure::P99,
    Figure::Goodput,
    Figure::Amplification,
];

/// A figure, as a reader is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Its name.
    pub figure: Figure,
    /// Its value; null where it has none.
    pub value: Option<f64>,
    /// With its unit.
    pub shown: String,
}

/// What must hold of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What.
    pub what: String,
    /// Whether it does.
    pub met: bool,
    /// What was found.
    pub found: String,
}

/// What happened in a phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Happened {
    /// Its figures.
    pub figures: Vec<Told>,
    /// The worst state of the breakers at its end.
    pub state: String,
    /// Changes of the breakers' state.
    pub transitions: Vec<Transition>,
    /// What must hold of it.
    pub holds: Vec<Held>,
}

/// Plays a scenario: what happens in each phase. `progress` is told of each request, and says whether to go on; of what was stopped
/// nothing is told.
///
/// # Errors
/// If its workload cannot be made, or the filter does not start.
pub fn play(
    scenario: &Scenario,
    module: &Module,
    progress: impl FnMut() -> ControlFlow<()>,
) -> Result<Vec<Happened>, PlayError> {
    let experiment = &scenario.experiment;
    let stage = Stage::new(experiment, module)?;
    let (measure, course) = stage.play(&experiment.seawall(), progress)?;
    if course.interrupted.is_some() {
        return Ok(Vec::new());
    }
    let mut phases = Vec::new();
    for phase in &scenario.phases {
        let window = Window {
            from: phase.at,
            to: phase.to,
            fault: stage.trouble(),
        };
        let figures = window.figures(&measure);
        let told = FIGURES.map(|figure| {
            let value = figure.of(&figures);
            let shown = |value| figure.unit().shown(value);
            Told {
                figure,
                value,
                shown: value.map_or_else(|| "-".to_owned(), shown),
            }
        });
        let holds = phase.holds.iter().map(|ask| {
            let answer = ask.answer(&measure, window);
            Held {
                what: ask.to_string(),
                met: answer.status == 0,
                found: answer.stdout.trim_end().to_owned(),
            }
        });
        phases.push(Happened {
            figures: told.to_vec(),
            state: Ask::State
                .answer(&measure, window)
                .stdout
                .trim_end()
                .to_owned(),
            transitions: Vec::new(),
            holds: holds.collect(),
        });
    }
    for made in measure.figures("", stage.trouble()).transitions {
        let at = made.at_ms * 1_000_000;
        let mut both = scenario.phases.iter().zip(&mut phases);
        if let Some((_, happened)) = both.find(|(phase, _)| (phase.at..phase.to).contains(&at)) {
            happened.transitions.push(made);
        }
    }
    Ok(phases)
}
