//! Plays a schedule: step by step, and on to the end of the scenario.

use super::schedule::{Choice, Schedule};
use super::show;
use super::state_space::{Halt, StateSpace, StepEffect};
use crate::module::HostError;

/// What one schedule showed.
pub(super) struct Playback {
    pub(super) steps: Vec<String>,
    pub(super) broken: Option<String>,
}

impl StateSpace {
    /// Plays a schedule to its end, and on from there.
    pub(super) fn play(&mut self, schedule: &Schedule) -> Result<Playback, HostError> {
        let mut shown = Playback {
            steps: Vec::new(),
            broken: None,
        };
        match self.played(schedule, &mut shown.steps) {
            Ok(()) => {}
            Err(Halt::Broken(invariant)) => shown.broken = Some(invariant),
            Err(Halt::Host(error)) => return Err(error),
        }
        Ok(shown)
    }

    fn played(&mut self, schedule: &Schedule, steps: &mut Vec<String>) -> Result<(), Halt> {
        let mut state = self.begin()?;
        let mut choices = schedule.0.iter().copied();
        while let Some(choice) = choices.next().or_else(|| self.usual(&state)) {
            if !self.choices(&state).contains(&choice) {
                let text = format!(
                    "the schedule cannot be played: {choice} after {} steps",
                    steps.len()
                );
                return Err(Halt::Host(HostError::Module(text)));
            }
            let before = state.clone();
            match choice {
                Choice::Kill(worker) => steps.push(format!("worker {} dies", worker + 1)),
                Choice::Time => steps.push("the clock moves".to_owned()),
                Choice::Go(_) => {}
            }
            match self.choose(&before, choice) {
                Ok((next, effect)) => {
                    steps.extend(effect.map(|effect| self.said(&effect)));
                    state = next;
                }
                Err(halt) => {
                    if let Choice::Go(worker) = choice {
                        steps.push(format!(
                            "worker {} goes on, and there it breaks",
                            worker + 1
                        ));
                    }
                    return Err(halt);
                }
            }
        }
        self.end(&state)
    }

    /// A schedule without the end that it would have anyway.
    pub(super) fn trimmed(&mut self, mut choices: Vec<Choice>) -> Result<Schedule, HostError> {
        let mut states = Vec::new();
        let Ok(mut state) = self.begin() else {
            return Ok(Schedule::default());
        };
        for choice in &choices {
            states.push(state.clone());
            match self.choose(&state, *choice) {
                Ok((next, _)) => state = next,
                Err(Halt::Broken(_)) => break,
                Err(Halt::Host(error)) => return Err(error),
            }
        }
        while let (Some(choice), Some(state)) = (choices.last(), states.pop()) {
            if self.usual(&state) != Some(*choice) {
                break;
            }
            choices.pop();
        }
        Ok(Schedule(choices))
    }

    fn said(&self, effect: &StepEffect) -> String {
        let events = &self.trees[effect.worker].nodes[effect.child as usize].events;
        let steps = &self.steps[effect.worker].0;
        show::step(effect.worker, &effect.pending, &effect.reply, steps, events)
    }
}
