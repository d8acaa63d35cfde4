//! The raw Proxy-Wasm imports, each behind a safe function that hands back the host's status.
//!
//! The only file with `unsafe` in it. The SDK's own wrappers panic on statuses and bytes they do not expect, and a panic
//! kills the VM; here every status is a value. Functions, argument orders and numbers are those of the Proxy-Wasm ABI
//! 0.2.1 (<https://github.com/proxy-wasm/spec>) and of WASI preview 1.
#![allow(unsafe_code, reason = "imports can be called in no other way")]

/// A status of the host that is not "ok".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

impl Status {
    /// There is no such thing.
    pub(crate) const NOT_FOUND: Self = Self(1);
    /// There is such a thing, but nothing in it.
    pub(crate) const EMPTY: Self = Self(7);
    /// Somebody else swapped first.
    pub(crate) const CAS_MISMATCH: Self = Self(8);
}

mod import {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max: usize,
            bytes: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(
            map: u32,
            bytes: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            bytes: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            bytes: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            bytes: *mut *mut u8,
            size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_http_call(
            cluster: *const u8,
            cluster_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout: u32,
            call: *mut u32,
        ) -> u32;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            name_size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, offset: i64) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub(super) fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
        #[cfg(target_family = "wasm")]
        pub(super) fn random_get(bytes: *mut u8, size: usize) -> u32;
    }
}

fn done(status: u32) -> Result<(), Status> {
    match status {
        0 => Ok(()),
        status => Err(Status(status)),
    }
}

/// Runs a call that hands out bytes and takes them over.
fn bytes_of(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Status> {
    let mut bytes: *mut u8 = std::ptr::null_mut();
    let mut size: usize = 0;
    done(call(&raw mut bytes, &raw mut size))?;
    if bytes.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the host got the memory from this module's own allocator export, which hands out boxed slices of exactly
    // `size` bytes of alignment 1, and gave it away.
    Ok(unsafe { Vec::from_raw_parts(bytes, size, size) })
}

/// Writes a line to the host's log; whether it could does not matter to anybody.
pub(crate) fn log(level: u32, message: &str) {
    // SAFETY: pointer and length are of a live slice that the host only reads. So they are in every call below; what
    // the host writes goes to live locals of the right type.
    let _ = unsafe { import::proxy_log(level, message.as_ptr(), message.len()) };
}

/// Asks for a tick every so many milliseconds, on the root that is at work.
pub(crate) fn set_tick_period(millis: u32) -> Result<(), Status> {
    // SAFETY: no memory is passed.
    done(unsafe { import::proxy_set_tick_period_milliseconds(millis) })
}

/// The bytes of a buffer.
pub(crate) fn buffer(buffer: u32, max: usize) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log`.
    bytes_of(|bytes, size| unsafe { import::proxy_get_buffer_bytes(buffer, 0, max, bytes, size) })
}

/// All pairs of a header map, as the host serialises them.
pub(crate) fn header_pairs(map: u32) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log`.
    bytes_of(|bytes, size| unsafe { import::proxy_get_header_map_pairs(map, bytes, size) })
}

/// The first value of a header.
pub(crate) fn header(map: u32, key: &str) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log`.
    bytes_of(|bytes, size| unsafe {
        import::proxy_get_header_map_value(map, key.as_ptr(), key.len(), bytes, size)
    })
}

/// Sets a header, whatever it was.
pub(crate) fn set_header(map: u32, key: &str, value: &str) -> Result<(), Status> {
    // SAFETY: as in `log`.
    done(unsafe {
        import::proxy_replace_header_map_value(
            map,
            key.as_ptr(),
            key.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes a header with all its values.
pub(crate) fn remove_header(map: u32, key: &[u8]) -> Result<(), Status> {
    // SAFETY: as in `log`.
    done(unsafe { import::proxy_remove_header_map_value(map, key.as_ptr(), key.len()) })
}

/// A property by its path, parts separated by NUL.
pub(crate) fn property(path: &str) -> Result<Vec<u8>, Status> {
    // SAFETY: as in `log`.
    bytes_of(|bytes, size| unsafe {
        import::proxy_get_property(path.as_ptr(), path.len(), bytes, size)
    })
}

/// Sets a property of the stream.
pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: as in `log`.
    done(unsafe {
        import::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
    })
}

/// What stands in shared data, and the number to swap against.
pub(crate) fn shared_data(key: &str) -> Result<(Vec<u8>, u32), Status> {
    let mut cas: u32 = 0;
    // SAFETY: as in `log`.
    let found = bytes_of(|bytes, size| unsafe {
        import::proxy_get_shared_data(key.as_ptr(), key.len(), bytes, size, &raw mut cas)
    })?;
    Ok((found, cas))
}

/// Compares and swaps in shared data.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), Status> {
    // SAFETY: as in `log`.
    done(unsafe {
        import::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    })
}

/// Speaks for another stream until the callback ends.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Status> {
    // SAFETY: no memory is passed.
    done(unsafe { import::proxy_set_effective_context(context) })
}

/// Lets a request that waits go on.
pub(crate) fn continue_request() -> Result<(), Status> {
    const REQUEST: u32 = 0;
    // SAFETY: no memory is passed.
    done(unsafe { import::proxy_continue_stream(REQUEST) })
}

/// Sends a request of our own, without a body, which takes at most so many milliseconds; the number under which its answer
/// comes. `headers` are serialised pairs.
pub(crate) fn http_call(cluster: &str, headers: &[u8], timeout: u32) -> Result<u32, Status> {
    let none: &[u8] = &[];
    let mut call: u32 = 0;
    // SAFETY: as in `log`.
    done(unsafe {
        import::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            none.as_ptr(),
            none.len(),
            none.as_ptr(),
            none.len(),
            timeout,
            &raw mut call,
        )
    })?;
    Ok(call)
}

/// Defines a metric; 0 is a counter, 1 a gauge.
pub(crate) fn define_metric(kind: u32, name: &str) -> Result<u32, Status> {
    let mut id: u32 = 0;
    // SAFETY: as in `log`.
    done(unsafe { import::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter.
pub(crate) fn increment_metric(id: u32, offset: i64) -> Result<(), Status> {
    // SAFETY: no memory is passed.
    done(unsafe { import::proxy_increment_metric(id, offset) })
}

/// Sets a gauge.
pub(crate) fn get_metric(id: u32) -> Result<u64, Status> {
    let mut value = 0;
    // SAFETY: the pointer is to a number of our own, which the host writes.
    done(unsafe { import::proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}

/// Sets a gauge, or gives a histogram a value.
pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    // SAFETY: no memory is passed.
    done(unsafe { import::proxy_record_metric(id, value) })
}

/// Answers the request in the upstream's place. `headers` are serialised pairs; a negative `grpc_status` is none.
pub(crate) fn send_local_response(
    status: u16,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> Result<(), Status> {
    // SAFETY: as in `log`.
    done(unsafe {
        import::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

/// The monotonic clock in nanoseconds.
pub(crate) fn monotonic_nanos() -> Result<u64, Status> {
    const MONOTONIC: u32 = 1;
    nanos(MONOTONIC)
}

/// The wall clock in nanoseconds since 1970.
pub(crate) fn wall_nanos() -> Result<u64, Status> {
    const REALTIME: u32 = 0;
    nanos(REALTIME)
}

fn nanos(clock: u32) -> Result<u64, Status> {
    let mut time: u64 = 0;
    // SAFETY: as in `log`.
    done(unsafe { import::clock_time_get(clock, 0, &raw mut time) })?;
    Ok(time)
}

/// The source of randomness that `getrandom` asks for on a target it does not know.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    bytes: *mut u8,
    size: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: the caller vouches for the memory.
    match unsafe { import::random_get(bytes, size) } {
        0 => Ok(()),
        _ => Err(getrandom::Error::UNSUPPORTED),
    }
}
