//! How a lane that was played is judged: its probes at their times, and its healing. Where it was played makes no difference.

use serde_json::Value;

use super::ask::{Answer, Window};
use super::course::Course;
use super::document::Activity;
use super::healing::Healing;
use super::journal::{Entry, Journal, Status, SteadyState, SteadyStates};
use super::play::{Done, Stage, Verdict};
use super::step::Step;
use crate::measure::Measure;
use crate::report::Judged;

const SECOND: u64 = 1_000_000_000;
/// A condition to abort is judged over so much time, in nanoseconds.
const ABORT_OVER: u64 = 10 * SECOND;

impl Stage<'_> {
    /// Whether the hypothesis holds before the method. It can be asked once the warm-up is over.
    pub fn holds_before(&self, measure: &Measure) -> bool {
        let before = self.steady_state(measure, self.experiment().warm_up(), &Course::simulated());
        before.steady_state_met
    }

    /// Whether a condition to abort is met at this time, in nanoseconds since the trace began.
    pub fn aborts(&self, measure: &Measure, clock: u64) -> bool {
        let conditions = &self.experiment().extension.abort;
        if conditions.is_empty() {
            return false;
        }
        let window = Window {
            from: clock.saturating_sub(ABORT_OVER),
            to: clock,
            fault: self.trouble(),
        };
        let figures = window.figures(measure);
        let mut conditions = conditions.iter();
        conditions.any(|condition| condition.judge(&figures).met)
    }

    /// What became of a lane that was played.
    pub fn judge(&self, measure: &Measure, course: &Course) -> Verdict {
        let experiment = self.experiment();
        let ours = &experiment.extension;
        let end = self.timeline.clock;
        let before = course.reached(ours.warm_up);
        let before = before.then(|| self.steady_state(measure, ours.warm_up, course));
        let begun = before
            .as_ref()
            .is_some_and(|before| before.steady_state_met);
        let aborted = self.aborted(measure).filter(|at| course.reached(*at));
        let mut run = Vec::new();
        let done = experiment.method.iter().zip(&self.method);
        for (activity, done) in done.filter(|_| begun) {
            if aborted.is_some_and(|at| done.from >= at) || !course.reached(done.to) {
                break;
            }
            run.push(self.entry(measure, activity, *done, course));
        }
        let (status, stopped) = match (&before, aborted) {
            (Some(_), _) if !begun => (Status::Failed, ours.warm_up),
            (Some(_), Some(at)) => (Status::Aborted, at),
            _ => match course.interrupted {
                Some(at) => (Status::Interrupted, at),
                None => (Status::Completed, end),
            },
        };
        let goes_on = status == Status::Completed;
        let after = goes_on.then(|| self.steady_state(measure, end, course));
        let at_end = Done {
            from: stopped,
            to: stopped,
        };
        let rollbacks = experiment.rollbacks.iter();
        let rollbacks = rollbacks
            .map(|one| self.entry(measure, one, at_end, course))
            .collect();
        let criteria = self.criteria(before.as_ref(), &run, after.as_ref());
        let missed = missed([
            before.as_ref().map(|before| &before.probes),
            Some(&run),
            after.as_ref().map(|after| &after.probes),
        ]);
        let trouble = self.trouble().map_or(ours.warm_up, |(_, end)| end);
        let healing = Healing::of(measure, trouble, end, &ours.routing);
        let journal = Journal {
            platform: course.platform.clone(),
            node: "seawall",
            experiment: experiment.raw.clone(),
            start: course.time(0),
            status,
            deviated: begun && !missed.is_empty(),
            steady_states: SteadyStates {
                before,
                after,
                during: Vec::new(),
            },
            run,
            rollbacks,
            end: course.time(stopped),
            duration: stopped as f64 / 1e9,
        };
        Verdict {
            stopped: course.interrupted.is_some(),
            passed: goes_on && missed.is_empty() && healing.met,
            journal,
            missed,
            criteria,
            healing,
            late_ms: course.late_ms,
        }
    }

    fn criteria(
        &self,
        before: Option<&SteadyState>,
        run: &[Entry],
        after: Option<&SteadyState>,
    ) -> Vec<Judged> {
        let experiment = self.experiment();
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
        let before = before.map_or(&[][..], |before| &before.probes);
        let mut all = of(&experiment.probes, before, "before");
        all.extend(of(&experiment.method, run, "during"));
        if let Some(after) = after {
            all.extend(of(&experiment.probes, &after.probes, "after"));
        }
        all
    }

    fn steady_state(&self, measure: &Measure, at: u64, course: &Course) -> SteadyState {
        let done = Done { from: at, to: at };
        let probes = self.experiment().probes.iter();
        let probes: Vec<Entry> = probes
            .map(|probe| self.entry(measure, probe, done, course))
            .collect();
        SteadyState {
            steady_state_met: probes
                .iter()
                .all(|probe| probe.tolerance_met != Some(false)),
            probes,
        }
    }

    fn entry(&self, measure: &Measure, activity: &Activity, done: Done, course: &Course) -> Entry {
        let output = self.ask(measure, &activity.step, done.from);
        let output = output.unwrap_or_else(|| Answer {
            status: 0,
            stdout: activity.step.said(),
            stderr: String::new(),
        });
        let tolerance = activity.tolerance.as_ref();
        let met = tolerance.map(|tolerance| tolerance.holds(&output));
        let times = (done.from, done.to);
        Entry::new(activity.raw.clone(), output, times, course, met)
    }

    /// When a condition to abort was met first.
    fn aborted(&self, measure: &Measure) -> Option<u64> {
        let mut clock = self.experiment().extension.warm_up;
        while clock < self.timeline.clock {
            clock += SECOND;
            if self.aborts(measure, clock) {
                return Some(clock);
            }
        }
        None
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
