//! One worker's VM as a function from what it was told to what it asks next.
//!
//! What was found stands in a tree: a node is all that a VM has heard, its children are what it can hear next. A new node
//! costs one run of a fresh VM from its start; an old one costs nothing.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use super::driver::{Driver, Event, Tally};
use super::scenario::Step;
use crate::abi::memory::Answer;
use crate::abi::status::{CAS_MISMATCH, NOT_FOUND};
use crate::abi::{Border, Common};
use crate::module::{HostError, Module};
use crate::worker::{FailurePolicy, Process, ProcessOptions};

/// Calls by which a VM could learn of another in a way that is not followed here.
const UNFOLLOWED: [&str; 4] = [
    "proxy_get_metric",
    "proxy_dequeue_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_call_foreign_function",
];

/// What a VM is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
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
}

/// What a VM is told, and the time at which it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Heard {
    pub(super) told: Told,
    pub(super) now: u64,
}

/// What a VM asks for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// To begin the step of this number.
    Begin(usize),
    /// To read.
    Load(Rc<str>),
    /// To write, if the number still is this.
    Swap(Rc<str>, Rc<[u8]>, u32),
    /// Nothing: it has done all it had to do, or is dead.
    Nothing,
}

/// A VM that has heard so much.
pub(super) struct Node {
    parent: Option<u32>,
    heard: Option<Heard>,
    pub(super) wants: Wants,
    /// What was seen from outside since the parent.
    pub(super) events: Vec<Event>,
    pub(super) tally: Tally,
    seen: usize,
    children: HashMap<Heard, u32>,
}

/// A status that the host answers at one call of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFault {
    /// The worker, counted from 0.
    pub worker: usize,
    /// The call, as in `proxy_get_property`.
    pub call: String,
    /// Which of its calls of that name, counted from 1 after the VM has its configuration.
    pub nth: u64,
    /// The status.
    pub status: u32,
}

impl fmt::Display for HostFault {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worker, call, nth) = (self.worker + 1, &self.call, self.nth);
        write!(f, "{worker}:{call}:{nth}={}", self.status)
    }
}

impl FromStr for HostFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (at, status) = text.split_once('=')?;
            let mut parts = at.splitn(3, ':');
            let worker = parts.next()?.parse::<usize>().ok()?.checked_sub(1)?;
            Some(Self {
                worker,
                call: parts.next()?.to_owned(),
                nth: parts.next()?.parse().ok()?,
                status: status.parse().ok()?,
            })
        };
        let how = "write WORKER:CALL:NTH=STATUS, such as 1:proxy_set_shared_data:3=2";
        read().ok_or_else(|| format!("\"{text}\" is no fault: {how}"))
    }
}

/// The VM of one worker.
pub(super) struct Local {
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
    heard: Vec<Heard>,
    next: Cell<usize>,
    wants: RefCell<Option<Wants>>,
    fault: Option<HostFault>,
    calls: RefCell<BTreeMap<&'static str, u64>>,
    unfollowed: Cell<Option<&'static str>>,
}

impl Script {
    /// What the VM hears now; `None` if it is out of the script.
    fn hear(&self, common: &Common, wants: impl FnOnce() -> Wants) -> Option<Told> {
        if self.wants.borrow().is_some() {
            return None;
        }
        let Some(heard) = self.heard.get(self.next.get()) else {
            *self.wants.borrow_mut() = Some(wants());
            return None;
        };
        self.next.set(self.next.get() + 1);
        common.now.set(heard.now);
        Some(heard.told.clone())
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
        Some(match self.hear(common, || Wants::Load(key.into()))? {
            Told::Found(bytes, cas) => Ok((bytes.to_vec(), cas)),
            _ => Err(NOT_FOUND),
        })
    }

    fn swap(&self, common: &Common, key: &str, bytes: &[u8], cas: u32) -> Option<Answer> {
        let wants = || Wants::Swap(key.into(), bytes.into(), cas);
        Some(match self.hear(common, wants)? {
            Told::Stored => Ok(()),
            _ => Err(CAS_MISMATCH),
        })
    }
}

impl Local {
    pub(super) fn new(
        module: &Module,
        worker: usize,
        configuration: &str,
        steps: Vec<Step>,
        (seed, start): (u64, u64),
        fault: Option<HostFault>,
    ) -> Result<Self, HostError> {
        let mut local = Self {
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
        let (wants, events) = local.run(Vec::new())?;
        local.add(None, None, wants, events);
        Ok(local)
    }

    /// The node in which this VM is after it heard one more thing.
    pub(super) fn hear(&mut self, node: u32, heard: Heard) -> Result<u32, HostError> {
        if let Some(child) = self.nodes[node as usize].children.get(&heard) {
            return Ok(*child);
        }
        let mut all = vec![heard.clone()];
        let mut at = Some(node);
        while let Some(number) = at {
            let node = &self.nodes[number as usize];
            all.extend(node.heard.clone());
            at = node.parent;
        }
        all.reverse();
        let (wants, events) = self.run(all)?;
        Ok(self.add(Some(node), Some(heard), wants, events))
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
        heard: Option<Heard>,
        wants: Wants,
        mut events: Vec<Event>,
    ) -> u32 {
        let before = parent.map(|parent| &self.nodes[parent as usize]);
        let seen = before.map_or(0, |node| node.seen);
        let mut tally = before.map_or(Tally::default(), |node| node.tally);
        let all = events.len();
        events.drain(..seen.min(all));
        events.iter().for_each(|event| tally.count(event));
        let number = self.nodes.len() as u32;
        if let (Some(parent), Some(heard)) = (parent, &heard) {
            let children = &mut self.nodes[parent as usize].children;
            children.insert(heard.clone(), number);
        }
        self.nodes.push(Node {
            parent,
            heard,
            wants,
            events,
            tally,
            seen: all,
            children: HashMap::new(),
        });
        number
    }

    /// Runs a fresh VM with what it is to hear.
    fn run(&mut self, heard: Vec<Heard>) -> Result<(Wants, Vec<Event>), HostError> {
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
            heard,
            next: Cell::new(0),
            wants: RefCell::default(),
            fault: self.fault.clone(),
            calls: RefCell::default(),
            unfollowed: Cell::new(None),
        });
        *process.common().border.borrow_mut() = Some(Rc::clone(&script) as Rc<dyn Border>);
        let ended = || script.wants.borrow().is_some();
        let mut driver = Driver::new(&process, &ended);
        let mut touched = process.common().shared.borrow().keys().next().is_some();
        for (number, step) in self.steps.iter().enumerate() {
            if !process.is_alive(0) {
                break;
            }
            let told = script.hear(process.common(), || Wants::Begin(number));
            if told.is_none() {
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
        let wants = script.wants.take().unwrap_or(Wants::Nothing);
        Ok((wants, events))
    }
}
