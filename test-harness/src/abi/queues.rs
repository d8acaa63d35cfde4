//! Shared queues: by VM id and name, one for the whole process. Whoever registered last is told of new entries.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use wasmtime::{Caller, Linker};

use super::Guest;
use super::calls::run;
use super::memory;
use super::status::{EMPTY, NOT_FOUND};

type Call<'a> = Caller<'a, Guest>;

#[derive(Clone, Debug, Default)]
struct Queue {
    vm: usize,
    root: u32,
    entries: VecDeque<Vec<u8>>,
}

/// That an entry came into a queue: `proxy_on_queue_ready` is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The VM of whoever registered last: 0 is the main thread's.
    pub vm: usize,
    /// Its root.
    pub root: u32,
    /// The queue.
    pub token: u32,
}

/// All queues of a process.
#[derive(Clone, Debug, Default)]
pub struct SharedQueues {
    tokens: BTreeMap<(String, String), u32>,
    queues: BTreeMap<u32, Queue>,
    ready: VecDeque<Ready>,
}

impl SharedQueues {
    /// Registers a queue, or takes it over with all that is in it; its number.
    pub fn register(&mut self, vm_id: &str, name: &str, vm: usize, root: u32) -> u32 {
        let next = u32::try_from(self.tokens.len() + 1).unwrap_or(u32::MAX);
        let key = (vm_id.to_owned(), name.to_owned());
        let token = *self.tokens.entry(key).or_insert(next);
        let queue = self.queues.entry(token).or_default();
        (queue.vm, queue.root) = (vm, root);
        token
    }

    /// The number of a queue.
    ///
    /// # Errors
    /// Status "not found".
    pub fn resolve(&self, vm_id: &str, name: &str) -> Result<u32, u32> {
        let key = (vm_id.to_owned(), name.to_owned());
        self.tokens.get(&key).copied().ok_or(NOT_FOUND)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// Status "not found".
    pub fn enqueue(&mut self, token: u32, entry: Vec<u8>) -> Result<(), u32> {
        let queue = self.queues.get_mut(&token).ok_or(NOT_FOUND)?;
        queue.entries.push_back(entry);
        let (vm, root) = (queue.vm, queue.root);
        self.ready.push_back(Ready { vm, root, token });
        Ok(())
    }

    /// Takes the oldest entry.
    ///
    /// # Errors
    /// Statuses "not found" and "empty".
    pub fn dequeue(&mut self, token: u32) -> Result<Vec<u8>, u32> {
        let queue = self.queues.get_mut(&token).ok_or(NOT_FOUND)?;
        queue.entries.pop_front().ok_or(EMPTY)
    }

    /// Whether somebody is to be told of an entry.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Who is to be told next.
    pub fn take_ready(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_register_shared_queue",
        |mut c: Call<'_>, name: u32, name_size: u32, at: u32| {
            run(&mut c, "proxy_register_shared_queue", |c| {
                let name = memory::text(c, name, name_size)?;
                let guest = c.data();
                let root = guest.root_of(guest.context);
                let mut queues = guest.common.queues.borrow_mut();
                let token = queues.register(&guest.settings.vm_id, &name, guest.vm, root);
                drop(queues);
                memory::write(c, at, &token.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_resolve_shared_queue",
        |mut c: Call<'_>, vm_id: u32, vm_id_size: u32, name: u32, name_size: u32, at: u32| {
            run(&mut c, "proxy_resolve_shared_queue", |c| {
                let vm_id = memory::text(c, vm_id, vm_id_size)?;
                let name = memory::text(c, name, name_size)?;
                let guest = c.data();
                let vm_id = match vm_id.as_str() {
                    "" => guest.settings.vm_id.as_str(),
                    other => other,
                };
                let token = guest.common.queues.borrow().resolve(vm_id, &name);
                let token = token?.to_le_bytes();
                memory::write(c, at, &token)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_enqueue_shared_queue",
        |mut c: Call<'_>, token: u32, at: u32, size: u32| {
            run(&mut c, "proxy_enqueue_shared_queue", |c| {
                let entry = memory::read(c, at, size)?;
                c.data().common.queues.borrow_mut().enqueue(token, entry)
            })
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_dequeue_shared_queue",
        |mut c: Call<'_>, token: u32, at: u32, size_at: u32| {
            run(&mut c, "proxy_dequeue_shared_queue", |c| {
                let common = Rc::clone(&c.data().common);
                let entry = common.queues.borrow_mut().dequeue(token);
                memory::hand_over(c, &entry?, at, size_at)
            })
        },
    )?;
    Ok(())
}
