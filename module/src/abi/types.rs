//! The types of the ABI: bytes and header lines that one side lends the other, and numbers with names.
#![allow(unsafe_code, reason = "what Envoy lends is a pointer and a length")]

use std::ptr;

/// Bytes that Envoy lends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvoyBuffer {
    pub(super) ptr: *const u8,
    pub(super) length: usize,
}

/// Bytes that are lent to Envoy.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModuleBuffer {
    pub(super) ptr: *const u8,
    pub(super) length: usize,
}

/// A header line that Envoy lends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvoyHeader {
    pub(super) key_ptr: *const u8,
    pub(super) key_length: usize,
    pub(super) value_ptr: *const u8,
    pub(super) value_length: usize,
}

/// A header line that is lent to Envoy.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModuleHeader {
    pub(super) key_ptr: *const u8,
    pub(super) key_length: usize,
    pub(super) value_ptr: *const u8,
    pub(super) value_length: usize,
}

impl EnvoyBuffer {
    pub(super) const NONE: Self = Self {
        ptr: ptr::null(),
        length: 0,
    };

    /// The bytes, copied.
    pub(crate) fn copied(self) -> Vec<u8> {
        bytes(&self.ptr, self.length).to_vec()
    }
}

impl ModuleBuffer {
    pub(super) const NONE: Self = Self {
        ptr: ptr::null(),
        length: 0,
    };

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            length: bytes.len(),
        }
    }
}

impl EnvoyHeader {
    pub(super) const NONE: Self = Self {
        key_ptr: ptr::null(),
        key_length: 0,
        value_ptr: ptr::null(),
        value_length: 0,
    };

    pub(crate) fn key(&self) -> &[u8] {
        bytes(&self.key_ptr, self.key_length)
    }

    pub(crate) fn value(&self) -> &[u8] {
        bytes(&self.value_ptr, self.value_length)
    }
}

/// What a pointer of Envoy's shows, for as long as the place that holds the pointer is borrowed.
pub(super) fn bytes(ptr: &*const u8, length: usize) -> &[u8] {
    if ptr.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: Envoy lends this many bytes until the hook returns or a setter is called; every caller copies them before either.
    unsafe { std::slice::from_raw_parts(*ptr, length) }
}

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Map {
    /// The request's.
    Request = 0,
    /// The response's.
    Response = 2,
    /// After the response's body.
    ResponseTrailers = 3,
}

/// An attribute by its number in the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Attribute {
    ResponseCodeDetails = 16,
    ResponseFlags = 17,
    SourceAddress = 24,
    DestinationPort = 27,
    ConnectionId = 28,
    ConnectionUriSanPeerCertificate = 37,
    UpstreamAddress = 41,
    UpstreamTransportFailureReason = 52,
    UpstreamRequestAttemptCount = 53,
    XdsClusterName = 57,
    XdsListenerDirection = 59,
    XdsRouteName = 61,
    XdsVirtualHostName = 63,
    XdsFilterChainName = 66,
}

/// A level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}
