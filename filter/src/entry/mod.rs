//! The functions that the host calls, and the contexts they are for.
//!
//! The SDK (`proxy-wasm`) has a dispatcher for this. It is not used: it panics on a context it does not know, its traits
//! pull every panicking wrapper into the module (413 KB with it, see docs/filter-size.md).
//!
//! **Architecture invariant:** an unknown context is passed by, never a panic. The host does not enter the module again
//! from a call of it; if one did, the request would pass.
#![allow(
    unsafe_code,
    reason = "an exported name is an unsafe attribute; no block here is unsafe"
)]

use std::cell::RefCell;
use std::rc::Rc;

mod stream_table;

use seawall_policy::environment::effects::Action;
use seawall_policy::worker::Vm;

use crate::host::clock;
use crate::root::Root;
use crate::stream::HttpStream;
use stream_table::StreamTable;

#[derive(Debug)]
struct Contexts {
    /// One or two.
    roots: Vec<(u32, Root)>,
    /// Boxed, since a list moves what it holds.
    streams: StreamTable<Box<HttpStream>>,
    /// What all roots share.
    vm: Option<Rc<Vm>>,
}

impl Contexts {
    fn root(&mut self, id: u32) -> Option<&mut Root> {
        let mut roots = self.roots.iter_mut();
        let (_, root) = roots.find(|(known, _)| *known == id)?;
        Some(root)
    }

    #[inline(never)]
    fn forget_root(&mut self, id: u32) {
        self.roots.retain(|(known, _)| *known != id);
    }

    #[cold]
    fn end_root(&mut self, id: u32) {
        if let Some(root) = self.root(id) {
            root.done();
        }
        self.forget_root(id);
    }
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = const {
        RefCell::new(Contexts {
            roots: Vec::new(),
            streams: StreamTable::EMPTY,
            vm: None,
        })
    };
}

/// Every callback comes through here.
fn contexts<T>(run: impl FnOnce(&mut Contexts) -> Option<T>) -> Option<T> {
    clock::renew();
    CONTEXTS.with(|contexts| run(&mut *contexts.try_borrow_mut().ok()?))
}

fn stream<T>(id: u32, run: impl FnOnce(&mut HttpStream) -> T) -> Option<T> {
    contexts(|contexts| contexts.streams.get_mut(id).map(|stream| run(stream)))
}

fn root<T>(id: u32, run: impl FnOnce(&mut Root) -> T) -> Option<T> {
    contexts(|contexts| contexts.root(id).map(run))
}

/// The stream goes on.
const CONTINUE: u32 = 0;
/// It stays: a local reply was sent, or it waits.
const PAUSE: u32 = 1;

fn action(action: Option<Action>) -> u32 {
    match action.unwrap_or(Action::Continue) {
        Action::Continue => CONTINUE,
        Action::Pause => PAUSE,
    }
}

/// Says which version of the interface this module speaks.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_abi_version_0_2_1() {}

/// Runs once when the module is loaded.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _initialize() {
    crate::host::log::install();
}

/// Memory into which the host writes what it hands over.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
}

/// A root (without a parent) or a stream of a root comes to be.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    contexts(|contexts| {
        match contexts.root(parent) {
            Some(root) => {
                let stream = Box::new(root.stream(id));
                contexts.streams.insert(id, stream);
            }
            None if parent == 0 => {
                contexts.forget_root(id);
                let vm = Rc::clone(contexts.vm.get_or_insert_default());
                contexts.roots.push((id, Root::new(vm)));
            }
            None => {}
        }
        Some(())
    });
}

/// The VM starts; there is no configuration of its own.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> u32 {
    1
}

/// A root gets its configuration: 0 refuses it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_configure(id: u32, _size: usize) -> u32 {
    u32::from(root(id, Root::configure).unwrap_or(false))
}

/// A tick.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_tick(id: u32) {
    root(id, |root| root.tick());
}

/// The answer to a request of a root's own; without headers where none came.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_http_call_response(
    id: u32,
    call: u32,
    _headers: usize,
    _body_size: usize,
    _trailers: usize,
) {
    root(id, |root| root.called(call));
}

/// The headers of a request.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_headers(id: u32, _count: usize, end: u32) -> u32 {
    action(stream(id, |stream| stream.request_headers(end != 0)))
}

/// A chunk of a request's body.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_body(id: u32, _size: usize, end: u32) -> u32 {
    if end != 0 {
        stream(id, HttpStream::request_ended);
    }
    CONTINUE
}

/// The trailers of a request.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_trailers(id: u32, _count: usize) -> u32 {
    stream(id, HttpStream::request_ended);
    CONTINUE
}

/// The headers of an answer.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_headers(id: u32, _count: usize, end: u32) -> u32 {
    action(stream(id, |stream| stream.response_headers(end != 0)))
}

/// A chunk of an answer's body.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_body(id: u32, size: usize, end: u32) -> u32 {
    stream(id, |stream| stream.response_body(size, end != 0));
    CONTINUE
}

/// The trailers of an answer.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_trailers(id: u32, _count: usize) -> u32 {
    stream(id, HttpStream::response_trailers);
    CONTINUE
}

/// A request is over. Only now are its response's headers readable again, which `proxy_on_done` cannot see.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_log(id: u32) {
    stream(id, HttpStream::log);
}

/// A context is over, and is forgotten. There is no `proxy_on_delete`, which the host would call next: a callback costs,
/// and nothing would be left to do.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_done(id: u32) -> u32 {
    contexts(|contexts| {
        match contexts.streams.remove(id) {
            Some(mut stream) => stream.done(),
            None => contexts.end_root(id),
        }
        Some(())
    });
    1
}
