//! How often a key was asked for of late, roughly and in little room: so that a crawler that asks for each of a million
//! URLs once does not wash out the answers that everybody asks for.
//!
//! Two rows of counters, of which the smaller one is believed (the count-min sketch of Cormode and Muthukrishnan, 2005, with
//! the conservative update of Estan and Varghese, 2002), halved every minute, and earlier where so much is counted that
//! the counters would only show how full they are. Einziger, Friedman and Manes showed with it ("TinyLFU", 2017) that a
//! cache does best when a newcomer has to be asked for oftener than what it drives out. Too high a count, by keys that share
//! counters, costs an answer its place at worst; nobody can aim at that, since keys are hashed under the process's key.

use crate::time::{Span, Timestamp};

const COLUMNS: u64 = 8_192;
const HALVED_EVERY: Span = Span::secs(60);
/// So many counts are halved at once: four for each column.
const COUNTED_MAX: u32 = 4 * COLUMNS as u32;

/// The counters of one VM.
#[derive(Clone, Debug, Default)]
pub(super) struct Heat {
    rows: [Vec<u8>; 2],
    halved_at: Timestamp,
    counted: u32,
}

impl Heat {
    /// Counts one request for this key, and says how many there were.
    pub(super) fn count(&mut self, key: u64, now: Timestamp) -> u8 {
        self.decay(now);
        // Different bits of one hash are as good as two hashes (Kirsch and Mitzenmacher, 2006).
        let columns =
            [key, key >> 32].map(|hash| usize::try_from(hash % COLUMNS).unwrap_or_default());
        let mut smallest = u8::MAX;
        for (row, column) in self.rows.iter_mut().zip(columns) {
            if row.is_empty() {
                *row = vec![0; COLUMNS as usize];
            }
            smallest = smallest.min(row.get(column).copied().unwrap_or(u8::MAX));
        }
        let count = smallest.saturating_add(1);
        for (row, column) in self.rows.iter_mut().zip(columns) {
            if let Some(known) = row.get_mut(column) {
                *known = count.max(*known);
            }
        }
        self.counted = self.counted.saturating_add(1);
        count
    }

    fn decay(&mut self, now: Timestamp) {
        let late = now.since(self.halved_at).as_nanos();
        let passed = late.checked_div(HALVED_EVERY.as_nanos()).unwrap_or(0);
        let halvings = match passed {
            0 if self.counted >= COUNTED_MAX => 1,
            0 => return,
            passed => u32::try_from(passed).unwrap_or(u32::MAX),
        };
        self.halved_at = now;
        self.counted = self.counted.checked_shr(halvings).unwrap_or(0);
        for count in self.rows.iter_mut().flatten() {
            *count = count.checked_shr(halvings).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::SECRET;
    use super::*;

    const START: Timestamp = Timestamp::nanos(5_000_000_000);

    fn hash(part: &[u8]) -> u64 {
        SECRET.hash64("test", &[part])
    }

    #[test]
    fn what_is_asked_for_is_hot_and_cools_when_it_is_not() {
        let mut heat = Heat::default();
        let hot = (0..100).map(|_| heat.count(hash(b"hot"), START)).last();
        assert_eq!(hot, Some(100));
        assert_eq!(heat.count(hash(b"cold"), START), 1);
        let later = START.after(Span::secs(120));
        assert_eq!(heat.count(hash(b"hot"), later), 26);
        let hours = later.after(Span::secs(36_000));
        assert_eq!(heat.count(hash(b"hot"), hours), 1);
    }

    #[test]
    fn among_ten_thousand_a_second_a_hot_one_stands_out() {
        let mut heat = Heat::default();
        let (mut highest, mut hot) = (0, u8::MAX);
        for number in 0..100_000_u64 {
            let now = START.after(Span::nanos(number * 100_000));
            let count = heat.count(hash(&number.to_le_bytes()), now);
            highest = highest.max(count);
            if number.is_multiple_of(100) {
                let count = heat.count(hash(b"hot"), now);
                hot = if number > 10_000 { hot.min(count) } else { hot };
            }
        }
        println!("of those asked for once {highest}, the hot one {hot}");
        assert!(highest < 16 && hot > 40, "{highest} {hot}");
    }
}
