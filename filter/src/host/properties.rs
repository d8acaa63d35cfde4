//! Properties of the stream, read as the types Envoy gives them.

use super::{abi, errors};

/// A property by its path, parts separated by NUL, as bytes.
pub(crate) fn bytes(path: &str) -> Option<Vec<u8>> {
    errors::found("get_property", abi::property(path))
}

/// A property that is text. Other bytes are as if it were not there.
pub(crate) fn text(path: &str) -> Option<String> {
    bytes(path).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// A property that is a number of 64 bits.
pub(crate) fn number(path: &str) -> Option<u64> {
    let bytes = bytes(path)?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Sets what the access log shows as `%FILTER_STATE(wasm.KEY:PLAIN)%`.
pub(crate) fn set(key: &str, value: &str) {
    set_bytes(key, value.as_bytes());
}

/// Sets a property that both positions of the filter see; `false` if the host refused.
pub(crate) fn set_bytes(key: &str, value: &[u8]) -> bool {
    errors::succeeded("set_property", abi::set_property(key, value))
}
