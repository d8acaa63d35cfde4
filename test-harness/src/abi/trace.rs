//! The calls between host and guest, as lines in the words of Envoy's `wasm:trace`, so that the same module run in both can be
//! compared line by line.
//!
//! The host's functions are not touched by it: where a process is traced, each import of a VM is one more function that says
//! what goes in, calls the real one, and says what comes out. Such a call comes to the real function without an instance to
//! look exports up in, which is why [`Guest`] keeps it. Without a trace, nothing of this is there.

use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Write as _};

use wasmtime::{AsContextMut, Caller, Extern, Func, ImportType, Store, Val};

use super::{Common, Guest};

/// A call, or what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// When, in nanoseconds.
    pub at: u64,
    /// Which VM: 0 is the main thread's (and the base's and the canary's before it), workers count from 1.
    pub vm: usize,
    /// As in `[host->vm] proxy_on_vm_start(1, 0)`.
    pub text: String,
}

/// The trace of a process: empty where none was asked for.
#[derive(Debug, Default)]
pub struct Trace {
    on: Cell<bool>,
    lines: RefCell<Vec<TraceLine>>,
}

impl Trace {
    /// A trace that is kept, or none.
    pub fn new(on: bool) -> Self {
        let trace = Self::default();
        trace.on.set(on);
        trace
    }

    /// Whether it is kept.
    pub fn is_on(&self) -> bool {
        self.on.get()
    }

    /// The lines since the last time.
    pub fn take(&self) -> Vec<TraceLine> {
        self.lines.take()
    }
}

impl Common {
    /// The host calls an export: `parameters` is a tuple, or one value.
    pub(crate) fn calls_guest(&self, vm: usize, name: &str, parameters: &dyn Debug) {
        self.line(vm, || {
            let text = format!("{parameters:?}");
            match text.starts_with('(') {
                true => format!("[host->vm] {name}{text}"),
                false => format!("[host->vm] {name}({text})"),
            }
        });
    }

    /// An export returned.
    pub(crate) fn guest_gave(&self, vm: usize, name: &str, value: &dyn Debug) {
        self.line(vm, || match format!("{value:?}").as_str() {
            "()" => format!("[host<-vm] {name} return: void"),
            value => format!("[host<-vm] {name} return: {value}"),
        });
    }

    fn line(&self, vm: usize, text: impl FnOnce() -> String) {
        if self.trace.is_on() {
            let (at, text) = (self.now.get(), text());
            self.trace
                .lines
                .borrow_mut()
                .push(TraceLine { at, vm, text });
        }
    }
}

/// An export of the guest that calls: of its own instance, or of the one that is kept where the call came through a trace.
pub(crate) fn export(caller: &mut Caller<'_, Guest>, name: &str) -> Option<Extern> {
    let own = caller.get_export(name);
    own.or_else(|| {
        let instance = caller.data().instance?;
        instance.get_export(caller.as_context_mut(), name)
    })
}

/// An import that says what goes in, calls the real one, and says what comes out.
pub(crate) fn wrapped(store: &mut Store<Guest>, import: &ImportType<'_>, real: Func) -> Func {
    let name = format!("{}.{}", import.module(), import.name());
    let kind = real.ty(&*store);
    Func::new(&mut *store, kind, move |mut caller, parameters, results| {
        let say = |caller: &Caller<'_, Guest>, text: String| {
            let guest = caller.data();
            guest.common.line(guest.vm, || text);
        };
        say(
            &caller,
            format!("[vm->host] {name}({})", values(parameters)),
        );
        real.call(&mut caller, parameters, results)?;
        let gave = match values(results) {
            none if none.is_empty() => "void".to_owned(),
            gave => gave,
        };
        say(&caller, format!("[vm<-host] {name} return: {gave}"));
        Ok(())
    })
}

/// Values as V8 shows them: integers without a sign.
fn values(values: &[Val]) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let _ = match value {
            Val::I32(value) => write!(text, "{}", value.cast_unsigned()),
            Val::I64(value) => write!(text, "{}", value.cast_unsigned()),
            Val::F32(bits) => write!(text, "{:.6}", f32::from_bits(*bits)),
            Val::F64(bits) => write!(text, "{:.6}", f64::from_bits(*bits)),
            _ => write!(text, "?"),
        };
    }
    text
}
