//! Header maps as they came: any bytes.

use std::fmt;

use crate::stale::Headers;
use crate::text;

/// A decimal number.
#[inline]
pub fn decimal(value: &[u8]) -> Option<u64> {
    text::number(text::trimmed(value))
}

/// All lines of a header map, in their order.
pub trait HeaderMap: Clone + fmt::Debug {
    /// Names and values.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// How many bytes they take.
    fn size(&self) -> usize;

    /// The first value of a header.
    fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self.iter().find(|(key, _)| *key == name.as_bytes());
        found.map(|(_, value)| value)
    }

    /// The first value of a header, as a decimal number.
    fn number<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        T::try_from(decimal(self.value(name)?)?).ok()
    }
}

impl<T: HeaderMap> Headers for T {
    fn each<'a>(&'a self, see: &mut dyn FnMut(&'a [u8], &'a [u8])) {
        for (name, value) in self.iter() {
            see(name, value);
        }
    }
}
