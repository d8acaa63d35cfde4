//! An experiment on the virtual clock: its steps make a timeline, a lane is played through it, and its probes are judged.

use serde_json::Value;

use super::ask::{Answer, Window};
use super::document::{Activity, Experiment};
use super::extension::Against;
use super::healing::Healing;
use super::journal::{Entry, Journal, Status, SteadyState, SteadyStates, time};
use super::step::Step;
use super::timeline::Timeline;
use crate::lanes::Setting;
use crate::measure::Measure;
use crate::module::{HostError, Module};
use crate::report::Judged;
use crate::sim::{Scenario, play};
use crate::trace::Request;

const SECOND: u64 = 1_000_000_000;
/// A condition to abort is judged over so much time, in nanoseconds.
const ABORT_OVER: u64 = 10 * SECOND;

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
struct Done {
    from: u64,
    to: u64,
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
    method: Vec<Done>,
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

    /// What goes wrong, with what the world says by itself.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Plays a lane and judges it.
    ///
    /// # Errors
    /// If the filter does not start.
    pub fn run(&self, against: &Against, progress: impl FnMut()) -> Result<Played, PlayError> {
        let measure = self.play(against, progress)?;
        let verdict = self.judge(&measure);
        Ok(Played { measure, verdict })
    }

    /// Plays a lane.
    ///
    /// # Errors
    /// If the filter does not start.
    pub fn play(&self, against: &Against, progress: impl FnMut()) -> Result<Measure, PlayError> {
        let ours = &self.experiment.extension;
        let setting = Setting {
            module: self.module,
            world: &ours.world,
            seed: ours.seed,
            route_timeout: ours.route_timeout,
        };
        Ok(match against {
            Against::Seawall(configuration) => {
                let envoys = setting.processes(configuration)?;
                let lane = setting.filtered(&envoys);
                play(&self.scenario, self.trace.iter().cloned(), &lane, progress)
            }
            Against::Other(other) => play(
                &self.scenario,
                self.trace.iter().cloned(),
                &setting.other(*other),
                progress,
            ),
        })
    }

    /// What a probe says at the timeline's clock.
    pub fn probe(&self, measure: &Measure, step: &Step) -> Option<Answer> {
        self.ask(measure, step, self.timeline.clock)
    }

    fn ask(&self, measure: &Measure, step: &Step, at: u64) -> Option<Answer> {
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

    /// When something is wrong.
    pub fn trouble(&self) -> Option<(u64, u64)> {
        let own = self.scenario.faulty();
        let all = own.into_iter().chain(self.timeline.troubled());
        all.reduce(|(from, to), (begin, end)| (from.min(begin), to.max(end)))
    }

    fn judge(&self, measure: &Measure) -> Verdict {
        let experiment = self.experiment;
        let ours = &experiment.extension;
        let end = self.timeline.clock;
        let before = self.steady_state(measure, ours.warm_up);
        let aborted = self.aborted(measure);
        let begun = before.steady_state_met;
        let mut run = Vec::new();
        let done = experiment.method.iter().zip(&self.method);
        for (activity, done) in done.filter(|_| begun) {
            if aborted.is_some_and(|at| done.from >= at) {
                break;
            }
            run.push(self.entry(measure, activity, *done));
        }
        let goes_on = begun && aborted.is_none();
        let after = goes_on.then(|| self.steady_state(measure, end));
        let stopped = aborted.unwrap_or(if begun { end } else { ours.warm_up });
        let at_end = Done {
            from: stopped,
            to: stopped,
        };
        let rollbacks = experiment.rollbacks.iter();
        let rollbacks = rollbacks
            .map(|one| self.entry(measure, one, at_end))
            .collect();
        let criteria = self.criteria(&before, &run, after.as_ref());
        let missed = missed([
            Some(&before.probes),
            Some(&run),
            after.as_ref().map(|after| &after.probes),
        ]);
        let trouble = self.trouble().map_or(ours.warm_up, |(_, end)| end);
        let healing = Healing::of(measure, trouble, end, &ours.routing);
        let journal = Journal {
            platform: "simulation",
            node: "seawall",
            experiment: experiment.raw.clone(),
            start: time(0),
            status: match (begun, aborted) {
                (false, _) => Status::Failed,
                (true, Some(_)) => Status::Aborted,
                (true, None) => Status::Completed,
            },
            deviated: begun && !missed.is_empty(),
            steady_states: SteadyStates {
                before: Some(before),
                after,
                during: Vec::new(),
            },
            run,
            rollbacks,
            end: time(stopped),
            duration: stopped as f64 / 1e9,
        };
        Verdict {
            passed: goes_on && missed.is_empty() && healing.met,
            journal,
            missed,
            criteria,
            healing,
        }
    }

    fn criteria(
        &self,
        before: &SteadyState,
        run: &[Entry],
        after: Option<&SteadyState>,
    ) -> Vec<Judged> {
        let experiment = self.experiment;
        let of = |activities: &[Activity], entries: &[Entry], when: &str| -> Vec<Judged> {
            let both = activities.iter().zip(entries);
            let judged = both.filter_map(|(activity, entry)| {
                let Step::Probe { ask, .. } = &activity.step else {
                    return None;
                };
                let name = format!("{when}: {}", activity.name);
                let tolerance = activity.tolerance.as_ref()?;
                tolerance.judged(&name, ask, &entry.output)
            });
            judged.collect()
        };
        let mut all = of(&experiment.probes, &before.probes, "before");
        all.extend(of(&experiment.method, run, "during"));
        if let Some(after) = after {
            all.extend(of(&experiment.probes, &after.probes, "after"));
        }
        all
    }

    fn steady_state(&self, measure: &Measure, at: u64) -> SteadyState {
        let done = Done { from: at, to: at };
        let probes = self.experiment.probes.iter();
        let probes: Vec<Entry> = probes
            .map(|probe| self.entry(measure, probe, done))
            .collect();
        SteadyState {
            steady_state_met: probes
                .iter()
                .all(|probe| probe.tolerance_met != Some(false)),
            probes,
        }
    }

    fn entry(&self, measure: &Measure, activity: &Activity, done: Done) -> Entry {
        let output = self.ask(measure, &activity.step, done.from);
        let output = output.unwrap_or_else(|| Answer {
            status: 0,
            stdout: activity.step.said(),
            stderr: String::new(),
        });
        let tolerance = activity.tolerance.as_ref();
        let met = tolerance.map(|tolerance| tolerance.holds(&output));
        Entry::new(activity.raw.clone(), output, (done.from, done.to), met)
    }

    /// When a condition to abort was met first.
    fn aborted(&self, measure: &Measure) -> Option<u64> {
        let ours = &self.experiment.extension;
        let mut clock = ours.warm_up;
        while clock < self.timeline.clock {
            clock += SECOND;
            let window = Window {
                from: clock.saturating_sub(ABORT_OVER),
                to: clock,
                fault: self.trouble(),
            };
            let figures = window.figures(measure);
            if ours
                .abort
                .iter()
                .any(|condition| condition.judge(&figures).met)
            {
                return Some(clock);
            }
        }
        None
    }
}

impl Experiment {
    /// What is tried: Seawall with the experiment's policy.
    pub fn seawall(&self) -> Against {
        Against::Seawall(self.extension.policy.clone())
    }
}

fn missed(all: [Option<&Vec<Entry>>; 3]) -> Vec<String> {
    let entries = all.into_iter().flatten().flatten();
    let missed = entries.filter(|entry| entry.tolerance_met == Some(false));
    let names = missed.map(|entry| entry.activity.get("name").and_then(Value::as_str));
    let mut found: Vec<String> = Vec::new();
    for name in names.flatten() {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}
