//! Properties of the stream.

use super::{abi, errors};

/// A property by its path, parts separated by NUL, as bytes.
pub(crate) fn bytes(path: &str) -> Option<Vec<u8>> {
    errors::found("get_property", abi::property(path))
}

/// Sets a property: both positions of the filter see it, and the access log shows it as `%FILTER_STATE(wasm.KEY:PLAIN)%`.
pub(crate) fn set(key: &str, value: &[u8]) -> bool {
    errors::succeeded("set_property", abi::set_property(key, value))
}
