//! A process in the search: its shared data, its clock, and how much each VM has heard.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use seawall_policy::config;

use super::checks::{Checks, View, Write};
use super::local::{Heard, HostFault, Local, Told, Wants};
use super::scenario::{Forced, Scenario, Step};
use super::schedule::{Choice, Schedule};
use super::show;
use crate::module::{HostError, Module};

/// When it all begins, in nanoseconds.
const START: u64 = 1_000_000_000;

/// More keys than a scenario has.
const KEYS_MAX: usize = 16;

/// Why a way is not followed further.
#[derive(Debug)]
pub(super) enum Halt {
    /// Something does not hold.
    Broken(String),
    /// The module cannot be run.
    Host(HostError),
}

impl From<HostError> for Halt {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// What stands under a key: the number of its bytes, and how often it was written.
type Slot = Option<(u32, u32)>;

/// One state of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Global {
    nodes: Box<[u32]>,
    dead: u64,
    store: Vec<Slot>,
    now: u64,
    moved: u8,
    killed: u8,
    /// Who is in the middle of a step.
    pub(super) running: u8,
}

impl Global {
    pub(super) const NOBODY: u8 = u8::MAX;
}

/// What one schedule showed.
pub(super) struct Shown {
    pub(super) steps: Vec<String>,
    pub(super) broken: Option<String>,
}

/// All that was found of one scenario so far.
pub(super) struct World {
    scenario: Scenario,
    locals: Vec<Local>,
    steps: Vec<(Vec<Step>, usize, usize)>,
    keys: Vec<Rc<str>>,
    bytes: Vec<Rc<[u8]>>,
    numbers: HashMap<Rc<[u8]>, u32>,
    checks: Checks,
}

/// What a choice did, for who wants to see it.
pub(super) struct Went {
    wants: Wants,
    told: Told,
    worker: usize,
    child: u32,
}

impl World {
    pub(super) fn new(
        module: &Module,
        scenario: &Scenario,
        seed: u64,
        fault: Option<HostFault>,
    ) -> Result<Self, HostError> {
        let refused = |error: config::Error| HostError::Refused(error.to_string());
        let routing = config::parse(scenario.configuration.as_bytes()).map_err(refused)?;
        let policy = routing.policies.into_iter().next();
        let policy = policy.ok_or_else(|| HostError::Refused("there is no policy".to_owned()))?;
        let workers = 0..scenario.workers();
        let steps: Vec<_> = workers.map(|worker| scenario.steps_of(worker)).collect();
        let local = |(worker, (steps, _, _)): (usize, &(Vec<Step>, usize, usize))| {
            let at = (seed, START);
            let fault = fault.clone().or_else(|| scenario.fault.clone());
            let configuration = &scenario.configuration;
            Local::new(module, worker, configuration, steps.clone(), at, fault)
        };
        let locals = steps.iter().enumerate().map(local);
        Ok(Self {
            locals: locals.collect::<Result<_, _>>()?,
            steps,
            keys: Vec::new(),
            bytes: Vec::new(),
            numbers: HashMap::new(),
            checks: Checks::new(scenario, policy, START, fault.is_some()),
            scenario: scenario.clone(),
        })
    }

    /// The state in which what is explored begins.
    pub(super) fn begin(&mut self) -> Result<Global, Halt> {
        let mut state = Global {
            nodes: vec![0; self.locals.len()].into(),
            dead: 0,
            store: Vec::new(),
            now: START,
            moved: 0,
            killed: 0,
            running: Global::NOBODY,
        };
        self.checks.before();
        for forced in self.scenario.before.clone() {
            state = self.force(state, forced)?;
        }
        let mut checks = self.checks.clone();
        checks.begin(&self.view(&state));
        self.checks = checks;
        Ok(state)
    }

    /// Whether all have done what they had to do.
    pub(super) fn is_over(&self, state: &Global) -> bool {
        (0..self.locals.len()).all(|worker| self.is_done(state, worker))
    }

    /// What comes after, and what must hold then.
    pub(super) fn end(&mut self, state: &Global) -> Result<(), Halt> {
        let mut state = state.clone();
        for forced in self.scenario.after.clone() {
            state = self.force(state, forced)?;
        }
        let nodes = self.locals.iter().zip(&state.nodes);
        let events: Vec<_> = nodes.map(|(local, node)| local.events(*node)).collect();
        let ended = self.checks.end(&self.view(&state), &events);
        ended.map_err(Halt::Broken)
    }

    pub(super) fn choices(&self, state: &Global) -> Vec<Choice> {
        let workers = 0..self.locals.len();
        let able: Vec<u8> = workers
            .filter(|worker| !self.is_done(state, *worker))
            .map(|worker| worker as u8)
            .collect();
        let mut choices: Vec<_> = able.iter().map(|worker| Choice::Go(*worker)).collect();
        if self.time_is_left(state) {
            choices.push(Choice::Time);
        }
        if state.killed < self.scenario.kills {
            choices.extend(able.iter().map(|worker| Choice::Kill(*worker)));
        }
        choices
    }

    pub(super) fn time_is_left(&self, state: &Global) -> bool {
        usize::from(state.moved) < self.scenario.time.len()
    }

    /// Whether a worker stands in the middle of a step.
    pub(super) fn is_inside(&self, state: &Global, worker: u8) -> bool {
        let wants = &self.node(state, usize::from(worker)).wants;
        matches!(wants, Wants::Load(_) | Wants::Swap(..))
    }

    /// A worker that can begin its next step without anything being seen of it.
    pub(super) fn begins_quietly(&mut self, state: &Global) -> Result<Option<u8>, HostError> {
        for worker in 0..self.locals.len() {
            let begins = matches!(self.node(state, worker).wants, Wants::Begin(_));
            if self.is_done(state, worker) || !begins {
                continue;
            }
            let heard = Heard {
                told: Told::Go,
                now: state.now,
            };
            let child = self.locals[worker].hear(state.nodes[worker], heard)?;
            if self.locals[worker].nodes[child as usize].events.is_empty() {
                return Ok(Some(worker as u8));
            }
        }
        Ok(None)
    }

    /// Makes a choice.
    pub(super) fn choose(
        &mut self,
        state: &Global,
        choice: Choice,
    ) -> Result<(Global, Option<Went>), Halt> {
        let mut next = state.clone();
        match choice {
            Choice::Go(worker) => {
                let (next, went) = self.go(next, usize::from(worker))?;
                Ok((next, Some(went)))
            }
            Choice::Kill(worker) => {
                next.dead |= 1 << worker;
                next.killed += 1;
                Ok((next, None))
            }
            Choice::Time => {
                next.now += self.scenario.time[usize::from(next.moved)];
                next.moved += 1;
                Ok((next, None))
            }
        }
    }

    /// Plays a schedule to its end, and on from there.
    pub(super) fn play(&mut self, schedule: &Schedule) -> Result<Shown, HostError> {
        let mut shown = Shown {
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
                Ok((next, went)) => {
                    steps.extend(went.map(|went| self.said(&went)));
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

    /// Runs of a VM so far.
    pub(super) fn runs(&self) -> usize {
        self.locals.iter().map(|local| local.nodes.len()).sum()
    }

    /// Host calls of the busiest run, by name.
    pub(super) fn calls(&self) -> Vec<(&'static str, u64)> {
        let mut calls: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (call, count) in self.locals.iter().flat_map(|local| &local.calls) {
            let most = calls.entry(call).or_default();
            *most = (*most).max(*count);
        }
        calls.into_iter().collect()
    }

    /// What happens where nobody chooses: the first worker that has something to do goes on.
    fn usual(&self, state: &Global) -> Option<Choice> {
        let mut workers = 0..self.locals.len();
        let first = workers.find(|worker| !self.is_done(state, *worker));
        first.map(|worker| Choice::Go(worker as u8))
    }

    fn said(&self, went: &Went) -> String {
        let events = &self.locals[went.worker].nodes[went.child as usize].events;
        let steps = &self.steps[went.worker].0;
        show::went(went.worker, &went.wants, &went.told, steps, events)
    }

    /// Something that happens without anybody in between.
    fn force(&mut self, mut state: Global, forced: Forced) -> Result<Global, Halt> {
        let workers = match forced {
            Forced::Wait(nanos) => {
                state.now += nanos;
                return Ok(state);
            }
            Forced::One(worker, _) => worker..worker + 1,
            Forced::Each(_) => 0..self.locals.len(),
        };
        for worker in workers {
            let mut begun = false;
            loop {
                let dead = state.dead & (1 << worker) != 0;
                let goes = match self.node(&state, worker).wants {
                    Wants::Begin(_) => !begun,
                    Wants::Load(_) | Wants::Swap(..) => true,
                    Wants::Nothing => false,
                };
                if dead || !goes {
                    break;
                }
                begun = true;
                state = self.go(state, worker)?.0;
            }
        }
        Ok(state)
    }

    /// A worker gets what it asked for, and goes on to its next question.
    fn go(&mut self, mut state: Global, worker: usize) -> Result<(Global, Went), Halt> {
        let wants = self.node(&state, worker).wants.clone();
        let mut broken = Ok(());
        let told = match &wants {
            Wants::Begin(_) | Wants::Nothing => Told::Go,
            Wants::Load(key) => match self.slot(&mut state, key) {
                (_, None) => Told::Absent,
                (place, Some((bytes, writes))) => Told::Found(
                    Rc::clone(&self.bytes[bytes as usize]),
                    number(place, writes),
                ),
            },
            Wants::Swap(key, bytes, cas) => {
                let (place, slot) = self.slot(&mut state, key);
                let current = slot.map(|(_, writes)| number(place, writes));
                if current.is_none_or(|current| *cas == 0 || *cas == current) {
                    let before = slot.map(|(bytes, _)| Rc::clone(&self.bytes[bytes as usize]));
                    broken = self.checks.stored(&Write {
                        key,
                        before: before.as_deref(),
                        after: bytes,
                        cas: *cas,
                    });
                    let writes = slot.map_or(0, |(_, writes)| writes) + 1;
                    state.store[place] = Some((self.intern(bytes), writes));
                    Told::Stored
                } else {
                    Told::Lost
                }
            }
        };
        broken.map_err(Halt::Broken)?;
        let heard = Heard {
            told: told.clone(),
            now: state.now,
        };
        let child = self.locals[worker].hear(state.nodes[worker], heard)?;
        state.nodes[worker] = child;
        let seen = &self.locals[worker].nodes[child as usize].events;
        if !seen.is_empty() {
            let held = self.checks.step(&self.view(&state), seen);
            held.map_err(Halt::Broken)?;
        }
        let went = Went {
            wants,
            told,
            worker,
            child,
        };
        Ok((state, went))
    }

    fn slot(&mut self, state: &mut Global, key: &Rc<str>) -> (usize, Slot) {
        let known = self.keys.iter().position(|known| known == key);
        let place = known.unwrap_or_else(|| {
            self.keys.push(Rc::clone(key));
            self.keys.len() - 1
        });
        // Every state has a place for every key that could be met: two with the same content look the same.
        state.store.resize(KEYS_MAX.max(place + 1), None);
        (place, state.store[place])
    }

    fn intern(&mut self, bytes: &Rc<[u8]>) -> u32 {
        if let Some(number) = self.numbers.get(bytes) {
            return *number;
        }
        let number = self.bytes.len() as u32;
        self.bytes.push(Rc::clone(bytes));
        self.numbers.insert(Rc::clone(bytes), number);
        number
    }

    fn view<'a>(&'a self, state: &Global) -> View<'a> {
        let slots = self.keys.iter().zip(&state.store);
        let store = slots.filter_map(|(key, slot)| {
            let (bytes, _) = (*slot)?;
            Some((&**key, &*self.bytes[bytes as usize]))
        });
        let workers = (0..self.locals.len()).map(|worker| {
            let dead = state.dead & (1 << worker) != 0;
            (self.node(state, worker).tally, dead)
        });
        View {
            store: store.collect(),
            workers: workers.collect(),
            now: state.now,
        }
    }

    fn node(&self, state: &Global, worker: usize) -> &super::local::Node {
        &self.locals[worker].nodes[state.nodes[worker] as usize]
    }

    fn is_done(&self, state: &Global, worker: usize) -> bool {
        let end = self.steps[worker].2;
        state.dead & (1 << worker) != 0
            || match self.node(state, worker).wants {
                Wants::Begin(number) => number >= end,
                Wants::Load(_) | Wants::Swap(..) => false,
                Wants::Nothing => true,
            }
    }
}

/// The number to swap against: never 0, and never that of another key or of another write to this one.
fn number(place: usize, writes: u32) -> u32 {
    ((place as u32 + 1) << 16) | (writes & 0xffff)
}
