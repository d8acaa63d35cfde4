//! The last so many calls, two bits each.

use super::{CALLS_MAX, Counts};
use crate::outcome::Outcome;

const CALLS_PER_WORD: usize = 32;
const FAILURE: u64 = 1;

/// How an outcome stands in a count window.
const fn bits(outcome: Outcome) -> Option<u64> {
    match outcome {
        Outcome::Success => Some(0),
        Outcome::Failure => Some(FAILURE),
        Outcome::Slow => Some(2),
        Outcome::Overloaded | Outcome::Ignored => None,
    }
}

/// The last calls, two bits each: 0 success, 1 failure, 2 slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountWindow {
    calls: u16,
    filled: u16,
    next: u16,
    words: Vec<u64>,
}

impl CountWindow {
    pub(super) fn new(calls: u16) -> Self {
        Self {
            calls,
            filled: 0,
            next: 0,
            words: vec![0; Self::words_needed(calls)],
        }
    }

    /// A window as it was stored; `None` if it cannot have been.
    pub(crate) fn stored(calls: u16, filled: u16, next: u16, words: Vec<u64>) -> Option<Self> {
        let valid = (1..=CALLS_MAX).contains(&calls)
            && filled <= calls
            && next < calls
            && (filled == calls || filled == next)
            && words.len() == Self::words_needed(calls);
        valid.then_some(Self {
            calls,
            filled,
            next,
            words,
        })
    }

    /// How many words a window over `calls` needs.
    pub(crate) fn words_needed(calls: u16) -> usize {
        usize::from(calls).div_ceil(CALLS_PER_WORD)
    }

    /// Calls, filled, next and the words.
    pub(crate) fn parts(&self) -> (u16, u16, u16, &[u64]) {
        (self.calls, self.filled, self.next, &self.words)
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        let Some(bits) = bits(outcome) else {
            return;
        };
        self.put(self.next, bits);
        self.next = self.next.saturating_add(1);
        if self.next >= self.calls {
            self.next = 0;
        }
        self.filled = self.filled.saturating_add(1).min(self.calls);
    }

    /// The call that came before the last `later` ones failed after all, if it still stands there as this.
    pub(super) fn fail(&mut self, outcome: Outcome, later: u32) -> bool {
        let filled = u32::from(self.filled);
        let Some(later) = u16::try_from(later).ok().filter(|_| later < filled) else {
            return false;
        };
        let newest = self
            .next
            .checked_sub(1)
            .unwrap_or(self.calls.saturating_sub(1));
        let place = match newest.checked_sub(later) {
            Some(place) => place,
            None => newest.saturating_add(self.calls).saturating_sub(later),
        };
        let found = bits(outcome) == Some(self.get(place));
        if found {
            self.put(place, FAILURE);
        }
        found
    }

    fn get(&self, place: u16) -> u64 {
        let place = usize::from(place);
        let word = self.words.get(place / CALLS_PER_WORD).copied();
        (word.unwrap_or(0) >> (place % CALLS_PER_WORD).saturating_mul(2)) & 0b11
    }

    fn put(&mut self, place: u16, bits: u64) {
        let place = usize::from(place);
        let shift = (place % CALLS_PER_WORD).saturating_mul(2);
        if let Some(word) = self.words.get_mut(place / CALLS_PER_WORD) {
            *word = (*word & !(0b11 << shift)) | (bits << shift);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        const LOW: u64 = 0x5555_5555_5555_5555;
        let mut counts = Counts {
            calls: u32::from(self.filled),
            ..Counts::default()
        };
        for word in &self.words {
            let (low, high) = (word & LOW, (word >> 1) & LOW);
            counts.failures = counts.failures.saturating_add((low & !high).count_ones());
            counts.slow = counts.slow.saturating_add((high & !low).count_ones());
        }
        counts
    }
}
