//! One process as Envoy runs it: a VM for the main thread and one for each worker, on one store of shared data.
//!
//! Every call is plain: a stream is opened, gets its headers, is closed. Time and randomness come from outside:
//! [`Process::advance`] lets time pass, and with it ticks, answers to the guests' own calls and entries of shared queues. A VM
//! can be driven while another stands inside a host call (see [`crate::abi::Hook`]): that is how interleavings are tested.
//!
//! A filter of one's own is tested like this:
//!
//! ```no_run
//! use std::path::Path;
//! use seawall_harness::abi::stream::{self, headers};
//! use seawall_harness::module::Module;
//! use seawall_harness::process::{Flow, Process, ProcessOptions};
//!
//! let module = Module::from_file(Path::new("filter.wasm")).expect("a module");
//! let options = ProcessOptions { configuration: b"{}".to_vec(), ..ProcessOptions::default() };
//! let process = Process::start(&module, options, 0).expect("a process");
//! let request = process.open(0, Default::default());
//! let asked = headers(&[(":method", "GET"), (":path", "/"), (":authority", "example.org")]);
//! assert_eq!(process.request_headers(request, asked, true), Flow::Continue);
//! process.response_headers(request, headers(&[(":status", "200")]), true);
//! assert_eq!(stream::value(&process.header_map(request, 2), "x-filter").as_deref(), Some("was here"));
//! process.close(request);
//! ```

mod connections;
mod contents;
mod events;
mod positions;
mod raw_call;
mod stream_properties;
mod streams;
mod vm;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::abi::stream::LocalReply;
use crate::abi::trace::Trace;
use crate::abi::{Common, LogLine, Settings};
use crate::module::{HostError, Module};
pub use connections::Closed;
pub use events::CallId;
pub use positions::Properties;
pub use stream_properties::Surroundings;
pub(crate) use vm::TRAPPED;
use vm::Vm;

/// What becomes of requests when a VM has trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// 503, from then on.
    Closed,
    /// They pass by the filter, from then on.
    Open,
    /// 503 until a new VM starts with the next request, but not sooner than this many nanoseconds, and up to half as many
    /// more by chance, after the last one started: a VM that lived long is replaced at once.
    Reload(u64),
}

/// How a process is run.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Workers.
    pub workers: usize,
    /// The VM's configuration.
    pub vm_configuration: Vec<u8>,
    /// The plugin's configuration.
    pub configuration: Vec<u8>,
    /// Seed of all randomness.
    pub seed: u64,
    /// What a trap leads to.
    pub failure_policy: FailurePolicy,
    /// A host that refuses a swap against 0.
    pub strict_cas: bool,
    /// A callback that needs more traps.
    pub fuel_per_callback: u64,
    /// A VM that needs more memory, in bytes, gets none.
    pub memory_max: usize,
    /// The plugin's name, as the property `plugin_name`.
    pub plugin_name: String,
    /// The name of the plugin's root, as the property `plugin_root_id`.
    pub root_id: String,
    /// The VM's name, as the property `plugin_vm_id`: under it stand shared queues.
    pub vm_id: String,
    /// The VM's environment.
    pub environment: Vec<(String, String)>,
    /// Properties that a root can read too.
    pub properties: Properties,
    /// Whether the calls between host and guests are kept, see [`crate::abi::trace`].
    pub trace: bool,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            vm_configuration: Vec::new(),
            configuration: Vec::new(),
            seed: 0,
            failure_policy: FailurePolicy::Reload(100_000_000),
            strict_cas: false,
            fuel_per_callback: 1_000_000_000,
            memory_max: 64 * 1024 * 1024,
            plugin_name: String::new(),
            root_id: String::new(),
            vm_id: String::new(),
            environment: Vec::new(),
            properties: Properties::new(),
            trace: false,
        }
    }
}

/// A request of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    worker: usize,
    /// Which of the VMs that stood there one after the other: contexts count anew in each.
    vm: u64,
    context: u32,
}

impl StreamId {
    /// A stream of a process without VMs.
    pub(crate) fn of(worker: usize, context: u32) -> Self {
        Self {
            worker,
            vm: 0,
            context,
        }
    }

    /// The number of its context, as the guest sees it.
    pub fn context(self) -> u32 {
        self.context
    }
}

/// What becomes of a request or an answer after a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It waits.
    Pause,
    /// The filter, or the host after a trap, answered.
    Reply(LocalReply),
}

/// One process. Cloning gives another hand on the same one.
#[derive(Clone)]
pub struct Process {
    inner: Rc<Inner>,
}

struct Inner {
    module: Module,
    options: ProcessOptions,
    settings: Rc<Settings>,
    configuration: RefCell<Vec<u8>>,
    common: Rc<Common>,
    /// The main thread's VM and the workers'.
    vms: Vec<RefCell<Vm>>,
    starts: Cell<u64>,
}

impl Process {
    /// Starts the module without a plugin, then a canary, both of which are thrown away, then the main thread's VM, then the
    /// workers'.
    ///
    /// # Errors
    /// If the module refuses its configuration or traps.
    pub fn start(module: &Module, options: ProcessOptions, now: u64) -> Result<Self, HostError> {
        let common = Common {
            trace: Trace::new(options.trace),
            ..Common::new(now, options.strict_cas)
        };
        Self::within(module, options, Rc::new(common))
    }

    /// Starts another module, or the same once more, in the same process: with VMs of its own, and the same clock, shared data,
    /// metrics and log.
    ///
    /// # Errors
    /// If the module refuses its configuration or traps.
    pub fn beside(&self, module: &Module, options: ProcessOptions) -> Result<Self, HostError> {
        Self::within(module, options, Rc::clone(&self.inner.common))
    }

    /// The same on what is shared already.
    ///
    /// # Errors
    /// If the module refuses its configuration or traps.
    pub(crate) fn within(
        module: &Module,
        options: ProcessOptions,
        common: Rc<Common>,
    ) -> Result<Self, HostError> {
        let settings = Settings {
            plugin_name: options.plugin_name.clone(),
            root_id: options.root_id.clone(),
            vm_id: options.vm_id.clone(),
            vm_configuration: options.vm_configuration.clone(),
            environment: options.environment.clone(),
            properties: options.properties.clone(),
        };
        let mut inner = Inner {
            settings: Rc::new(settings),
            module: module.clone(),
            configuration: RefCell::new(options.configuration.clone()),
            common,
            vms: Vec::new(),
            starts: Cell::new(0),
            options,
        };
        inner.load()?;
        inner.vm(0)?;
        for number in 0..=inner.options.workers {
            let vm = inner.vm(number)?;
            inner.vms.push(RefCell::new(vm));
        }
        Ok(Self {
            inner: Rc::new(inner),
        })
    }

    /// What all VMs share: clock, shared data, metrics, log, faults, hook.
    pub fn common(&self) -> &Common {
        &self.inner.common
    }

    /// Sets the clock, in nanoseconds.
    pub fn set_now(&self, nanos: u64) {
        self.inner.common.now.set(nanos);
    }

    /// The configuration of its plugin.
    pub fn configuration(&self) -> Vec<u8> {
        self.inner.configuration.borrow().clone()
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.inner.options.workers
    }

    /// A tick in the main thread's VM and in each worker's.
    pub fn tick(&self) {
        for number in 0..self.inner.vms.len() {
            self.tick_vm(number);
        }
    }

    /// The VM (0 is the main thread's) whose tick is due next, and when, in nanoseconds.
    pub fn next_tick(&self) -> Option<(usize, u64)> {
        let vms = self.inner.vms.iter().enumerate();
        let due = vms.filter_map(|(number, vm)| Some((number, vm.try_borrow().ok()?.next_tick()?)));
        due.min_by_key(|(number, due)| (*due, *number))
    }

    /// A tick in one VM, of all its roots that asked for ticks: 0 is the main thread's, workers count from 1.
    pub fn tick_vm(&self, number: usize) {
        if let Ok(mut vm) = self.inner.vms[number].try_borrow_mut() {
            let now = self.inner.common.now.get();
            for root in vm.ticking(now) {
                self.inner
                    .call::<_, ()>(&mut vm, root, "proxy_on_tick", root);
            }
        }
    }

    /// A new configuration: tried in a canary, then a second root in every living VM, to which new streams go. The old
    /// root stays, and ticks, until [`Self::drop_old_roots`].
    ///
    /// # Errors
    /// If the module refuses it; then nothing changes. If it is called while a VM stands inside a host call.
    pub fn reconfigure(&self, configuration: &[u8]) -> Result<(), HostError> {
        let inner = &self.inner;
        if inner.vms.iter().any(|vm| vm.try_borrow_mut().is_err()) {
            return Err(HostError::Inside);
        }
        let before = inner.configuration.replace(configuration.to_vec());
        let restore = |error| {
            inner.configuration.replace(before.clone());
            Err(error)
        };
        if let Err(error) = inner.vm(0) {
            return restore(error);
        }
        for (number, vm) in inner.vms.iter().enumerate() {
            let mut vm = vm.borrow_mut();
            if vm.dead_since.is_some() {
                continue;
            }
            if let Err(error) = inner.root(&mut vm) {
                drop(vm);
                for vm in inner.vms.iter().take(number) {
                    inner.drop_newest_root(&mut vm.borrow_mut());
                }
                return restore(error);
            }
        }
        Ok(())
    }

    /// The end of the drain after a new configuration: all roots but the newest are done and go.
    pub fn drop_old_roots(&self) {
        for vm in &self.inner.vms {
            if let Ok(mut vm) = vm.try_borrow_mut() {
                self.inner.drop_old_roots(&mut vm);
            }
        }
    }

    /// A VM vanishes as after a panic: its streams get no more callbacks. Workers count from 0.
    pub fn kill(&self, worker: usize) {
        if let Ok(mut vm) = self.inner.vms[worker + 1].try_borrow_mut() {
            vm.dead_since = Some(self.inner.common.now.get());
        }
    }

    /// Sets how far the wall clock is ahead of the time it should tell, in nanoseconds.
    pub fn set_wall_ahead(&self, nanos: u64) {
        self.inner.common.wall_ahead.set(nanos);
    }

    /// Puts nonsense in the place of every value that the VMs share.
    pub fn corrupt_shared(&self) {
        self.inner.common.shared.borrow_mut().corrupt();
    }

    /// Whether a worker's VM is alive. Workers count from 0.
    pub fn is_alive(&self, worker: usize) -> bool {
        self.inner.vms[worker + 1]
            .try_borrow()
            .is_ok_and(|vm| vm.dead_since.is_none())
    }

    /// Everything ends: all roots are done and go.
    pub fn stop(&self) {
        for vm in &self.inner.vms {
            if let Ok(mut vm) = vm.try_borrow_mut() {
                self.inner.drop_old_roots(&mut vm);
                self.inner.drop_newest_root(&mut vm);
            }
        }
    }

    /// Whether the filter asked, since the last time, that the route be chosen anew: a changed header of the request does so.
    pub fn take_route_cleared(&self, id: StreamId) -> bool {
        self.with(id, |stream| std::mem::take(&mut stream.route_cleared)) == Some(true)
    }

    /// What was logged since the last time.
    pub fn take_log(&self) -> Vec<LogLine> {
        self.inner.common.log.take()
    }

    /// Fuel that all callbacks of all VMs needed, exactly.
    pub fn fuel(&self) -> u64 {
        self.inner
            .vms
            .iter()
            .filter_map(|vm| vm.try_borrow().ok())
            .map(|vm| vm.fuel)
            .sum()
    }
}
