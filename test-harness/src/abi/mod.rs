//! The host's side of Proxy-Wasm 0.2: what a guest may call, done as Envoy does it.
//!
//! One [`Guest`] stands behind each VM. What all VMs of a process share stands in [`Common`], in cells that are never
//! borrowed while a guest or a hook runs: so one VM can work while another stands inside a host call.

mod buffers;
pub mod calls;
mod flow;
pub(crate) mod known;
pub mod memory;
pub mod metrics;
pub mod shared;
pub mod status;
pub mod stream;
pub mod trace;
mod wasi;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;
use wasmtime::{Instance, Linker, Module, StoreLimits};

use metrics::Metrics;
use shared::SharedData;
use stream::Stream;
use trace::Trace;

/// Wall clock = this + the virtual clock: 2026-01-01T00:00:00Z in nanoseconds.
const EPOCH: u64 = 1_767_225_600_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Wall clock in nanoseconds since 1970, at this virtual time.
pub(crate) fn wall(now: u64) -> u64 {
    EPOCH.saturating_add(now)
}

/// A line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, in nanoseconds.
    pub at: u64,
    /// Which VM: 0 is the main thread's, workers count from 1.
    pub vm: usize,
    /// 0 trace to 5 critical.
    pub level: u32,
    /// What it said.
    pub text: String,
}

/// A status that a host call is made to answer, for tests of hostile hosts.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The name of the call, as in `proxy_get_property`.
    pub call: &'static str,
    /// The status.
    pub status: u32,
    /// Every so many calls; 1 is always.
    pub every: u64,
}

/// Runs between a VM's read and its write of shared data; gets the VM's number.
pub type Hook = Rc<dyn Fn(usize)>;

/// What all VMs of a process share.
pub struct Common {
    /// The clock in nanoseconds.
    pub now: Cell<u64>,
    /// Shared data.
    pub shared: RefCell<SharedData>,
    /// Metrics.
    pub metrics: RefCell<Metrics>,
    /// What was logged.
    pub log: RefCell<Vec<LogLine>>,
    /// Host calls by name.
    pub calls: RefCell<BTreeMap<&'static str, u64>>,
    /// What is made to fail.
    pub faults: RefCell<Vec<Fault>>,
    /// What runs before each write of shared data.
    pub hook: RefCell<Option<Hook>>,
    /// The calls between host and guests, if they are to be kept.
    pub trace: Trace,
}

impl Common {
    /// Fresh, at this time.
    pub fn new(now: u64, strict_cas: bool) -> Self {
        Self {
            now: Cell::new(now),
            shared: RefCell::new(SharedData::new(strict_cas)),
            metrics: RefCell::default(),
            log: RefCell::default(),
            calls: RefCell::default(),
            faults: RefCell::default(),
            hook: RefCell::default(),
            trace: Trace::default(),
        }
    }

    /// Counts a call; the status it is made to answer, if any.
    fn called(&self, name: &'static str) -> Option<u32> {
        let count = {
            let mut calls = self.calls.borrow_mut();
            let count = calls.entry(name).or_default();
            *count += 1;
            *count
        };
        let faults = self.faults.borrow();
        let fault = faults.iter().find(|fault| fault.call == name)?;
        count
            .is_multiple_of(fault.every.max(1))
            .then_some(fault.status)
    }
}

/// What stands behind one VM.
pub struct Guest {
    /// Which VM: 0 is the main thread's.
    pub vm: usize,
    /// What it shares.
    pub common: Rc<Common>,
    /// Its randomness.
    pub random: ChaCha8Rng,
    /// The context that is at work.
    pub context: u32,
    /// Its requests.
    pub streams: BTreeMap<u32, Stream>,
    /// The configuration that is being taken.
    pub configuration: Vec<u8>,
    /// The configuration of the VM.
    pub vm_configuration: Vec<u8>,
    /// Its roots.
    pub roots: BTreeSet<u32>,
    /// When each root's next tick is due, and the period, both in nanoseconds.
    pub ticks: BTreeMap<u32, (u64, u64)>,
    /// Streams whose guest said late that it is done.
    pub finished: Vec<u32>,
    /// The trap of an allocator that ran inside a host call.
    pub trap: Option<wasmtime::Error>,
    /// Bounds of its memory.
    pub limits: StoreLimits,
    /// The number of the newest context: each VM counts its own, the first root is 1.
    pub contexts: u32,
    /// Where its exports are looked up while its calls are traced.
    pub instance: Option<Instance>,
}

impl Guest {
    /// Sets the tick of the root at work, in milliseconds; 0 is none.
    fn set_tick(&mut self, millis: u32) {
        let stream = self.streams.get(&self.context);
        let root = stream.map_or(self.context, |stream| stream.root);
        let period = u64::from(millis) * NANOS_PER_MILLI;
        if period == 0 {
            self.ticks.remove(&root);
        } else {
            let due = self.common.now.get().saturating_add(period);
            self.ticks.insert(root, (due, period));
        }
    }

    /// The number of a new context.
    pub(crate) fn next_context(&mut self) -> u32 {
        self.contexts = self.contexts.wrapping_add(1).max(1);
        self.contexts
    }

    /// A root is gone.
    pub(crate) fn forget(&mut self, root: u32) {
        self.roots.remove(&root);
        self.ticks.remove(&root);
    }
}

/// Everything a guest may import. What is not known is linked and answers "unimplemented".
///
/// # Errors
/// If an import is no function.
pub fn linker(engine: &wasmtime::Engine, module: &Module) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    calls::link(&mut linker)?;
    buffers::link(&mut linker)?;
    flow::link(&mut linker)?;
    wasi::link(&mut linker)?;
    for import in module.imports() {
        let known = known::import(import.module(), import.name());
        let (Some(kind), Some(name)) = (import.ty().func().cloned(), known) else {
            continue;
        };
        let answer = match import.module() {
            "env" => status::UNIMPLEMENTED,
            _ => wasi::NOT_SUPPORTED,
        };
        // What is linked already stays: a second definition is refused.
        let _ = linker.func_new(import.module(), name, kind, move |caller, _, results| {
            let common = &caller.data().common;
            common.called("unimplemented");
            let status = common.called(name).unwrap_or(answer);
            for result in results {
                *result = wasmtime::Val::I32(status as i32);
            }
            Ok(())
        });
    }
    Ok(linker)
}
