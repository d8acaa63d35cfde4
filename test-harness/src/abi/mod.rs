//! The host's side of Proxy-Wasm 0.2: what a guest may call, done as Envoy does it.
//!
//! One [`Guest`] stands behind each VM. What all VMs of a process share stands in [`Common`], in cells that are never
//! borrowed while a guest or a hook runs: so one VM can work while another stands inside a host call.

pub(crate) mod buffers;
mod calling;
pub mod callouts;
pub mod calls;
mod exports;
mod expression;
mod flow;
pub mod foreign;
mod headers;
pub(crate) mod inline;
pub mod known;
mod log;
pub mod memory;
pub mod metrics;
pub mod properties;
mod proto;
pub mod queues;
pub(crate) mod reply;
pub mod shared;
pub mod status;
pub mod stream;
pub mod trace;
pub mod upstreams;
mod wasi;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;
use wasmtime::{Instance, Linker, Module, StoreLimits};

use callouts::{CallOuts, Received};
pub(crate) use exports::{ALLOCATORS, Exports};
use expression::Node;
use foreign::ForeignFunctions;
pub use log::LogLine;
use metrics::{MetricIds, Metrics};
use properties::Declared;
use queues::SharedQueues;
use shared::SharedData;
use stream::{HeaderMap, Stream};
use trace::Trace;
use upstreams::Clusters;

/// Wall clock = this + the virtual clock: 2026-01-01T00:00:00Z in nanoseconds.
pub(crate) const EPOCH: u64 = 1_767_225_600_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Wall clock in nanoseconds since 1970, at this virtual time.
pub(crate) fn wall(now: u64) -> u64 {
    EPOCH.saturating_add(now)
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

/// Stands between a process and what lies around it, in the host's place.
pub trait Border {
    /// A status in place of a call, if any; asked before each.
    fn called(&self, call: &'static str) -> Option<u32>;

    /// What stands under a key; `None` ends the VM inside the call.
    fn load(&self, common: &Common, key: &str) -> Option<memory::Answer<(Vec<u8>, u32)>>;

    /// Compares and swaps; `None` ends the VM inside the call.
    fn swap(&self, common: &Common, key: &str, bytes: &[u8], cas: u32) -> Option<memory::Answer>;

    /// A counter is read, or something is added to it.
    fn counter(&self, common: &Common, metric: &str, added: Option<i64>) -> Counter;
}

/// Who answers for a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The process itself.
    Process,
    /// It stands at this.
    Value(u64),
    /// Nobody: the VM ends inside the call.
    End,
}

/// What all VMs of a process share.
pub struct Common {
    /// The clock in nanoseconds.
    pub now: Cell<u64>,
    /// How far the wall clock is ahead of what it should tell, in nanoseconds.
    pub wall_ahead: Cell<u64>,
    /// Shared data.
    pub shared: RefCell<SharedData>,
    /// Shared queues.
    pub queues: RefCell<SharedQueues>,
    /// Metrics.
    pub metrics: RefCell<Metrics>,
    /// The clusters that guests may call.
    pub clusters: RefCell<Clusters>,
    /// The foreign functions that guests may call.
    pub foreign: RefCell<ForeignFunctions>,
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
    /// Who answers for shared data in place of [`Self::shared`], and may answer for every call.
    pub border: RefCell<Option<Rc<dyn Border>>>,
}

impl Common {
    /// Fresh, at this time.
    pub fn new(now: u64, strict_cas: bool) -> Self {
        Self {
            now: Cell::new(now),
            wall_ahead: Cell::new(0),
            shared: RefCell::new(SharedData::new(strict_cas)),
            queues: RefCell::default(),
            metrics: RefCell::default(),
            clusters: RefCell::default(),
            foreign: RefCell::new(foreign::envoys()),
            log: RefCell::default(),
            calls: RefCell::default(),
            faults: RefCell::default(),
            hook: RefCell::default(),
            trace: Trace::default(),
            border: RefCell::default(),
        }
    }

    /// What the wall clock tells now.
    fn wall(&self) -> u64 {
        wall(self.now.get()).saturating_add(self.wall_ahead.get())
    }

    /// Counts a call; the status it is made to answer, if any.
    fn called(&self, name: &'static str) -> Option<u32> {
        let count = {
            let mut calls = self.calls.borrow_mut();
            let count = calls.entry(name).or_default();
            *count += 1;
            *count
        };
        let border = self.border.borrow().clone();
        if let Some(status) = border.and_then(|border| border.called(name)) {
            return Some(status);
        }
        let faults = self.faults.borrow();
        let fault = faults.iter().find(|fault| fault.call == name)?;
        count
            .is_multiple_of(fault.every.max(1))
            .then_some(fault.status)
    }
}

/// What a VM and its plugin are told by the configuration of the proxy.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The plugin's name.
    pub plugin_name: String,
    /// The name of its root.
    pub root_id: String,
    /// The name of its VM: under it stand shared queues.
    pub vm_id: String,
    /// The configuration of the VM.
    pub vm_configuration: Vec<u8>,
    /// The environment of the VM.
    pub environment: Vec<(String, String)>,
    /// Properties that a root can read too, such as `xds` `node` `id`, by their path, parts separated by NUL.
    pub properties: BTreeMap<String, Vec<u8>>,
}

/// What stands behind one VM.
pub struct Guest {
    /// What the host asks of its instance again and again, found once it stands.
    pub(crate) exports: Exports,
    /// Which VM: 0 is the main thread's.
    pub vm: usize,
    /// What it shares.
    pub common: Rc<Common>,
    /// What it is told.
    pub settings: Rc<Settings>,
    /// Its randomness.
    pub random: ChaCha8Rng,
    /// Whether it still starts: most calls trap then.
    pub starting: bool,
    /// The number of the next context: they count from 1 in every VM.
    pub next_context: u32,
    /// The context whose callback runs.
    pub running: u32,
    /// The context that the guest speaks for: the one that runs, unless it said otherwise.
    pub context: u32,
    /// Its requests, attempts and connections.
    pub streams: BTreeMap<u32, Box<Stream>>,
    /// The configuration that is being taken.
    pub configuration: Vec<u8>,
    /// Whether one is being taken: only then it can be read.
    pub configures: bool,
    /// Its roots.
    pub roots: BTreeSet<u32>,
    /// Roots that were to go and said that they are not done yet.
    pub pending_done: BTreeSet<u32>,
    /// Roots that said late that they are done.
    pub finished: Vec<u32>,
    /// When each root's next tick is due, and the period, both in nanoseconds.
    pub ticks: BTreeMap<u32, (u64, u64)>,
    /// Its own calls on their way.
    pub call_outs: CallOuts,
    /// What it can read of the answer that it is being told of.
    pub received: Option<Received>,
    /// What `proxy_get_status` says to a root: code and text.
    pub call_status: BTreeMap<u32, (u32, Vec<u8>)>,
    /// The buffer that it looked at last.
    pub last_buffer: u32,
    /// Its numbers of metrics.
    pub metrics: MetricIds,
    /// Properties that contexts declared.
    pub declared: BTreeMap<(u32, String), Declared>,
    /// Expressions of each root, and the number of the next.
    pub(crate) expressions: BTreeMap<u32, (u32, BTreeMap<u32, Node>)>,
    /// The trap of an allocator that ran inside a host call.
    pub trap: Option<wasmtime::Error>,
    /// Bounds of its memory.
    pub limits: StoreLimits,
    /// Where its exports are looked up while its calls are traced.
    pub instance: Option<Instance>,
}

impl Guest {
    /// A VM that has not started.
    pub(crate) fn new(
        vm: usize,
        common: Rc<Common>,
        settings: Rc<Settings>,
        random: ChaCha8Rng,
        limits: StoreLimits,
    ) -> Self {
        Self {
            exports: Exports::default(),
            vm,
            common,
            settings,
            random,
            starting: true,
            next_context: 1,
            running: 0,
            context: 0,
            streams: BTreeMap::new(),
            configuration: Vec::new(),
            configures: false,
            roots: BTreeSet::new(),
            pending_done: BTreeSet::new(),
            finished: Vec::new(),
            ticks: BTreeMap::new(),
            call_outs: CallOuts::default(),
            received: None,
            call_status: BTreeMap::new(),
            last_buffer: u32::MAX,
            metrics: MetricIds::default(),
            declared: BTreeMap::new(),
            expressions: BTreeMap::new(),
            trap: None,
            limits,
            instance: None,
        }
    }

    /// The number of a new context.
    pub(crate) fn fresh_context(&mut self) -> u32 {
        let context = self.next_context;
        self.next_context += 1;
        context
    }

    /// The root of a context: its own, if it is one.
    pub fn root_of(&self, context: u32) -> u32 {
        let stream = self.streams.get(&context);
        stream.map_or(context, |stream| stream.root)
    }

    /// Whether a call may be made now.
    ///
    /// # Errors
    /// A trap, while the guest still starts.
    fn allow(&self, name: &str) -> wasmtime::Result<()> {
        if self.starting && !known::early(name) {
            let text =
                format!("restricted_callback: {name} cannot be called before the VM has started");
            return Err(wasmtime::Error::msg(text));
        }
        Ok(())
    }

    /// What is being told belongs to a root; others cannot see it.
    fn told(&self) -> Option<&Received> {
        let root = self.root_of(self.context);
        self.received.as_ref().filter(|told| told.root == root)
    }

    fn received_map(&self, number: u32) -> Option<&HeaderMap> {
        self.told().and_then(|told| told.maps.get(&number))
    }

    fn received_buffer(&self, number: u32) -> Option<&Vec<u8>> {
        self.told().and_then(|told| told.buffers.get(&number))
    }

    /// Sets the tick of the root at work, in milliseconds; 0 is none.
    fn set_tick(&mut self, millis: u32) {
        let root = self.root_of(self.context);
        let period = u64::from(millis) * NANOS_PER_MILLI;
        if period == 0 {
            self.ticks.remove(&root);
        } else {
            let due = self.common.now.get().saturating_add(period);
            self.ticks.insert(root, (due, period));
        }
    }

    /// What stands under a key of shared data.
    fn load(&mut self, key: &str) -> memory::Answer<(Vec<u8>, u32)> {
        let border = self.common.border.borrow().clone();
        let Some(border) = border else {
            return self.common.shared.borrow().load(key);
        };
        let loaded = border.load(&self.common, key);
        loaded.unwrap_or_else(|| self.end())
    }

    /// Compares and swaps in shared data; other VMs may come in before.
    fn swap(&mut self, key: &str, bytes: &[u8], cas: u32) -> memory::Answer {
        let border = self.common.border.borrow().clone();
        if let Some(border) = border {
            let swapped = border.swap(&self.common, key, bytes, cas);
            return swapped.unwrap_or_else(|| self.end());
        }
        let hook = self.common.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(self.vm);
        }
        self.common.shared.borrow_mut().swap(key, bytes, cas)
    }

    /// Reads a counter or a gauge, or adds to it.
    fn counter(&mut self, id: u32, added: Option<i64>) -> memory::Answer<u64> {
        let border = self.common.border.borrow().clone();
        if let Some((border, name)) = border.zip(self.metrics.name(id)) {
            match border.counter(&self.common, name, added) {
                Counter::Process => {}
                Counter::Value(value) => return Ok(value),
                Counter::End => return self.end(),
            }
        }
        let metrics = &mut *self.common.metrics.borrow_mut();
        match added {
            None => self.metrics.get(metrics, id),
            Some(added) => self.metrics.increment(metrics, id, added).map(|()| 0),
        }
    }

    /// The VM ends with this call.
    fn end<T>(&mut self) -> memory::Answer<T> {
        self.trap = Some(wasmtime::Error::msg("the VM was ended inside a host call"));
        Err(status::NOT_FOUND)
    }

    /// A root is gone, and its calls with it.
    pub(crate) fn forget(&mut self, root: u32) {
        self.roots.remove(&root);
        self.pending_done.remove(&root);
        self.ticks.remove(&root);
        self.call_outs.drop_root(root);
        self.call_status.remove(&root);
        self.expressions.remove(&root);
    }
}

/// Everything a guest may import. A call of WASI that is not here is linked and answers that it is not supported.
///
/// # Errors
/// If an import is no function.
pub fn linker(engine: &wasmtime::Engine, module: &Module) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    calls::link(&mut linker)?;
    headers::link(&mut linker)?;
    properties::link(&mut linker)?;
    buffers::link(&mut linker)?;
    flow::link(&mut linker)?;
    calling::link(&mut linker)?;
    queues::link(&mut linker)?;
    foreign::link(&mut linker)?;
    wasi::link(&mut linker)?;
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_: u32| {})?;
    linker.func_wrap("env", "pthread_equal", |left: u32, right: u32| {
        u32::from(left == right)
    })?;
    for import in module.imports() {
        let space = import.module();
        let known = known::import(known::Version::V021, space, import.name());
        let (Some(kind), Some(name)) = (import.ty().func().cloned(), known) else {
            continue;
        };
        if space == "env" {
            continue;
        }
        // What is linked already stays: a second definition is refused.
        let _ = linker.func_new(space, name, kind, move |caller, _, results| {
            caller.data().allow(name)?;
            let common = &caller.data().common;
            let status = common.called(name).unwrap_or(wasi::NOT_SUPPORTED);
            for result in results {
                *result = wasmtime::Val::I32(status as i32);
            }
            Ok(())
        });
    }
    Ok(linker)
}
