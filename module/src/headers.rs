//! Header maps, copied from Envoy: any bytes. A copy of a copy costs nothing.

use std::rc::Rc;

use seawall_policy::environment::headers::HeaderMap;

use crate::abi::EnvoyHeader;

/// A header map as it came: all bytes in one list, and where each name and value ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(Rc<Lines>);

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// Copies these lines.
    pub(crate) fn copied(lines: &[EnvoyHeader]) -> Self {
        let sizes = lines
            .iter()
            .map(|line| line.key().len().saturating_add(line.value().len()));
        let mut bytes = Vec::with_capacity(sizes.fold(0, usize::saturating_add));
        let mut ends = Vec::with_capacity(lines.len());
        for line in lines {
            bytes.extend_from_slice(line.key());
            let name = bytes.len();
            bytes.extend_from_slice(line.value());
            ends.push((name, bytes.len()));
        }
        Self(Rc::new(Lines { bytes, ends }))
    }
}

impl HeaderMap for Headers {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut begin = 0;
        self.0.ends.iter().filter_map(move |&(name, value)| {
            let from = std::mem::replace(&mut begin, value);
            Some((
                self.0.bytes.get(from..name)?,
                self.0.bytes.get(name..value)?,
            ))
        })
    }

    fn size(&self) -> usize {
        self.0.bytes.len()
    }
}
