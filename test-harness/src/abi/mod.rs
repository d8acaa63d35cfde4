//! The host's side of Proxy-Wasm 0.2: what a guest may call, done as Envoy does it.
//!
//! One [`Guest`] stands behind each VM. What all VMs of a process share stands in [`Common`], in cells that are never
//! borrowed while a guest or a hook runs: so one VM can work while another stands inside a host call.

pub mod calls;
pub mod memory;
pub mod metrics;
pub mod shared;
pub mod status;
pub mod stream;
mod wasi;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use rand_chacha::ChaCha8Rng;
use wasmtime::{Linker, Module, StoreLimits};

use metrics::Metrics;
use shared::SharedData;
use stream::Stream;

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
    /// Tick periods by root, in milliseconds.
    pub ticks: BTreeMap<u32, u32>,
    /// Bounds of its memory.
    pub limits: StoreLimits,
}

/// Everything a guest may import. What is not known is linked and answers "unimplemented".
///
/// # Errors
/// If an import is no function.
pub fn linker(engine: &wasmtime::Engine, module: &Module) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    calls::link(&mut linker)?;
    wasi::link(&mut linker)?;
    for import in module.imports() {
        let Some(kind) = import.ty().func().cloned() else {
            continue;
        };
        // What is known already stays: a second definition is refused.
        let _ = linker.func_new(
            import.module(),
            import.name(),
            kind,
            |caller, _, results| {
                caller.data().common.called("unimplemented");
                for result in results {
                    *result = wasmtime::Val::I32(status::UNIMPLEMENTED as i32);
                }
                Ok(())
            },
        );
    }
    Ok(linker)
}
