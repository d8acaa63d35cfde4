//! The raw ABI of Envoy's dynamic modules, each call behind a safe function that hands back a value.
//!
//! In this folder and in the exports stands all `unsafe` code but one line. Names, argument orders and numbers are those of Envoy's
//! `source/extensions/dynamic_modules/abi/abi.h` (<https://github.com/envoyproxy/envoy>), whose released parts are frozen since September 2026;
//! `tests/signatures.rs` holds them to an excerpt of it. What Envoy 1.38 does not have yet is looked up by name at run time: a call to a
//! missing function would end the process.
//!
//! **Safety of all calls here:** a [`Filter`] and a [`Config`] come from Envoy only, in a hook, and are used only until the hook that destroys them has
//! returned. Bytes that Envoy lends are copied before anything else is called. Envoy reads what it is lent before it returns.
#![allow(unsafe_code, reason = "imports can be called in no other way")]

use std::ffi::c_void;
use std::ptr::{self, NonNull};

mod metrics;
mod raw;
mod types;

use crate::headers::Headers;
pub(crate) use metrics::{define, measure, measure_by, measures_without_stream};
use raw::BY_NAME;
pub(crate) use raw::missing;
pub(crate) use types::{Attribute, EnvoyBuffer, EnvoyHeader, Kind, Level, Map};
use types::{ModuleBuffer, ModuleHeader, bytes};

/// One stream, as Envoy knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Filter(NonNull<c_void>);

/// One configuration, as Envoy knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config(NonNull<c_void>);

/// What wakes the main thread for one configuration.
#[derive(Debug)]
pub(crate) struct MainScheduler(NonNull<c_void>);

// SAFETY: Envoy's objects behind these are used on the thread that Envoy calls on, or under the lock that the hook which destroys them
// takes first; its schedulers may be used from any thread.
unsafe impl Send for Filter {}
// SAFETY: as above.
unsafe impl Send for Config {}
// SAFETY: as above.
unsafe impl Send for MainScheduler {}

impl Filter {
    /// The stream of a hook.
    pub(crate) fn of(pointer: *mut c_void) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }
}

impl Config {
    /// The configuration of a hook.
    pub(crate) fn of(pointer: *mut c_void) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// What tells it from others that live at the same time.
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr().addr()
    }
}

/// What became of a request of our own.
pub(crate) const CALLOUT_SUCCESS: u32 = 0;
/// The body that passes.
const RECEIVED_RESPONSE_BODY: u32 = 2;
/// Metadata of the route.
const METADATA_OF_ROUTE: u32 = 1;
/// Header lines that are read without asking the allocator for the list.
const LINES_ON_STACK: usize = 64;

/// Writes a line to Envoy's log.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_log(level as u32, ModuleBuffer::of(message.as_bytes()));
    }
}

/// Whether Envoy only looks whether a configuration is valid. Asked on the main thread.
pub(crate) fn is_validation_mode() -> bool {
    // SAFETY: no memory is passed.
    BY_NAME
        .is_validation_mode
        .is_some_and(|ask| unsafe { ask() })
}

/// Something that Envoy lends, copied at once.
fn lent(ask: impl FnOnce(*mut EnvoyBuffer) -> bool) -> Option<Vec<u8>> {
    let mut found = EnvoyBuffer::NONE;
    ask(&raw mut found).then(|| found.copied())
}

/// All lines of a header map; none where there is no such map.
pub(crate) fn headers(filter: Filter, map: Map) -> Headers {
    // SAFETY: as the file says; the list has room for as many lines as Envoy says there are.
    unsafe {
        let count =
            raw::envoy_dynamic_module_callback_http_get_headers_size(filter.0.as_ptr(), map as u32);
        let mut stack = [EnvoyHeader::NONE; LINES_ON_STACK];
        let mut heap = Vec::new();
        let lines = match stack.get_mut(..count) {
            Some(lines) => lines,
            None => {
                heap.resize(count, EnvoyHeader::NONE);
                heap.as_mut_slice()
            }
        };
        let found = raw::envoy_dynamic_module_callback_http_get_headers(
            filter.0.as_ptr(),
            map as u32,
            lines.as_mut_ptr(),
        );
        Headers::copied(if found { lines } else { &[] })
    }
}

/// The first value of a header.
pub(crate) fn header(filter: Filter, map: Map, name: &str) -> Option<Vec<u8>> {
    // SAFETY: as the file says; the count may be left out.
    lent(|found| unsafe {
        raw::envoy_dynamic_module_callback_http_get_header(
            filter.0.as_ptr(),
            map as u32,
            ModuleBuffer::of(name.as_bytes()),
            found,
            0,
            ptr::null_mut(),
        )
    })
}

/// Sets a header, whatever it was.
pub(crate) fn set_header(filter: Filter, map: Map, name: &str, value: &str) -> bool {
    // SAFETY: as the file says. An empty value keeps a pointer, since none removes the header.
    unsafe {
        raw::envoy_dynamic_module_callback_http_set_header(
            filter.0.as_ptr(),
            map as u32,
            ModuleBuffer::of(name.as_bytes()),
            ModuleBuffer::of(value.as_bytes()),
        )
    }
}

/// Removes a header with all its values.
pub(crate) fn remove_header(filter: Filter, map: Map, name: &[u8]) -> bool {
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_http_set_header(
            filter.0.as_ptr(),
            map as u32,
            ModuleBuffer::of(name),
            ModuleBuffer::NONE,
        )
    }
}

fn lines(headers: &[(&[u8], &[u8])]) -> Vec<ModuleHeader> {
    let line = |(key, value): &(&[u8], &[u8])| ModuleHeader {
        key_ptr: key.as_ptr(),
        key_length: key.len(),
        value_ptr: value.as_ptr(),
        value_length: value.len(),
    };
    headers.iter().map(line).collect()
}

/// Answers in the upstream's place: Envoy never refuses. It may call the module again before this returns.
pub(crate) fn send_response(
    filter: Filter,
    status: u16,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
    details: &str,
) {
    let mut lines = lines(headers);
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_http_send_response(
            filter.0.as_ptr(),
            u32::from(status),
            lines.as_mut_ptr(),
            lines.len(),
            ModuleBuffer::of(body),
            ModuleBuffer::of(details.as_bytes()),
        );
    }
}

/// How many bytes of the response's body pass in this hook.
pub(crate) fn passing_size(filter: Filter) -> usize {
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_http_get_body_size(
            filter.0.as_ptr(),
            RECEIVED_RESPONSE_BODY,
        )
    }
}

/// The bytes of the response's body that pass in this hook.
pub(crate) fn passing_bytes(filter: Filter) -> Option<Vec<u8>> {
    // SAFETY: as the file says; the list has room for as many pieces as Envoy says there are.
    unsafe {
        let count = raw::envoy_dynamic_module_callback_http_get_body_chunks_size(
            filter.0.as_ptr(),
            RECEIVED_RESPONSE_BODY,
        );
        let mut pieces = vec![EnvoyBuffer::NONE; count];
        raw::envoy_dynamic_module_callback_http_get_body_chunks(
            filter.0.as_ptr(),
            RECEIVED_RESPONSE_BODY,
            pieces.as_mut_ptr(),
        )
        .then(|| {
            let mut all = Vec::with_capacity(passing_size(filter));
            for piece in &pieces {
                all.extend_from_slice(bytes(&piece.ptr, piece.length));
            }
            all
        })
    }
}

/// A string in the metadata of the route.
pub(crate) fn route_metadata(filter: Filter, namespace: &str, key: &str) -> Option<Vec<u8>> {
    // SAFETY: as the file says.
    lent(|found| unsafe {
        raw::envoy_dynamic_module_callback_http_get_metadata_string(
            filter.0.as_ptr(),
            METADATA_OF_ROUTE,
            ModuleBuffer::of(namespace.as_bytes()),
            ModuleBuffer::of(key.as_bytes()),
            found,
        )
    })
}

/// An attribute that is text.
pub(crate) fn text(filter: Filter, attribute: Attribute) -> Option<Vec<u8>> {
    // SAFETY: as the file says.
    lent(|found| unsafe {
        raw::envoy_dynamic_module_callback_http_filter_get_attribute_string(
            filter.0.as_ptr(),
            attribute as u32,
            found,
        )
    })
}

/// An attribute that is a number.
pub(crate) fn number(filter: Filter, attribute: Attribute) -> Option<u64> {
    let mut found = 0;
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_http_filter_get_attribute_int(
            filter.0.as_ptr(),
            attribute as u32,
            &raw mut found,
        )
    }
    .then_some(found)
}

/// When things happened to a stream: nanoseconds after its start, but for the start itself. What did not happen is negative. The part that
/// is read of 19 such numbers and as many flags.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The start, in nanoseconds since 1970.
    pub(crate) start_unix: i64,
    /// Downstream: the connection, its handshake, the last header byte and the last byte. Upstream: the connection and its handshake.
    before_upstream_tx: [i64; 8],
    /// The first byte went to the upstream.
    pub(crate) first_upstream_tx: i64,
    /// All that comes later, the flags, and room for what a later version may add.
    later: [i64; 54],
}

/// When things happened to a stream; nothing where this Envoy does not tell.
pub(crate) fn timing(filter: Filter) -> Option<Timing> {
    let ask = BY_NAME.timing?;
    let mut timing = Timing {
        start_unix: -1,
        before_upstream_tx: [-1; 8],
        first_upstream_tx: -1,
        later: [-1; 54],
    };
    // SAFETY: as the file says.
    unsafe { ask(filter.0.as_ptr(), &raw mut timing) };
    Some(timing)
}

/// Whether a header map may be asked for after its own hook. Envoy before 1.40 keeps a pointer to the map of that hook, which a local reply
/// leaves dangling. (The function that it is told by came with the same version.)
pub(crate) fn keeps_headers() -> bool {
    BY_NAME.timing.is_some()
}

/// The cluster that the route picked.
pub(crate) fn cluster_name(filter: Filter) -> Option<Vec<u8>> {
    let ask = BY_NAME.cluster_name?;
    // SAFETY: as the file says.
    lent(|found| unsafe { ask(filter.0.as_ptr(), found) })
}

/// Filter state of the stream.
pub(crate) fn filter_state(filter: Filter, key: &str) -> Option<Vec<u8>> {
    // SAFETY: as the file says.
    lent(|found| unsafe {
        raw::envoy_dynamic_module_callback_http_get_filter_state_bytes(
            filter.0.as_ptr(),
            ModuleBuffer::of(key.as_bytes()),
            found,
        )
    })
}

/// Sets filter state of the stream.
pub(crate) fn set_filter_state(filter: Filter, key: &str, value: &[u8]) -> bool {
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_http_set_filter_state_bytes(
            filter.0.as_ptr(),
            ModuleBuffer::of(key.as_bytes()),
            ModuleBuffer::of(value),
        )
    }
}

/// Has Envoy pick the route anew, by the headers as they are now.
pub(crate) fn clear_route(filter: Filter) {
    // SAFETY: as the file says.
    unsafe { raw::envoy_dynamic_module_callback_http_clear_route_cache(filter.0.as_ptr()) };
}

/// Lets a request that waits go on. Envoy calls the module again before this returns.
pub(crate) fn resume(filter: Filter) {
    // SAFETY: as the file says.
    unsafe {
        raw::envoy_dynamic_module_callback_http_filter_continue_decoding(filter.0.as_ptr());
    }
}

/// Calls the module on this stream's own thread, soon, unless the stream has gone by then. The caller holds the lock that the stream's
/// destruction waits for.
pub(crate) fn wake(filter: Filter, event: u64) {
    // SAFETY: the stream cannot be destroyed while this runs; the scheduler holds no more than a weak pointer to it, is of Envoy's making, and goes here.
    unsafe {
        let scheduler =
            raw::envoy_dynamic_module_callback_http_filter_scheduler_new(filter.0.as_ptr());
        if !scheduler.is_null() {
            raw::envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, event);
            raw::envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler);
        }
    }
}

impl MainScheduler {
    /// What wakes the main thread for this configuration.
    pub(crate) fn new(config: Config) -> Option<Self> {
        let new = BY_NAME.main_scheduler_new?;
        BY_NAME.main_scheduler_commit?;
        BY_NAME.main_scheduler_delete?;
        // SAFETY: as the file says.
        NonNull::new(unsafe { new(config.0.as_ptr()) }).map(Self)
    }

    /// Calls the module on the main thread, soon.
    pub(crate) fn wake(&self, event: u64) {
        if let Some(commit) = BY_NAME.main_scheduler_commit {
            // SAFETY: the scheduler lives as long as this.
            unsafe { commit(self.0.as_ptr(), event) };
        }
    }
}

impl Drop for MainScheduler {
    fn drop(&mut self) {
        if let Some(delete) = BY_NAME.main_scheduler_delete {
            // SAFETY: nobody else has it.
            unsafe { delete(self.0.as_ptr()) };
        }
    }
}

/// Sends a request of our own, on the main thread; its number. Nothing where it could not be sent.
pub(crate) fn callout(
    config: Config,
    cluster: &str,
    headers: &[(&[u8], &[u8])],
    millis: u64,
) -> Option<u64> {
    let send = BY_NAME.http_callout?;
    let (mut lines, mut id) = (lines(headers), 0);
    // SAFETY: as the file says.
    let status = unsafe {
        send(
            config.0.as_ptr(),
            &raw mut id,
            ModuleBuffer::of(cluster.as_bytes()),
            lines.as_mut_ptr(),
            lines.len(),
            ModuleBuffer::NONE,
            millis,
        )
    };
    (status == 0).then_some(id)
}

/// The header lines that a hook hands over.
pub(crate) fn lines_of(headers: &*const EnvoyHeader, size: usize) -> &[EnvoyHeader] {
    if headers.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: Envoy lends this many lines until the hook returns, for which the caller holds the pointer.
    unsafe { std::slice::from_raw_parts(*headers, size) }
}
