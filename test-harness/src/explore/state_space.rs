//! All that was found of a scenario so far, and how a choice leads from one state of the process to the next.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::checks::{Checks, View, Write};
use super::process_state::{ProcessState, Slot};
use super::scenario::{Forced, HostFault, Scenario, Step};
use super::schedule::Choice;
use super::vm_tree::{HostReply, Node, Observation, PendingCall, VmTree, is_counter};
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

/// All that was found of one scenario so far.
pub(super) struct StateSpace {
    scenario: Scenario,
    pub(super) trees: Vec<VmTree>,
    pub(super) steps: Vec<(Vec<Step>, usize, usize)>,
    keys: Vec<Rc<str>>,
    bytes: Vec<Rc<[u8]>>,
    numbers: HashMap<Rc<[u8]>, u32>,
    checks: Checks,
}

/// What a choice did, for who wants to see it.
pub(super) struct StepEffect {
    pub(super) pending: PendingCall,
    pub(super) reply: HostReply,
    pub(super) worker: usize,
    pub(super) child: u32,
}

impl StateSpace {
    pub(super) fn new(
        module: &Module,
        scenario: &Scenario,
        seed: u64,
        fault: Option<HostFault>,
    ) -> Result<Self, HostError> {
        let refused = |error: seawall_config::Error| HostError::Refused(error.to_string());
        let routing = seawall_config::parse(scenario.configuration.as_bytes()).map_err(refused)?;
        let policy = routing.policies.into_iter().next();
        let policy = policy.ok_or_else(|| HostError::Refused("there is no policy".to_owned()))?;
        let workers = 0..scenario.workers();
        let steps: Vec<_> = workers.map(|worker| scenario.steps_of(worker)).collect();
        let tree = |(worker, (steps, _, _)): (usize, &(Vec<Step>, usize, usize))| {
            let at = (seed, START);
            let fault = fault.clone().or_else(|| scenario.fault.clone());
            let configuration = &scenario.configuration;
            VmTree::new(module, worker, configuration, steps.clone(), at, fault)
        };
        let trees = steps.iter().enumerate().map(tree);
        Ok(Self {
            trees: trees.collect::<Result<_, _>>()?,
            steps,
            keys: Vec::new(),
            bytes: Vec::new(),
            numbers: HashMap::new(),
            checks: Checks::new(scenario, policy, START, fault.is_some()),
            scenario: scenario.clone(),
        })
    }

    /// The state in which what is explored begins.
    pub(super) fn begin(&mut self) -> Result<ProcessState, Halt> {
        let mut state = ProcessState {
            nodes: vec![0; self.trees.len()].into(),
            dead: 0,
            store: Vec::new(),
            now: START,
            moved: 0,
            killed: 0,
            running: ProcessState::NOBODY,
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
    pub(super) fn is_over(&self, state: &ProcessState) -> bool {
        (0..self.trees.len()).all(|worker| self.is_done(state, worker))
    }

    /// What comes after, and what must hold then.
    pub(super) fn end(&mut self, state: &ProcessState) -> Result<(), Halt> {
        let mut state = state.clone();
        for forced in self.scenario.after.clone() {
            state = self.force(state, forced)?;
        }
        let nodes = self.trees.iter().zip(&state.nodes);
        let events: Vec<_> = nodes.map(|(tree, node)| tree.events(*node)).collect();
        let ended = self.checks.end(&self.view(&state), &events);
        ended.map_err(Halt::Broken)
    }

    pub(super) fn choices(&self, state: &ProcessState) -> Vec<Choice> {
        let workers = 0..self.trees.len();
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

    pub(super) fn time_is_left(&self, state: &ProcessState) -> bool {
        usize::from(state.moved) < self.scenario.time.len()
    }

    /// Whether a worker stands in the middle of a step.
    pub(super) fn is_inside(&self, state: &ProcessState, worker: u8) -> bool {
        self.node(state, usize::from(worker)).pending.is_inside()
    }

    /// A worker that can begin its next step without anything being seen of it.
    pub(super) fn begins_quietly(&mut self, state: &ProcessState) -> Result<Option<u8>, HostError> {
        for worker in 0..self.trees.len() {
            let begins = matches!(self.node(state, worker).pending, PendingCall::Begin(_));
            if self.is_done(state, worker) || !begins {
                continue;
            }
            let observed = Observation {
                reply: HostReply::Go,
                now: state.now,
            };
            let child = self.trees[worker].hear(state.nodes[worker], observed)?;
            if self.trees[worker].nodes[child as usize].events.is_empty() {
                return Ok(Some(worker as u8));
            }
        }
        Ok(None)
    }

    /// Makes a choice.
    pub(super) fn choose(
        &mut self,
        state: &ProcessState,
        choice: Choice,
    ) -> Result<(ProcessState, Option<StepEffect>), Halt> {
        let mut next = state.clone();
        match choice {
            Choice::Go(worker) => {
                let (next, effect) = self.go(next, usize::from(worker))?;
                Ok((next, Some(effect)))
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

    /// Runs of a VM so far.
    pub(super) fn runs(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Host calls of the busiest run, by name.
    pub(super) fn calls(&self) -> Vec<(&'static str, u64)> {
        let mut calls: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (call, count) in self.trees.iter().flat_map(|tree| &tree.calls) {
            let most = calls.entry(call).or_default();
            *most = (*most).max(*count);
        }
        calls.into_iter().collect()
    }

    /// What happens where nobody chooses: the first worker that has something to do goes on.
    pub(super) fn usual(&self, state: &ProcessState) -> Option<Choice> {
        let mut workers = 0..self.trees.len();
        let first = workers.find(|worker| !self.is_done(state, *worker));
        first.map(|worker| Choice::Go(worker as u8))
    }

    /// Something that happens without anybody in between.
    fn force(&mut self, mut state: ProcessState, forced: Forced) -> Result<ProcessState, Halt> {
        let workers = match forced {
            Forced::Wait(nanos) => {
                state.now += nanos;
                return Ok(state);
            }
            Forced::One(worker, _) => worker..worker + 1,
            Forced::Each(_) => 0..self.trees.len(),
        };
        for worker in workers {
            let mut begun = false;
            loop {
                let dead = state.dead & (1 << worker) != 0;
                let goes = match &self.node(&state, worker).pending {
                    PendingCall::Begin(_) => !begun,
                    pending => pending.is_inside(),
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
    fn go(
        &mut self,
        mut state: ProcessState,
        worker: usize,
    ) -> Result<(ProcessState, StepEffect), Halt> {
        let pending = self.node(&state, worker).pending.clone();
        let mut broken = Ok(());
        let reply = match &pending {
            PendingCall::Begin(_) | PendingCall::Nothing => HostReply::Go,
            PendingCall::Load(key) => match self.slot(&mut state, key) {
                (_, None) => HostReply::Absent,
                (place, Some((bytes, writes))) => HostReply::Found(
                    Rc::clone(&self.bytes[bytes as usize]),
                    number(place, writes),
                ),
            },
            PendingCall::Swap(key, bytes, cas) => {
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
                    HostReply::Stored
                } else {
                    HostReply::Lost
                }
            }
            PendingCall::Count(metric) => HostReply::Counted(self.counted(&mut state, metric)),
            PendingCall::Add(metric, count) => {
                let value = self.counted(&mut state, metric).wrapping_add(*count);
                let (place, _) = self.slot(&mut state, metric);
                let bytes: Rc<[u8]> = value.to_le_bytes().into();
                // A counter has no number to swap against: only its value tells one state from another.
                state.store[place] = Some((self.intern(&bytes), 0));
                HostReply::Added
            }
        };
        broken.map_err(Halt::Broken)?;
        let observed = Observation {
            reply: reply.clone(),
            now: state.now,
        };
        let child = self.trees[worker].hear(state.nodes[worker], observed)?;
        state.nodes[worker] = child;
        let seen = &self.trees[worker].nodes[child as usize].events;
        if !seen.is_empty() {
            let held = self.checks.step(&self.view(&state), seen);
            held.map_err(Halt::Broken)?;
        }
        let effect = StepEffect {
            pending,
            reply,
            worker,
            child,
        };
        Ok((state, effect))
    }

    /// What a counter stands at.
    fn counted(&mut self, state: &mut ProcessState, metric: &Rc<str>) -> u64 {
        let (_, slot) = self.slot(state, metric);
        let bytes = slot.map(|(bytes, _)| &*self.bytes[bytes as usize]);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    }

    fn slot(&mut self, state: &mut ProcessState, key: &Rc<str>) -> (usize, Slot) {
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

    fn view<'a>(&'a self, state: &ProcessState) -> View<'a> {
        let slots = self.keys.iter().zip(&state.store);
        let records = slots.filter(|(key, _)| !is_counter(key));
        let store = records.filter_map(|(key, slot)| {
            let (bytes, _) = (*slot)?;
            Some((&**key, &*self.bytes[bytes as usize]))
        });
        let workers = (0..self.trees.len()).map(|worker| {
            let dead = state.dead & (1 << worker) != 0;
            (self.node(state, worker).tally, dead)
        });
        View {
            store: store.collect(),
            workers: workers.collect(),
            now: state.now,
            telling: self.is_telling(state),
        }
    }

    fn is_telling(&self, state: &ProcessState) -> bool {
        let mut workers = 0..self.trees.len();
        workers.any(|worker| matches!(self.node(state, worker).pending, PendingCall::Add(..)))
    }

    fn node(&self, state: &ProcessState, worker: usize) -> &Node {
        &self.trees[worker].nodes[state.nodes[worker] as usize]
    }

    fn is_done(&self, state: &ProcessState, worker: usize) -> bool {
        let end = self.steps[worker].2;
        state.dead & (1 << worker) != 0
            || match &self.node(state, worker).pending {
                PendingCall::Begin(number) => *number >= end,
                pending => !pending.is_inside(),
            }
    }
}

/// The number to swap against: never 0, and never that of another key or of another write to this one.
fn number(place: usize, writes: u32) -> u32 {
    ((place as u32 + 1) << 16) | (writes & 0xffff)
}
