//! One worker's VM as a function from what it was told to what it asks next.
//!
//! What was found stands in a tree: a node is all that a VM has heard, its children are what it can hear next. A new node
//! costs one run of a fresh VM from its start; an old one costs nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::environment::{Event, Tally, WorkerEnvironment};
use super::scenario::{HostFault, Step};
use crate::abi::memory::Answer;
use crate::abi::status::{CAS_MISMATCH, NOT_FOUND};
use crate::abi::{Border, Common, Counter};
use crate::module::{HostError, Module};
use crate::process::{FailurePolicy, Process, ProcessOptions};

/// Calls by which a VM could learn of another in a way that is not followed here.
const UNFOLLOWED: [&str; 3] = [
    "proxy_dequeue_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_call_foreign_function",
];

/// The family of the counters by which VMs tell each other that a record changed.
const EPOCHS: &str = "seawall_record_changes";

/// Whether this names such a counter, and no record.
pub(super) fn is_counter(name: &str) -> bool {
    name.starts_with(EPOCHS)
}

/// What a VM is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostReply {
    /// To begin its next step.
    Go,
    /// What stands under the key, and the number to swap against.
    Found(Rc<[u8]>, u32),
    /// Nothing stands there.
    Absent,
    /// It stored.
    Stored,
    /// Somebody else swapped first.
    Lost,
    /// The counter stands at this.
    Counted(u64),
    /// It was added to.
    Added,
}

/// What a VM is told, and the time at which it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Observation {
    pub(super) reply: HostReply,
    pub(super) now: u64,
}

/// What a VM asks for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PendingCall {
    /// To begin the step of this number.
    Begin(usize),
    /// To read.
    Load(Rc<str>),
    /// To write, if the number still is this.
    Swap(Rc<str>, Rc<[u8]>, u32),
    /// To read a counter.
    Count(Rc<str>),
    /// To add to one.
    Add(Rc<str>, u64),
    /// Nothing: it has done all it had to do, or is dead.
    Nothing,
}

impl PendingCall {
    /// Whether it is in the middle of a step.
    pub(super) const fn is_inside(&self) -> bool {
        match self {
            Self::Load(_) | Self::Swap(..) | Self::Count(_) | Self::Add(..) => true,
            Self::Begin(_) | Self::Nothing => false,
        }
    }
}

/// A VM that has heard so much.
pub(super) struct Node {
    parent: Option<u32>,
    observed: Option<Observation>,
    pub(super) pending: PendingCall,
    /// What was seen from outside since the parent.
    pub(super) events: Vec<Event>,
    pub(super) tally: Tally,
    seen: usize,
    children: HashMap<Observation, u32>,
}

/// The VM of one worker.
pub(super) struct VmTree {
    module: Module,
    worker: usize,
    configuration: Vec<u8>,
    steps: Vec<Step>,
    seed: u64,
    start: u64,
    fault: Option<HostFault>,
    pub(super) nodes: Vec<Node>,
    /// Host calls by name, the most of any run.
    pub(super) calls: BTreeMap<&'static str, u64>,
}

/// Tells a VM what it is to hear; behind the end it notes the question.
struct Script {
    observed: Vec<Observation>,
    next: Cell<usize>,
    pending: RefCell<Option<PendingCall>>,
    fault: Option<HostFault>,
    calls: RefCell<BTreeMap<&'static str, u64>>,
    unfollowed: Cell<Option<&'static str>>,
}

impl Script {
    /// What the VM hears now; `None` if it is out of the script.
    fn hear(&self, common: &Common, pending: impl FnOnce() -> PendingCall) -> Option<HostReply> {
        if self.pending.borrow().is_some() {
            return None;
        }
        let Some(observed) = self.observed.get(self.next.get()) else {
            *self.pending.borrow_mut() = Some(pending());
            return None;
        };
        self.next.set(self.next.get() + 1);
        common.now.set(observed.now);
        Some(observed.reply.clone())
    }
}

impl Border for Script {
    fn called(&self, call: &'static str) -> Option<u32> {
        let mut calls = self.calls.borrow_mut();
        let count = calls.entry(call).or_default();
        *count += 1;
        if UNFOLLOWED.contains(&call) {
            self.unfollowed.set(Some(call));
        }
        let fault = self.fault.as_ref()?;
        (fault.call == call && fault.nth == *count).then_some(fault.status)
    }

    fn load(&self, common: &Common, key: &str) -> Option<Answer<(Vec<u8>, u32)>> {
        Some(match self.hear(common, || PendingCall::Load(key.into()))? {
            HostReply::Found(bytes, cas) => Ok((bytes.to_vec(), cas)),
            _ => Err(NOT_FOUND),
        })
    }

    fn swap(&self, common: &Common, key: &str, bytes: &[u8], cas: u32) -> Option<Answer> {
        let pending = || PendingCall::Swap(key.into(), bytes.into(), cas);
        Some(match self.hear(common, pending)? {
            HostReply::Stored => Ok(()),
            _ => Err(CAS_MISMATCH),
        })
    }

    fn counter(&self, common: &Common, metric: &str, added: Option<i64>) -> Counter {
        if !is_counter(metric) {
            if added.is_none() {
                self.unfollowed.set(Some("proxy_get_metric"));
            }
            return Counter::Process;
        }
        let pending = || match added {
            None => PendingCall::Count(metric.into()),
            Some(added) => PendingCall::Add(metric.into(), added.unsigned_abs()),
        };
        match self.hear(common, pending) {
            Some(HostReply::Counted(value)) => Counter::Value(value),
            Some(_) => Counter::Value(0),
            None => Counter::End,
        }
    }
}

impl VmTree {
    pub(super) fn new(
        module: &Module,
        worker: usize,
        configuration: &str,
        steps: Vec<Step>,
        (seed, start): (u64, u64),
        fault: Option<HostFault>,
    ) -> Result<Self, HostError> {
        let mut tree = Self {
            module: module.clone(),
            worker,
            configuration: configuration.as_bytes().to_vec(),
            steps,
            seed,
            start,
            fault: fault.filter(|fault| fault.worker == worker),
            nodes: Vec::new(),
            calls: BTreeMap::new(),
        };
        let (pending, events) = tree.run(Vec::new())?;
        tree.add(None, None, pending, events);
        Ok(tree)
    }

    /// The node in which this VM is after it heard one more thing.
    pub(super) fn hear(&mut self, node: u32, observed: Observation) -> Result<u32, HostError> {
        if let Some(child) = self.nodes[node as usize].children.get(&observed) {
            return Ok(*child);
        }
        let mut all = vec![observed.clone()];
        let mut at = Some(node);
        while let Some(number) = at {
            let node = &self.nodes[number as usize];
            all.extend(node.observed.clone());
            at = node.parent;
        }
        all.reverse();
        let (pending, events) = self.run(all)?;
        Ok(self.add(Some(node), Some(observed), pending, events))
    }

    /// All that was seen of a VM until a node.
    pub(super) fn events(&self, node: u32) -> Vec<&Event> {
        let mut events = Vec::new();
        let mut at = Some(node);
        while let Some(number) = at {
            let node = &self.nodes[number as usize];
            events.extend(node.events.iter().rev());
            at = node.parent;
        }
        events.reverse();
        events
    }

    fn add(
        &mut self,
        parent: Option<u32>,
        observed: Option<Observation>,
        pending: PendingCall,
        mut events: Vec<Event>,
    ) -> u32 {
        let before = parent.map(|parent| &self.nodes[parent as usize]);
        let seen = before.map_or(0, |node| node.seen);
        let mut tally = before.map_or(Tally::default(), |node| node.tally);
        let all = events.len();
        events.drain(..seen.min(all));
        events.iter().for_each(|event| tally.count(event));
        let number = self.nodes.len() as u32;
        if let (Some(parent), Some(observed)) = (parent, &observed) {
            let children = &mut self.nodes[parent as usize].children;
            children.insert(observed.clone(), number);
        }
        self.nodes.push(Node {
            parent,
            observed,
            pending,
            events,
            tally,
            seen: all,
            children: HashMap::new(),
        });
        number
    }

    /// Runs a fresh VM with what it is to hear.
    fn run(&mut self, observed: Vec<Observation>) -> Result<(PendingCall, Vec<Event>), HostError> {
        let options = ProcessOptions {
            workers: 1,
            configuration: self.configuration.clone(),
            seed: self.seed.wrapping_mul(64) ^ self.worker as u64,
            failure_policy: FailurePolicy::Closed,
            ..ProcessOptions::default()
        };
        let process = Process::start(&self.module, options, self.start)?;
        process.take_log();
        let script = Rc::new(Script {
            observed,
            next: Cell::new(0),
            pending: RefCell::default(),
            fault: self.fault.clone(),
            calls: RefCell::default(),
            unfollowed: Cell::new(None),
        });
        *process.common().border.borrow_mut() = Some(Rc::clone(&script) as Rc<dyn Border>);
        let ended = || script.pending.borrow().is_some();
        let mut driver = WorkerEnvironment::new(&process, &ended);
        let mut touched = process.common().shared.borrow().keys().next().is_some();
        for (number, step) in self.steps.iter().enumerate() {
            if !process.is_alive(0) {
                break;
            }
            let reply = script.hear(process.common(), || PendingCall::Begin(number));
            if reply.is_none() {
                break;
            }
            driver.step(*step);
        }
        driver.listen();
        touched |= process.common().shared.borrow().keys().next().is_some();
        let mut events = driver.events;
        if touched {
            let text = "wrote shared data while it took its configuration";
            events.push(Event::Trapped(text.to_owned()));
        }
        if let Some(call) = script.unfollowed.get() {
            return Err(HostError::Module(format!(
                "it calls {call}, by which VMs may speak past shared data: it cannot be explored"
            )));
        }
        for (call, count) in &*script.calls.borrow() {
            let most = self.calls.entry(call).or_default();
            *most = (*most).max(*count);
        }
        let pending = script.pending.take().unwrap_or(PendingCall::Nothing);
        Ok((pending, events))
    }
}
