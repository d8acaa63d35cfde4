//! Shared data as Envoy keeps it: one counter of swaps for all keys, which is never 0.

use std::collections::BTreeMap;

use super::status::{CAS_MISMATCH, NOT_FOUND};

/// The shared data of one process. As seen on Envoy 1.40: a swap against 0 always wins; a swap on an absent key succeeds
/// whatever the number; nothing is ever deleted by the guest.
#[derive(Clone, Debug)]
pub struct SharedData {
    entries: BTreeMap<String, (Vec<u8>, u32)>,
    counter: u32,
    strict: bool,
}

impl SharedData {
    /// Empty. `strict` is for hosts that refuse a swap against 0 on a key that exists.
    pub fn new(strict: bool) -> Self {
        Self {
            entries: BTreeMap::new(),
            counter: 0,
            strict,
        }
    }

    /// What stands under a key, and the number to swap against.
    ///
    /// # Errors
    /// Status "not found".
    pub fn load(&self, key: &str) -> Result<(Vec<u8>, u32), u32> {
        self.entries.get(key).cloned().ok_or(NOT_FOUND)
    }

    /// Compares and swaps.
    ///
    /// # Errors
    /// Status "mismatch".
    pub fn swap(&mut self, key: &str, bytes: &[u8], cas: u32) -> Result<(), u32> {
        if let Some((_, current)) = self.entries.get(key)
            && cas != *current
            && (cas != 0 || self.strict)
        {
            return Err(CAS_MISMATCH);
        }
        self.counter = self.counter.wrapping_add(1).max(1);
        self.entries
            .insert(key.to_owned(), (bytes.to_vec(), self.counter));
        Ok(())
    }

    /// Nonsense takes the place of every value: its bytes upside down, and their number stays.
    pub(crate) fn corrupt(&mut self) {
        for (bytes, swap) in self.entries.values_mut() {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
            self.counter = self.counter.wrapping_add(1).max(1);
            *swap = self.counter;
        }
    }

    /// All keys: only a test can list them, a guest cannot.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swaps_are_envoys() {
        let mut data = SharedData::new(false);
        assert_eq!(data.load("a"), Err(NOT_FOUND));
        assert_eq!(data.swap("a", b"1", 77), Ok(()), "any number creates");
        assert_eq!(data.load("a"), Ok((b"1".to_vec(), 1)));
        assert_eq!(
            data.swap("b", b"1", u32::MAX),
            Ok(()),
            "the counter is one for all keys"
        );
        assert_eq!(data.swap("a", b"2", 2), Err(CAS_MISMATCH));
        assert_eq!(
            data.swap("a", b"2", u32::MAX),
            Err(CAS_MISMATCH),
            "a live key is not created"
        );
        assert_eq!(data.swap("a", b"2", 0), Ok(()), "0 always wins");
        assert_eq!(data.load("a"), Ok((b"2".to_vec(), 3)));
        assert_eq!(data.swap("a", b"3", 3), Ok(()));
    }

    #[test]
    fn a_strict_host_refuses_a_swap_against_0() {
        let mut data = SharedData::new(true);
        assert_eq!(data.swap("a", b"1", 0), Ok(()));
        assert_eq!(data.swap("a", b"2", 0), Err(CAS_MISMATCH));
    }
}
