//! One process as Envoy runs it: a VM for the main thread and one for each worker, on one store of shared data.
//!
//! Every call is plain: a stream is opened, gets its headers, is closed. Time and randomness come from outside. A VM can
//! be driven while another stands inside a host call (see [`crate::abi::Hook`]): that is how interleavings are tested.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasmtime::{Instance, Store, StoreLimitsBuilder, TypedFunc, WasmParams, WasmResults};

use crate::abi::stream::{
    HeaderMap, LocalReply, REQUEST_HEADERS, RESPONSE_HEADERS, RESPONSE_TRAILERS, Stream,
};
use crate::abi::{Common, Guest, LogLine, linker};
use crate::module::{HostError, Module};

/// What becomes of requests when a VM has trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// 503, from then on.
    Closed,
    /// They pass by the filter, from then on.
    Open,
    /// 503 until a new VM starts, after this many nanoseconds.
    Reload(u64),
}

/// How a process is run.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Workers.
    pub workers: usize,
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
}

impl Default for ProcessOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            configuration: Vec::new(),
            seed: 0,
            failure_policy: FailurePolicy::Reload(100_000_000),
            strict_cas: false,
            fuel_per_callback: 1_000_000_000,
            memory_max: 64 * 1024 * 1024,
        }
    }
}

/// A request of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    worker: usize,
    context: u32,
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

struct Vm {
    store: Store<Guest>,
    instance: Instance,
    roots: Vec<u32>,
    dead_since: Option<u64>,
    fuel: u64,
}

/// One process. Cloning gives another hand on the same one.
#[derive(Clone)]
pub struct Process {
    inner: Rc<Inner>,
}

struct Inner {
    module: Module,
    options: ProcessOptions,
    configuration: RefCell<Vec<u8>>,
    common: Rc<Common>,
    /// The main thread's VM and the workers'.
    vms: Vec<RefCell<Vm>>,
    contexts: Cell<u32>,
    starts: Cell<u64>,
}

impl Process {
    /// Starts a canary, which is thrown away, then the main thread's VM, then the workers'.
    ///
    /// # Errors
    /// If the module refuses its configuration or traps.
    pub fn start(module: &Module, options: ProcessOptions, now: u64) -> Result<Self, HostError> {
        let mut inner = Inner {
            module: module.clone(),
            configuration: RefCell::new(options.configuration.clone()),
            common: Rc::new(Common::new(now, options.strict_cas)),
            vms: Vec::new(),
            contexts: Cell::new(1),
            starts: Cell::new(0),
            options,
        };
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

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.inner.options.workers
    }

    /// Opens a stream on a worker (counted from 0). A worker whose VM is dead may get a new one here.
    pub fn open(&self, worker: usize, properties: BTreeMap<String, Vec<u8>>) -> StreamId {
        let inner = &self.inner;
        let number = worker % inner.options.workers + 1;
        let context = inner.contexts.get() + 1;
        inner.contexts.set(context);
        let id = StreamId {
            worker: number,
            context,
        };
        let Ok(mut vm) = inner.vms[number].try_borrow_mut() else {
            return id;
        };
        inner.revive(number, &mut vm);
        let Some(root) = vm.roots.last().copied() else {
            return id;
        };
        let stream = Stream {
            properties,
            ..Stream::default()
        };
        vm.store.data_mut().streams.insert(context, stream);
        inner.call::<_, ()>(&mut vm, context, "proxy_on_context_create", (context, root));
        id
    }

    /// The headers of the request.
    pub fn request_headers(&self, id: StreamId, headers: HeaderMap, end: bool) -> Flow {
        self.headers(
            id,
            REQUEST_HEADERS,
            headers,
            end,
            "proxy_on_request_headers",
        )
    }

    /// The headers of the answer. The request's are gone from here on.
    pub fn response_headers(&self, id: StreamId, headers: HeaderMap, end: bool) -> Flow {
        self.with(id, |stream| stream.maps.remove(&REQUEST_HEADERS));
        self.headers(
            id,
            RESPONSE_HEADERS,
            headers,
            end,
            "proxy_on_response_headers",
        )
    }

    /// The trailers of the answer.
    pub fn response_trailers(&self, id: StreamId, trailers: HeaderMap) {
        let count = trailers.len() as u32;
        self.with(id, |stream| stream.maps.insert(RESPONSE_TRAILERS, trailers));
        self.callback(id, "proxy_on_response_trailers", (id.context, count));
    }

    /// The end of a stream: log, done, delete.
    pub fn close(&self, id: StreamId) {
        self.with(id, |stream| stream.maps.clear());
        self.void(id, "proxy_on_log", id.context);
        self.callback(id, "proxy_on_done", id.context);
        self.void(id, "proxy_on_delete", id.context);
        if let Ok(mut vm) = self.inner.vms[id.worker].try_borrow_mut() {
            vm.store.data_mut().streams.remove(&id.context);
        }
    }

    /// Sets a property that the filter can read, its path's parts separated by NUL.
    pub fn set_property(&self, id: StreamId, path: &str, value: Vec<u8>) {
        self.with(id, |stream| {
            stream.properties.insert(path.to_owned(), value)
        });
    }

    /// What the filter set as a property.
    pub fn filter_state(&self, id: StreamId, path: &str) -> Option<String> {
        let value = self
            .with(id, |stream| stream.state.get(path).cloned())
            .flatten()?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// A header map as it is now.
    pub fn header_map(&self, id: StreamId, number: u32) -> HeaderMap {
        self.with(id, |stream| stream.maps.get(&number).cloned())
            .flatten()
            .unwrap_or_default()
    }

    /// A tick in the main thread's VM and in each worker's.
    pub fn tick(&self) {
        for number in 0..self.inner.vms.len() {
            self.tick_vm(number);
        }
    }

    /// A tick in one VM: 0 is the main thread's, workers count from 1.
    pub fn tick_vm(&self, number: usize) {
        if let Ok(mut vm) = self.inner.vms[number].try_borrow_mut() {
            for root in vm.roots.clone() {
                self.inner
                    .call::<_, ()>(&mut vm, root, "proxy_on_tick", root);
            }
        }
    }

    /// A new configuration: a second root in every VM, to which new streams go.
    ///
    /// # Errors
    /// If the module refuses it; then nothing changes.
    pub fn reconfigure(&self, configuration: &[u8]) -> Result<(), HostError> {
        let before = self.inner.configuration.replace(configuration.to_vec());
        for vm in &self.inner.vms {
            let started = self.inner.root(&mut vm.borrow_mut());
            if let Err(error) = started {
                self.inner.configuration.replace(before);
                return Err(error);
            }
        }
        Ok(())
    }

    /// A VM vanishes as after a panic: its streams get no more callbacks. Workers count from 0.
    pub fn kill(&self, worker: usize) {
        if let Ok(mut vm) = self.inner.vms[worker + 1].try_borrow_mut() {
            vm.dead_since = Some(self.inner.common.now.get());
        }
    }

    /// Whether a worker's VM is alive. Workers count from 0.
    pub fn is_alive(&self, worker: usize) -> bool {
        self.inner.vms[worker + 1]
            .try_borrow()
            .is_ok_and(|vm| vm.dead_since.is_none())
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

    fn headers(
        &self,
        id: StreamId,
        number: u32,
        headers: HeaderMap,
        end: bool,
        name: &str,
    ) -> Flow {
        let count = headers.len() as u32;
        self.with(id, |stream| stream.maps.insert(number, headers));
        let action = self.callback(id, name, (id.context, count, u32::from(end)));
        if !self.is_alive(id.worker - 1) {
            return self.inner.failed();
        }
        let reply = self.with(id, |stream| stream.reply.take()).flatten();
        if let Some(reply) = reply {
            // Envoy runs a local reply through the answer's side of the same filter.
            let status = (b":status".to_vec(), reply.status.to_string().into_bytes());
            let headers = [vec![status], reply.headers.clone()].concat();
            let count = headers.len() as u32;
            self.with(id, |stream| stream.maps.insert(RESPONSE_HEADERS, headers));
            let end = u32::from(reply.body.is_empty());
            self.callback(id, "proxy_on_response_headers", (id.context, count, end));
            return Flow::Reply(reply);
        }
        match action {
            Some(1) => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    fn callback<P: WasmParams>(&self, id: StreamId, name: &str, parameters: P) -> Option<u32> {
        let mut vm = self.inner.vms[id.worker].try_borrow_mut().ok()?;
        vm.store.data().streams.get(&id.context)?;
        self.inner.call(&mut vm, id.context, name, parameters)
    }

    fn void(&self, id: StreamId, name: &str, context: u32) {
        if let Ok(mut vm) = self.inner.vms[id.worker].try_borrow_mut()
            && vm.store.data().streams.contains_key(&context)
        {
            self.inner.call::<_, ()>(&mut vm, context, name, context);
        }
    }

    fn with<T>(&self, id: StreamId, run: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut vm = self.inner.vms[id.worker].try_borrow_mut().ok()?;
        vm.store.data_mut().streams.get_mut(&id.context).map(run)
    }
}

impl Inner {
    /// A new VM with its first root.
    fn vm(&self, number: usize) -> Result<Vm, HostError> {
        let trapped = |error: wasmtime::Error| HostError::Trapped(format!("{error:#}"));
        let start = self.starts.get();
        self.starts.set(start + 1);
        let guest = Guest {
            vm: number,
            common: Rc::clone(&self.common),
            random: ChaCha8Rng::seed_from_u64(self.options.seed.wrapping_mul(1_000_003) ^ start),
            context: 0,
            streams: BTreeMap::new(),
            configuration: Vec::new(),
            ticks: BTreeMap::new(),
            limits: StoreLimitsBuilder::new()
                .memory_size(self.options.memory_max)
                .build(),
        };
        let mut store = Store::new(&self.module.engine, guest);
        store.limiter(|guest| &mut guest.limits);
        store
            .set_fuel(self.options.fuel_per_callback)
            .map_err(trapped)?;
        let linker = linker(&self.module.engine, &self.module.module).map_err(trapped)?;
        let instance = linker
            .instantiate(&mut store, &self.module.module)
            .map_err(trapped)?;
        let mut vm = Vm {
            store,
            instance,
            roots: Vec::new(),
            dead_since: None,
            fuel: 0,
        };
        self.call::<_, ()>(&mut vm, 0, "_initialize", ());
        self.root(&mut vm)?;
        Ok(vm)
    }

    /// One more root in a VM, with the configuration that holds now.
    fn root(&self, vm: &mut Vm) -> Result<(), HostError> {
        let root = self.contexts.get() + 1;
        self.contexts.set(root);
        let configuration = self.configuration.borrow().clone();
        let size = configuration.len() as u32;
        vm.store.data_mut().configuration = configuration;
        self.call::<_, ()>(vm, root, "proxy_on_context_create", (root, 0_u32));
        let started: Option<u32> = self.call(vm, root, "proxy_on_vm_start", (root, 0_u32));
        let taken: Option<u32> = self.call(vm, root, "proxy_on_configure", (root, size));
        let said = || {
            self.common
                .log
                .borrow()
                .last()
                .map(|line| line.text.clone())
                .unwrap_or_default()
        };
        if vm.dead_since.is_some() {
            return Err(HostError::Trapped(said()));
        }
        if started == Some(0) || taken == Some(0) {
            self.call::<_, ()>(vm, root, "proxy_on_delete", root);
            return Err(HostError::Refused(said()));
        }
        vm.roots.push(root);
        Ok(())
    }

    /// Calls an export of a living VM, if there is one. A trap kills the VM.
    fn call<P: WasmParams, R: WasmResults>(
        &self,
        vm: &mut Vm,
        context: u32,
        name: &str,
        parameters: P,
    ) -> Option<R> {
        if vm.dead_since.is_some() {
            return None;
        }
        let function: TypedFunc<P, R> = vm.instance.get_typed_func(&mut vm.store, name).ok()?;
        let limit = self.options.fuel_per_callback;
        vm.store.data_mut().context = context;
        vm.store.set_fuel(limit).ok()?;
        let called = function.call(&mut vm.store, parameters);
        vm.fuel += limit.saturating_sub(vm.store.get_fuel().unwrap_or(limit));
        match called {
            Ok(value) => Some(value),
            Err(error) => {
                let line = LogLine {
                    at: self.common.now.get(),
                    vm: vm.store.data().vm,
                    level: 5,
                    text: format!("the VM trapped in {name}: {error:#}"),
                };
                self.common.log.borrow_mut().push(line);
                vm.dead_since = Some(self.common.now.get());
                None
            }
        }
    }

    /// A dead VM is replaced once its time has come.
    fn revive(&self, number: usize, vm: &mut Vm) {
        if let (FailurePolicy::Reload(backoff), Some(since)) =
            (self.options.failure_policy, vm.dead_since)
            && self.common.now.get() >= since.saturating_add(backoff)
            && let Ok(fresh) = self.vm(number)
        {
            let fuel = vm.fuel;
            *vm = fresh;
            vm.fuel += fuel;
        }
    }

    /// What becomes of a request whose VM is dead.
    fn failed(&self) -> Flow {
        match self.options.failure_policy {
            FailurePolicy::Open => Flow::Continue,
            FailurePolicy::Closed | FailurePolicy::Reload(_) => Flow::Reply(LocalReply {
                status: 503,
                details: "wasm_fail_stream".to_owned(),
                body: Vec::new(),
                headers: HeaderMap::new(),
                grpc_status: -1,
            }),
        }
    }
}
