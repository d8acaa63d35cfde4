//! The search over all states of a process: which worker goes on, whether the clock moves, whether a VM dies.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

use super::process_state::ProcessState;
use super::scenario::{HostFault, Scenario};
use super::schedule::{Choice, Schedule};
use super::state_space::{Halt, StateSpace};
use crate::module::{HostError, Module};

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Preemptions: a worker stops in the middle of a step and another goes on. `None` is the scenario's own bound,
    /// `u32::MAX` is none.
    pub preemptions: Option<u32>,
    /// It is given up after so many states.
    pub states: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            preemptions: None,
            states: 20_000_000,
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// States found.
    pub states: usize,
    /// States that wait.
    pub waiting: usize,
    /// Runs of a VM.
    pub runs: usize,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// Which, and how.
    pub invariant: String,
    /// A shortest schedule with the fewest preemptions.
    #[serde(serialize_with = "as_text")]
    pub schedule: Schedule,
    /// The steps of that schedule, in words.
    pub steps: Vec<String>,
}

/// What came of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Seed of the VMs' randomness.
    pub seed: u64,
    /// Workers.
    pub workers: usize,
    /// The bound on preemptions; `None` is none.
    pub preemptions: Option<u32>,
    /// Whether all was seen within that bound.
    pub complete: bool,
    /// States, each seen once.
    pub states: usize,
    /// Choices made.
    pub choices: usize,
    /// Ends that were checked.
    pub ends: usize,
    /// Runs of a VM.
    pub runs: usize,
    /// Host calls of the busiest run, by name.
    #[serde(skip)]
    pub calls: Vec<(&'static str, u64)>,
    /// What was found.
    pub broken: Option<Broken>,
}

/// A search under way.
struct Search<'a> {
    world: StateSpace,
    preemptions: Option<u32>,
    best: HashMap<(u64, u64), (u32, u32)>,
    states: Vec<Option<ProcessState>>,
    parents: Vec<Option<(u32, Choice)>>,
    queue: BinaryHeap<Reverse<(u32, u32, u32)>>,
    report: Report,
    bounds: Bounds,
    progress: &'a mut dyn FnMut(Progress),
}

/// Explores a scenario.
///
/// # Errors
/// If the module cannot be run at all.
pub fn explore(
    module: &Module,
    scenario: &Scenario,
    bounds: Bounds,
    seed: u64,
    fault: Option<&HostFault>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, HostError> {
    let preemptions = bounds.preemptions.or(scenario.preemptions);
    let preemptions = preemptions.filter(|most| *most != u32::MAX);
    let mut search = Search {
        world: StateSpace::new(module, scenario, seed, fault.cloned())?,
        preemptions,
        best: HashMap::new(),
        states: Vec::new(),
        parents: Vec::new(),
        queue: BinaryHeap::new(),
        report: Report {
            scenario: scenario.name,
            about: scenario.about,
            seed,
            workers: scenario.workers(),
            preemptions,
            complete: true,
            states: 0,
            choices: 0,
            ends: 0,
            runs: 0,
            calls: Vec::new(),
            broken: None,
        },
        bounds,
        progress,
    };
    let found = search.run()?;
    if let Some((invariant, choices)) = found {
        let schedule = search.world.trimmed(choices)?;
        let shown = search.world.play(&schedule)?;
        search.report.broken = Some(Broken {
            invariant,
            schedule,
            steps: shown.steps,
        });
    }
    Ok(search.finish())
}

/// Runs one schedule, and says what happened at each step.
///
/// # Errors
/// If the module cannot be run, or the schedule asks for what cannot be done there.
pub fn replay(
    module: &Module,
    scenario: &Scenario,
    seed: u64,
    fault: Option<&HostFault>,
    schedule: &Schedule,
) -> Result<(Vec<String>, Option<String>), HostError> {
    let mut world = StateSpace::new(module, scenario, seed, fault.cloned())?;
    let shown = world.play(schedule)?;
    Ok((shown.steps, shown.broken))
}

impl Search<'_> {
    /// What does not hold, and the choices that led there.
    fn run(&mut self) -> Result<Option<(String, Vec<Choice>)>, HostError> {
        let first = match self.world.begin() {
            Ok(first) => first,
            Err(Halt::Broken(invariant)) => return Ok(Some((invariant, Vec::new()))),
            Err(Halt::Host(error)) => return Err(error),
        };
        self.push(first, None, (0, 0));
        while let Some(Reverse((preempted, length, number))) = self.queue.pop() {
            let Some(state) = self.states[number as usize].take() else {
                continue;
            };
            if self.world.is_over(&state) {
                self.report.ends += 1;
                match self.world.end(&state) {
                    Ok(()) => continue,
                    Err(Halt::Broken(invariant)) => {
                        return Ok(Some((invariant, self.way_to(number))));
                    }
                    Err(Halt::Host(error)) => return Err(error),
                }
            }
            if self.report.states >= self.bounds.states {
                self.report.complete = false;
                return Ok(None);
            }
            for choice in self.choices(&state)? {
                let cost = self.cost(&state, choice, preempted);
                if self.preemptions.is_some_and(|most| cost > most) {
                    continue;
                }
                self.report.choices += 1;
                let next = match self.world.choose(&state, choice) {
                    Ok(next) => next.0,
                    Err(Halt::Broken(invariant)) => {
                        let mut way = self.way_to(number);
                        way.push(choice);
                        return Ok(Some((invariant, way)));
                    }
                    Err(Halt::Host(error)) => return Err(error),
                };
                let next = self.shaped(next, choice);
                self.push(next, Some((number, choice)), (cost, length + 1));
            }
        }
        Ok(None)
    }

    /// What can happen next. Where nothing else than its beginning can come of a worker's beginning, now or later, it
    /// begins at once: that commutes with everything but the clock.
    fn choices(&mut self, state: &ProcessState) -> Result<Vec<Choice>, HostError> {
        if self.preemptions.is_none()
            && !self.world.time_is_left(state)
            && let Some(worker) = self.world.begins_quietly(state)?
        {
            return Ok(vec![Choice::Go(worker)]);
        }
        Ok(self.world.choices(state))
    }

    fn cost(&self, state: &ProcessState, choice: Choice, before: u32) -> u32 {
        let running = state.running;
        let preempts = match choice {
            Choice::Go(worker) => running != ProcessState::NOBODY && running != worker,
            Choice::Kill(_) | Choice::Time => false,
        };
        before + u32::from(preempts)
    }

    /// Who is in the middle of a step matters only where preemptions are counted.
    fn shaped(&self, mut state: ProcessState, choice: Choice) -> ProcessState {
        match choice {
            _ if self.preemptions.is_none() => state.running = ProcessState::NOBODY,
            Choice::Go(worker) if self.world.is_inside(&state, worker) => state.running = worker,
            Choice::Go(_) => state.running = ProcessState::NOBODY,
            Choice::Kill(worker) if state.running == worker => state.running = ProcessState::NOBODY,
            Choice::Kill(_) | Choice::Time => {}
        }
        state
    }

    fn push(&mut self, state: ProcessState, parent: Option<(u32, Choice)>, cost: (u32, u32)) {
        let known = self.best.get(&fingerprint(&state));
        if known.is_some_and(|best| *best <= cost) {
            return;
        }
        self.report.states += usize::from(known.is_none());
        self.best.insert(fingerprint(&state), cost);
        let number = self.states.len() as u32;
        self.states.push(Some(state));
        self.parents.push(parent);
        self.queue.push(Reverse((cost.0, cost.1, number)));
        if number.is_multiple_of(512) {
            (self.progress)(Progress {
                states: self.report.states,
                waiting: self.queue.len(),
                runs: self.world.runs(),
            });
        }
    }

    fn way_to(&self, number: u32) -> Vec<Choice> {
        let mut way = Vec::new();
        let mut at = self.parents[number as usize];
        while let Some((parent, choice)) = at {
            way.push(choice);
            at = self.parents[parent as usize];
        }
        way.reverse();
        way
    }

    fn finish(mut self) -> Report {
        self.report.runs = self.world.runs();
        self.report.calls = self.world.calls();
        self.report
    }
}

/// 128 bits of a state: that two differ and have the same is past belief.
fn fingerprint(state: &ProcessState) -> (u64, u64) {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        hasher.finish()
    };
    (half(1), half(2))
}

fn as_text<S: Serializer>(schedule: &Schedule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(schedule)
}
