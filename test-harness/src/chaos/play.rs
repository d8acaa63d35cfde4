//! An experiment as it is played: its steps make a timeline, and a lane is played through it.

use std::ops::ControlFlow;

use super::ask::{Answer, Window};
use super::course::Course;
use super::document::Experiment;
use super::extension::Against;
use super::healing::Healing;
use super::journal::Journal;
use super::step::Step;
use super::timeline::Timeline;
use crate::lanes::{Means, Other, Setting};
use crate::measure::Measure;
use crate::module::{HostError, Module};
use crate::report::Judged;
use crate::sim::{Scenario, play_while};
use crate::trace::Request;

/// Why a lane cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The workload cannot be made.
    #[error("{0}")]
    Workload(String),
    /// The filter does not start.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A thread panicked: the program's fault.
    #[error("a lane could not be played")]
    Died,
}

/// When an activity is done, in nanoseconds since the trace began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What is played: a timeline with its workload.
pub struct Stage<'a> {
    experiment: &'a Experiment,
    module: &'a Module,
    /// What happens.
    pub timeline: Timeline,
    /// What users ask.
    pub trace: Vec<Request>,
    scenario: Scenario,
    /// When each activity of the method is done.
    pub(super) method: Vec<Done>,
}

/// What became of it in one lane.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The journal.
    pub journal: Journal,
    /// The probes that were out of their tolerance, by their names, in order.
    pub missed: Vec<String>,
    /// What reports tell of the probes that ask figures, in order.
    pub criteria: Vec<Judged>,
    /// How it healed.
    pub healing: Healing,
    /// How late the latest request was sent, in milliseconds; nothing on a virtual clock.
    pub late_ms: Option<u64>,
    /// Whether somebody stopped it before its end.
    pub stopped: bool,
    /// Whether the hypothesis held all along, and the system recovered in time.
    pub passed: bool,
}

/// One lane that was played.
pub struct Played {
    /// What was measured.
    pub measure: Measure,
    /// What became of it.
    pub verdict: Verdict,
}

impl<'a> Stage<'a> {
    /// An experiment from its beginning to its end.
    ///
    /// # Errors
    /// If the workload cannot be made.
    pub fn new(experiment: &'a Experiment, module: &'a Module) -> Result<Self, PlayError> {
        let mut timeline = Timeline::new(experiment.extension.warm_up);
        let mut method = Vec::new();
        let mut busy = 0;
        for activity in &experiment.method {
            timeline.wait(nanos(activity.pauses.before));
            let from = timeline.clock;
            activity.step.apply(&mut timeline);
            let to = timeline.clock;
            if activity.background {
                busy = busy.max(to);
                timeline.clock = from;
            }
            method.push(Done { from, to });
            timeline.wait(nanos(activity.pauses.after));
        }
        timeline.clock = timeline.clock.max(busy);
        Self::at(experiment, module, timeline, method)
    }

    /// An experiment as far as it has come.
    ///
    /// # Errors
    /// If the workload cannot be made.
    pub fn so_far(
        experiment: &'a Experiment,
        module: &'a Module,
        timeline: Timeline,
    ) -> Result<Self, PlayError> {
        Self::at(experiment, module, timeline, Vec::new())
    }

    fn at(
        experiment: &'a Experiment,
        module: &'a Module,
        timeline: Timeline,
        method: Vec<Done>,
    ) -> Result<Self, PlayError> {
        let ours = &experiment.extension;
        let trace = ours.workload.requests(&timeline, ours.seed);
        let trace = trace.map_err(PlayError::Workload)?;
        let scenario = ours.world.scenario(ours.seed);
        let mut scenario = scenario.map_err(|error| PlayError::Workload(error.to_string()))?;
        scenario.faults.extend(timeline.faults.iter().cloned());
        Ok(Self {
            experiment,
            module,
            timeline,
            trace,
            scenario,
            method,
        })
    }

    /// What is played.
    pub fn experiment(&self) -> &Experiment {
        self.experiment
    }

    /// The filter.
    pub fn module(&self) -> &Module {
        self.module
    }

    /// What goes wrong, with what the world says by itself.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Plays a lane and judges it. `progress` is told of each request, and says whether to go on.
    ///
    /// # Errors
    /// If the filter does not start.
    pub fn run(
        &self,
        against: &Against,
        progress: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Played, PlayError> {
        let (measure, course) = self.play(against, progress)?;
        let verdict = self.judge(&measure, &course);
        Ok(Played { measure, verdict })
    }

    /// Plays a lane. `progress` is told of each request, and says whether to go on.
    ///
    /// # Errors
    /// If the filter does not start.
    pub fn play(
        &self,
        against: &Against,
        progress: impl FnMut() -> ControlFlow<()>,
    ) -> Result<(Measure, Course), PlayError> {
        let ours = &self.experiment.extension;
        let setting = Setting {
            module: self.module,
            world: &ours.world,
            seed: ours.seed,
            route_timeout: ours.route_timeout,
        };
        let requests = self.trace.iter().cloned();
        let (measure, interrupted) = match against {
            Against::Seawall(configuration) => {
                let envoys = setting.processes(configuration)?;
                let lane = setting.filtered(&envoys);
                play_while(&self.scenario, requests, &lane, progress)
            }
            Against::Other(other) => {
                let lane = match other {
                    Other::Envoy => setting.own_means(&ours.means()),
                    other => setting.other(*other),
                };
                play_while(&self.scenario, requests, &lane, progress)
            }
        };
        let course = Course {
            interrupted,
            ..Course::simulated()
        };
        Ok((measure, course))
    }

    /// What a probe says at the timeline's clock.
    pub fn probe(&self, measure: &Measure, step: &Step) -> Option<Answer> {
        self.ask(measure, step, self.timeline.clock)
    }

    pub(super) fn ask(&self, measure: &Measure, step: &Step, at: u64) -> Option<Answer> {
        let Step::Probe { ask, over, .. } = step else {
            return None;
        };
        let window = Window {
            from: at.saturating_sub(*over),
            to: at,
            fault: self.trouble(),
        };
        Some(ask.answer(measure, window))
    }

    /// What the policy says that Envoy can do by itself too.
    pub fn means(&self) -> Means {
        self.experiment.extension.means()
    }

    /// When something is wrong.
    pub fn trouble(&self) -> Option<(u64, u64)> {
        let own = self.scenario.faulty();
        let all = own.into_iter().chain(self.timeline.troubled());
        all.reduce(|(from, to), (begin, end)| (from.min(begin), to.max(end)))
    }
}

impl Experiment {
    /// What is tried: Seawall with the experiment's policy.
    pub fn seawall(&self) -> Against {
        Against::Seawall(self.extension.policy.clone())
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}
