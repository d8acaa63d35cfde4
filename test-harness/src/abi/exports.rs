//! What the host asks of a guest's instance again and again, found once.

use wasmtime::{Instance, Memory, Store, TypedFunc};

use super::Guest;

/// The exports that give memory, the first that is there.
pub(crate) const ALLOCATORS: [&str; 2] = ["malloc", "proxy_on_memory_allocate"];

/// Exports of an instance; none are known before it stands.
#[derive(Default)]
pub(crate) struct Exports {
    /// Its memory.
    pub(crate) memory: Option<Memory>,
    /// What gives memory to the host, and its name.
    pub(crate) allocator: Option<(&'static str, TypedFunc<u32, u32>)>,
}

impl Exports {
    /// Those of an instance that stands.
    pub(crate) fn of(store: &mut Store<Guest>, instance: &Instance) -> Self {
        let mut found = ALLOCATORS.into_iter().filter_map(|name| {
            let function = instance.get_func(&mut *store, name)?;
            Some((name, function.typed::<u32, u32>(&*store)))
        });
        let first = found.next();
        Self {
            allocator: first.and_then(|(name, typed)| Some((name, typed.ok()?))),
            memory: instance.get_memory(&mut *store, "memory"),
        }
    }
}
