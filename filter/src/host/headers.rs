//! Header maps: pairs as bytes, so that no byte a client sends can do harm.

use seawall_policy::environment::headers::HeaderMap;

use super::{abi, errors};

/// Which headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// Of the request.
    Request = 0,
    /// Of the answer.
    Response = 2,
    /// After the answer's body.
    ResponseTrailers = 3,
    /// Of the answer to a request of our own, while the host tells of it.
    CallResponse = 6,
}

impl Map {
    /// All pairs.
    pub(crate) fn pairs(self) -> Pairs {
        let bytes = abi::header_pairs(self as u32);
        Pairs(errors::found("get_header_map_pairs", bytes).unwrap_or_default())
    }

    /// The first value of a header.
    pub(crate) fn value(self, key: &str) -> Option<Vec<u8>> {
        errors::found("get_header_map_value", abi::header(self as u32, key))
    }

    /// Sets a header.
    pub(crate) fn set(self, key: &str, value: &str) {
        errors::succeeded(
            "replace_header_map_value",
            abi::set_header(self as u32, key, value),
        );
    }

    /// Removes a header with all its values.
    pub(crate) fn remove(self, key: &[u8]) {
        errors::succeeded(
            "remove_header_map_value",
            abi::remove_header(self as u32, key),
        );
    }
}

/// A header map as the host serialises it: a count, the sizes of all keys and values, then the bytes, each with a NUL
/// behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pairs(Vec<u8>);

impl HeaderMap for Pairs {
    fn size(&self) -> usize {
        self.0.len()
    }

    /// Keys and values, in order. What does not fit the serialisation ends it.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (count, rest) = self.0.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let count = u32::from_le_bytes(*count) as usize;
        let sizes_end = count.saturating_mul(8).min(rest.len());
        let (sizes, mut bytes) = rest.split_at_checked(sizes_end).unwrap_or_default();
        let mut take = move |size: [u8; 4]| {
            let size = u32::from_le_bytes(size) as usize;
            let (taken, rest) = bytes.split_at_checked(size)?;
            bytes = rest.get(1..)?;
            Some(taken)
        };
        let (sizes, _) = sizes.as_chunks::<8>();
        sizes.iter().map_while(move |[a, b, c, d, e, f, g, h]| {
            let key = take([*a, *b, *c, *d])?;
            Some((key, take([*e, *f, *g, *h])?))
        })
    }
}

/// Pairs as the host reads them.
pub(crate) fn serialised(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let size = |text: &[u8]| u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
    bytes.extend(u32::try_from(pairs.len()).unwrap_or(0).to_le_bytes());
    for (key, value) in pairs {
        bytes.extend(size(key));
        bytes.extend(size(value));
    }
    for part in pairs.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}
