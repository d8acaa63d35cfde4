//! One VM: how it starts, what runs in it, how it dies and is replaced.

use std::any::Any;
use std::fmt::Debug;
use std::rc::Rc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasmtime::{Instance, Store, StoreLimitsBuilder, TypedFunc, WasmParams, WasmResults};

use super::{FailurePolicy, Flow, Inner, raw_call};
use crate::abi::stream::{HeaderMap, LocalReply};
use crate::abi::{Exports, Guest, LogLine};
use crate::module::HostError;

/// How the line begins that the host logs of a trap.
pub(crate) const TRAPPED: &str = "the VM trapped in";

/// A VM; its cell is borrowed as long as its guest runs, so the guest is never re-entered.
pub(super) struct Vm {
    pub(super) store: Store<Guest>,
    instance: Instance,
    /// Exports that were called, each with the type that it was called with.
    functions: Vec<(String, Box<dyn Any>)>,
    pub(super) roots: Vec<u32>,
    pub(super) dead_since: Option<u64>,
    pub(super) fuel: u64,
    /// Which of all VMs of the process it is, counted by their starts.
    pub(super) start: u64,
    /// When it, or another in its place, was last tried to be started.
    loaded: u64,
}

/// An export of this type, if there is one.
type Export<P, R> = Option<Rc<TypedFunc<P, R>>>;

impl Vm {
    /// An export of this name and type, if there is one.
    fn function<P: WasmParams + 'static, R: WasmResults + 'static>(
        &mut self,
        name: &str,
    ) -> Option<Rc<TypedFunc<P, R>>> {
        let mut known = self.functions.iter().filter(|(known, _)| known == name);
        let known = known.find_map(|(_, known)| known.downcast_ref::<Export<P, R>>());
        if let Some(known) = known {
            return known.clone();
        }
        let found = self.instance.get_typed_func(&mut self.store, name);
        let found: Export<P, R> = found.ok().map(Rc::new);
        self.functions
            .push((name.to_owned(), Box::new(found.clone())));
        found
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
        let mut vm = self.bare(number)?;
        self.root(&mut vm)?;
        Ok(vm)
    }

    /// Whether the module starts at all, without a plugin.
    pub(super) fn load(&self) -> Result<(), HostError> {
        self.bare(0).map(drop)
    }

    /// A new VM that ran its start functions: `_initialize` and then `main`, or else `_start`.
    fn bare(&self, number: usize) -> Result<Vm, HostError> {
        let trapped = |error: wasmtime::Error| HostError::Trapped(demangled(&format!("{error:#}")));
        let start = self.starts.get();
        self.starts.set(start + 1);
        let random = ChaCha8Rng::seed_from_u64(self.options.seed.wrapping_mul(1_000_003) ^ start);
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.options.memory_max)
            .build();
        let (common, settings) = (Rc::clone(&self.common), Rc::clone(&self.settings));
        let guest = Guest::new(number, common, settings, random, limits);
        let mut store = Store::new(&self.module.engine, guest);
        store.limiter(|guest| &mut guest.limits);
        store
            .set_fuel(self.options.fuel_per_callback)
            .map_err(trapped)?;
        let instance = self.module.instantiate(&mut store).map_err(trapped)?;
        let exports = Exports::of(&mut store, &instance);
        store.data_mut().exports = exports;
        let mut vm = Vm {
            store,
            instance,
            functions: Vec::new(),
            roots: Vec::new(),
            dead_since: None,
            fuel: 0,
            start,
            loaded: self.common.now.get(),
        };
        if vm.instance.get_func(&mut vm.store, "_initialize").is_some() {
            self.call::<_, ()>(&mut vm, 0, "_initialize", ());
            self.call::<_, u32>(&mut vm, 0, "main", (0_u32, 0_u32));
        } else {
            self.call::<_, ()>(&mut vm, 0, "_start", ());
        }
        if vm.dead_since.is_some() {
            return Err(HostError::Trapped(self.said()));
        }
        vm.store.data_mut().starting = false;
        Ok(vm)
    }

    /// What was logged last: the reason of a failure.
    fn said(&self) -> String {
        let log = self.common.log.borrow();
        log.last().map(|line| line.text.clone()).unwrap_or_default()
    }

    /// One more root in a VM, with the configuration that holds now.
    pub(super) fn root(&self, vm: &mut Vm) -> Result<(), HostError> {
        let root = vm.store.data_mut().fresh_context();
        let configuration = self.configuration.borrow().clone();
        let size = configuration.len() as u32;
        let guest = vm.store.data_mut();
        guest.configuration = configuration;
        guest.roots.insert(root);
        // The plugin's configuration can be read while its root is made and while it is taken, and not in between.
        let reads = |vm: &mut Vm, can: bool| vm.store.data_mut().configures = can;
        let vm_size = self.options.vm_configuration.len() as u32;
        reads(vm, true);
        self.call::<_, ()>(vm, root, "proxy_on_context_create", (root, 0_u32));
        reads(vm, false);
        let started: Option<u32> = self.call(vm, root, "proxy_on_vm_start", (root, vm_size));
        reads(vm, true);
        let taken: Option<u32> = match started {
            Some(0) => None,
            _ => self.call(vm, root, "proxy_on_configure", (root, size)),
        };
        reads(vm, false);
        if vm.dead_since.is_some() {
            return Err(HostError::Trapped(self.said()));
        }
        if started == Some(0) || taken == Some(0) {
            let refused = HostError::Refused(self.said());
            self.call::<_, ()>(vm, root, "proxy_on_delete", root);
            vm.store.data_mut().forget(root);
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

    /// A root goes, at once or when it says that it is done.
    fn drop_root(&self, vm: &mut Vm, root: u32) {
        if self.call::<_, u32>(vm, root, "proxy_on_done", root) == Some(0) {
            vm.store.data_mut().pending_done.insert(root);
            return;
        }
        self.call::<_, ()>(vm, root, "proxy_on_delete", root);
        vm.store.data_mut().forget(root);
    }

    /// Roots that said late that they are done go now.
    fn delete_finished(&self, vm: &mut Vm) {
        while let Some(root) = vm.store.data_mut().finished.pop() {
            self.call::<_, ()>(vm, root, "proxy_on_delete", root);
            vm.store.data_mut().forget(root);
        }
    }

    /// Calls an export of a living VM, if there is one. A trap kills the VM.
    pub(super) fn call<P: WasmParams + Debug + 'static, R: WasmResults + Debug + 'static>(
        &self,
        vm: &mut Vm,
        context: u32,
        name: &str,
        parameters: P,
    ) -> Option<R> {
        if vm.dead_since.is_some() {
            return None;
        }
        let function: Rc<TypedFunc<P, R>> = vm.function(name)?;
        let limit = self.options.fuel_per_callback;
        let guest = vm.store.data_mut();
        (guest.running, guest.context) = (context, context);
        vm.store.set_fuel(limit).ok()?;
        let number = vm.store.data().vm;
        self.common.calls_guest(number, name, &parameters);
        let called = function.call(&mut vm.store, parameters);
        self.came_back(vm, name, called)
    }

    /// Calls an export with plain numbers; whether there is one.
    pub(super) fn call_raw(&self, vm: &mut Vm, name: &str, numbers: &[u32]) -> bool {
        let function = vm.instance.get_func(&mut vm.store, name);
        let Some(function) = function.filter(|_| vm.dead_since.is_none()) else {
            return false;
        };
        let kind = function.ty(&vm.store);
        let parameters = raw_call::values(kind.params(), numbers);
        let mut results = raw_call::values(kind.results(), &[]);
        vm.store.data_mut().context = numbers.first().copied().unwrap_or(0);
        if vm.store.set_fuel(self.options.fuel_per_callback).is_err() {
            return false;
        }
        let called = function.call(&mut vm.store, &parameters, &mut results);
        self.came_back(vm, name, called);
        true
    }

    /// What a call gave; a trap kills the VM.
    fn came_back<R: Debug>(
        &self,
        vm: &mut Vm,
        name: &str,
        called: wasmtime::Result<R>,
    ) -> Option<R> {
        let number = vm.store.data().vm;
        let limit = self.options.fuel_per_callback;
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
                    text: format!("{TRAPPED} {name}: {}", demangled(&format!("{error:#}"))),
                };
                self.common.log.borrow_mut().push(line);
                vm.dead_since = Some(self.common.now.get());
                None
            }
        }
    }

    /// A dead VM is replaced once its time has come, counted from the last start that was tried.
    pub(super) fn revive(&self, number: usize, vm: &mut Vm) {
        let FailurePolicy::Reload(backoff) = self.options.failure_policy else {
            return;
        };
        if vm.dead_since.is_none() {
            return;
        }
        let now = self.common.now.get();
        let jitter = match backoff / 2 {
            0 => 0,
            half => vm.store.data_mut().random.random_range(0..half),
        };
        if now < vm.loaded.saturating_add(backoff).saturating_add(jitter) {
            return;
        }
        vm.loaded = now;
        if let Ok(fresh) = self.vm(number) {
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

/// A backtrace with Rust's names as they are written.
fn demangled(text: &str) -> String {
    let part_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_$.".contains(letter);
    let words = text.split_inclusive(|letter| !part_of_name(letter));
    let word = |word: &str| {
        let name = word.trim_end_matches(|letter| !part_of_name(letter));
        let (name, rest) = word.split_at(name.len());
        match rustc_demangle::try_demangle(name) {
            Ok(plain) => format!("{plain:#}{rest}"),
            Err(_) => word.to_owned(),
        }
    };
    words.map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::demangled;

    #[test]
    fn names_of_rust_are_shown_as_they_are_written() {
        let text = "0: 0x1 - guest.wasm!_ZN4core9panicking5panic17h05af221e174051e9E\n  1: 0x2 - guest.wasm!proxy_on_log\n: unreachable";
        let expected = "0: 0x1 - guest.wasm!core::panicking::panic\n  1: 0x2 - guest.wasm!proxy_on_log\n: unreachable";
        assert_eq!(demangled(text), expected);
        assert_eq!(demangled("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(demangled("\u{e4}_ZN"), "\u{e4}_ZN");
    }
}
