//! One VM: how it starts, what runs in it, how it dies and is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasmtime::{Instance, Store, StoreLimitsBuilder, TypedFunc, WasmParams, WasmResults};

use super::{FailurePolicy, Flow, Inner, StreamId};
use crate::abi::stream::{HeaderMap, LocalReply};
use crate::abi::{Guest, LogLine, linker, trace};
use crate::module::HostError;

/// A VM; its cell is borrowed as long as its guest runs, so the guest is never re-entered.
pub(super) struct Vm {
    pub(super) store: Store<Guest>,
    instance: Instance,
    /// Which of all VMs of the process it is: streams of one before it are not its own.
    pub(super) start: u64,
    pub(super) roots: Vec<u32>,
    pub(super) dead_since: Option<u64>,
    pub(super) fuel: u64,
}

impl Vm {
    /// Whether this is a stream of this VM and still there: one that began in a VM before it is not.
    pub(super) fn holds(&self, id: StreamId) -> Option<()> {
        let streams = &self.store.data().streams;
        (self.start == id.start && streams.contains_key(&id.context)).then_some(())
    }

    /// When the next tick is due, in nanoseconds.
    pub(super) fn next_tick(&self) -> Option<u64> {
        let ticks = self.store.data().ticks.values();
        let due = ticks.map(|(due, _)| *due).min();
        due.filter(|_| self.dead_since.is_none())
    }

    /// The roots that asked for ticks; their next ones are due a period from now.
    pub(super) fn ticking(&mut self, now: u64) -> Vec<u32> {
        let ticks = &mut self.store.data_mut().ticks;
        for (due, period) in ticks.values_mut() {
            *due = now.saturating_add(*period);
        }
        ticks.keys().copied().collect()
    }
}

impl Inner {
    /// A new VM with its first root.
    pub(super) fn vm(&self, number: usize) -> Result<Vm, HostError> {
        let mut vm = self.base(number)?;
        self.root(&mut vm)?;
        Ok(vm)
    }

    /// A new VM without a root.
    pub(super) fn base(&self, number: usize) -> Result<Vm, HostError> {
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
            vm_configuration: self.options.vm_configuration.clone(),
            roots: BTreeSet::new(),
            ticks: BTreeMap::new(),
            finished: Vec::new(),
            trap: None,
            limits: StoreLimitsBuilder::new()
                .memory_size(self.options.memory_max)
                .build(),
            contexts: 0,
            instance: None,
        };
        let mut store = Store::new(&self.module.engine, guest);
        store.limiter(|guest| &mut guest.limits);
        store
            .set_fuel(self.options.fuel_per_callback)
            .map_err(trapped)?;
        let linker = linker(&self.module.engine, &self.module.module).map_err(trapped)?;
        let instance = trace::instantiate(&linker, &mut store, &self.module.module);
        let instance = instance.map_err(trapped)?;
        let mut vm = Vm {
            store,
            instance,
            start,
            roots: Vec::new(),
            dead_since: None,
            fuel: 0,
        };
        let start = match vm.instance.get_func(&mut vm.store, "_initialize") {
            Some(_) => "_initialize",
            None => "_start",
        };
        self.call::<_, ()>(&mut vm, 0, start, ());
        Ok(vm)
    }

    /// One more root in a VM, with the configuration that holds now.
    pub(super) fn root(&self, vm: &mut Vm) -> Result<(), HostError> {
        let root = vm.store.data_mut().next_context();
        let configuration = self.configuration.borrow().clone();
        let size = configuration.len() as u32;
        let before = std::mem::replace(&mut vm.store.data_mut().configuration, configuration);
        let vm_size = self.options.vm_configuration.len() as u32;
        vm.store.data_mut().roots.insert(root);
        self.call::<_, ()>(vm, root, "proxy_on_context_create", (root, 0_u32));
        let started: Option<u32> = self.call(vm, root, "proxy_on_vm_start", (root, vm_size));
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
            let refused = HostError::Refused(said());
            self.call::<_, ()>(vm, root, "proxy_on_delete", root);
            vm.store.data_mut().forget(root);
            vm.store.data_mut().configuration = before;
            return Err(refused);
        }
        vm.roots.push(root);
        Ok(())
    }

    /// All roots but the newest are done and go.
    pub(super) fn drop_old_roots(&self, vm: &mut Vm) {
        let old = vm.roots.len().saturating_sub(1);
        let old: Vec<u32> = vm.roots.drain(..old).collect();
        for root in old {
            self.drop_root(vm, root);
        }
    }

    /// The newest root goes: another VM refused what it took.
    pub(super) fn drop_newest_root(&self, vm: &mut Vm) {
        if vm.dead_since.is_none()
            && let Some(root) = vm.roots.pop()
        {
            self.drop_root(vm, root);
        }
    }

    fn drop_root(&self, vm: &mut Vm, root: u32) {
        self.call::<_, u32>(vm, root, "proxy_on_done", root);
        self.call::<_, ()>(vm, root, "proxy_on_delete", root);
        vm.store.data_mut().forget(root);
    }

    /// Streams whose guest said late that it is done go now.
    fn delete_finished(&self, vm: &mut Vm) {
        while let Some(context) = vm.store.data_mut().finished.pop() {
            self.call::<_, ()>(vm, context, "proxy_on_delete", context);
            vm.store.data_mut().streams.remove(&context);
        }
    }

    /// Calls an export of a living VM, if there is one. A trap kills the VM.
    pub(super) fn call<P: WasmParams + Debug, R: WasmResults + Debug>(
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
        let number = vm.store.data().vm;
        self.common.calls_guest(number, name, &parameters);
        let called = function.call(&mut vm.store, parameters);
        vm.fuel += limit.saturating_sub(vm.store.get_fuel().unwrap_or(limit));
        match called {
            Ok(value) => {
                self.common.guest_gave(number, name, &value);
                self.delete_finished(vm);
                Some(value)
            }
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
    pub(super) fn revive(&self, number: usize, vm: &mut Vm) {
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
    pub(super) fn failed(&self) -> Flow {
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
