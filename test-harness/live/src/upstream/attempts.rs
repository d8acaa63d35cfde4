//! Which attempt of its request an arrival is, told by the `x-request-id` that all attempts carry.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ids are kept as hashes, and no more than these.
const IDS_MAX: usize = 500_000;

/// How often each request came.
#[derive(Debug)]
pub(super) struct Attempts {
    seen: HashMap<u64, u32>,
    ids_max: usize,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self::at_most(IDS_MAX)
    }

    fn at_most(ids_max: usize) -> Self {
        Self {
            seen: HashMap::new(),
            ids_max,
        }
    }

    /// The number of this attempt, from 1. What has no id, and what is new beyond the bound, is a first attempt.
    pub(super) fn next(&mut self, id: &str) -> u32 {
        if id.is_empty() {
            return 1;
        }
        // The hasher has fixed keys: the same ids give the same numbers in every run.
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.len() >= self.ids_max && !self.seen.contains_key(&hash) {
            return 1;
        }
        let times = self.seen.entry(hash).or_default();
        *times = times.saturating_add(1);
        *times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_id_and_nothing_is_told_of_what_has_none() {
        let mut attempts = Attempts::new();
        let numbers = ["a", "b", "a", "", "", "a", "b"].map(|id| attempts.next(id));
        assert_eq!(numbers, [1, 1, 2, 1, 1, 3, 2]);
    }

    #[test]
    fn memory_is_bounded_and_what_is_known_stays_known() {
        let mut attempts = Attempts::at_most(2);
        let numbers = ["a", "b", "c", "c", "a"].map(|id| attempts.next(id));
        assert_eq!(numbers, [1, 1, 1, 1, 2]);
        assert_eq!(attempts.seen.len(), 2);
    }
}
