//! How often a key was asked for of late, roughly and in little room: so that a crawler that asks for each of a million
//! URLs once does not wash out the answers that everybody asks for.
//!
//! Two rows of counters, of which the smaller one is believed (the count-min sketch of Cormode and Muthukrishnan, 2005),
//! halved every second. Einziger, Friedman and Manes showed with it ("TinyLFU", 2017) that a cache does best when a newcomer
//! has to be asked for oftener than what it drives out. Too high a count, by keys that share counters, costs an answer its
//! place at worst.

use crate::time::{Span, Timestamp};

const COLUMNS: u64 = 8_192;
const HALVED_EVERY: Span = Span::secs(1);

/// The counters of one VM.
#[derive(Clone, Debug, Default)]
pub(super) struct Heat {
    rows: [Vec<u8>; 2],
    halved_at: Timestamp,
}

impl Heat {
    /// Counts one request for this key, and says how many there were.
    pub(super) fn count(&mut self, key: u64, now: Timestamp) -> u8 {
        self.cool(now);
        let mut smallest = u8::MAX;
        // Different bits of one hash are as good as two hashes (Kirsch and Mitzenmacher, 2006).
        for (row, hash) in self.rows.iter_mut().zip([key, key >> 32]) {
            if row.is_empty() {
                *row = vec![0; COLUMNS as usize];
            }
            let column = usize::try_from(hash % COLUMNS).unwrap_or(0);
            if let Some(count) = row.get_mut(column) {
                *count = count.saturating_add(1);
                smallest = smallest.min(*count);
            }
        }
        smallest
    }

    fn cool(&mut self, now: Timestamp) {
        let late = now.since(self.halved_at).as_nanos();
        let halvings = late.checked_div(HALVED_EVERY.as_nanos()).unwrap_or(0);
        if halvings == 0 {
            return;
        }
        self.halved_at = now;
        let shift = u32::try_from(halvings).unwrap_or(u32::MAX);
        for count in self.rows.iter_mut().flatten() {
            *count = count.checked_shr(shift).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::hash;
    use super::*;

    const START: Timestamp = Timestamp::nanos(5_000_000_000);

    #[test]
    fn what_is_asked_for_is_hot_and_cools_when_it_is_not() {
        let mut heat = Heat::default();
        let hot = (0..100).map(|_| heat.count(hash(&[b"hot"]), START)).last();
        assert_eq!(hot, Some(100));
        assert_eq!(heat.count(hash(&[b"cold"]), START), 1);
        let later = START.after(Span::secs(2));
        assert_eq!(heat.count(hash(&[b"hot"]), later), 26);
        assert_eq!(
            heat.count(hash(&[b"hot"]), later.after(Span::secs(3_600))),
            1
        );
    }

    #[test]
    fn among_ten_thousand_a_second_a_hot_one_stands_out() {
        let mut heat = Heat::default();
        let mut highest = 0;
        for number in 0..100_000_u64 {
            let now = START.after(Span::nanos(number * 100_000));
            let count = heat.count(hash(&[&number.to_le_bytes()]), now);
            highest = highest.max(count);
        }
        assert!(highest <= 12, "{highest}");
    }
}
