//! Logs whose times are whole seconds: the requests of a second would all come at once, and meet limits that they never met.
//! So they are spread evenly over their second, in the order of their lines.
//!
//! As long as every line is in whole seconds its request is held, second by second, up to a bound. The first line with a part
//! of a second says that the log has better times: from then on nothing is spread.

use std::collections::BTreeMap;

use super::record::Record;

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Requests by the second of their line.
#[derive(Debug)]
pub(super) struct Spread {
    size: usize,
    held: usize,
    seconds: BTreeMap<u64, Vec<(u64, Record)>>,
    /// A line had a part of a second.
    exact: bool,
    spread: u64,
}

impl Spread {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            held: 0,
            seconds: BTreeMap::new(),
            exact: false,
            spread: 0,
        }
    }

    /// Takes a request of a line in, and gives those that are ready.
    pub(super) fn push(&mut self, number: u64, record: Record) -> Vec<(u64, Record)> {
        let second = record.second.filter(|_| !self.exact);
        let Some(second) = second else {
            self.exact = true;
            let mut ready: Vec<_> = std::mem::take(&mut self.seconds)
                .into_values()
                .flatten()
                .collect();
            ready.sort_by_key(|(number, _)| *number);
            ready.push((number, record));
            self.held = 0;
            return ready;
        };
        self.seconds
            .entry(second)
            .or_default()
            .push((number, record));
        self.held += 1;
        if self.held > self.size {
            self.pop()
        } else {
            Vec::new()
        }
    }

    /// The requests of the earliest second, spread over it.
    pub(super) fn pop(&mut self) -> Vec<(u64, Record)> {
        let Some((_, mut ready)) = self.seconds.pop_first() else {
            return Vec::new();
        };
        self.held -= ready.len();
        let count = ready.len() as u64;
        if count > 1 {
            self.spread += count;
        }
        for (place, (_, record)) in (0..).zip(&mut ready) {
            record.at += place * SECOND / count;
        }
        ready
    }

    /// How many requests share their second with others, and were spread.
    pub(super) fn spread(&self) -> u64 {
        self.spread
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trace::Request;

    fn record(at: u64, is_whole: bool) -> Record {
        Record {
            at,
            second: is_whole.then_some(at / SECOND),
            service_us: None,
            unknown_priority: None,
            request: Request::default(),
        }
    }

    fn through(spread: &mut Spread, records: Vec<Record>) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        for (number, record) in (0..).zip(records) {
            out.extend(spread.push(number, record));
            assert!(spread.held <= spread.size, "what is held is bounded");
        }
        loop {
            let ready = spread.pop();
            if ready.is_empty() {
                return out
                    .iter()
                    .map(|(number, record)| (*number, record.at))
                    .collect();
            }
            out.extend(ready);
        }
    }

    proptest! {
        #[test]
        fn every_second_is_filled_evenly_in_the_order_of_lines(seconds in proptest::collection::vec(0_u64..20, 1..200)) {
            let mut spread = Spread::new(1_000);
            let records = seconds.iter().map(|second| record(second * SECOND, true)).collect();
            let mut out = through(&mut spread, records);
            prop_assert_eq!(out.len(), seconds.len());
            out.sort_unstable();
            for (number, second) in seconds.iter().enumerate() {
                let same = |of: &[u64]| of.iter().filter(|other| *other == second).count() as u64;
                let (before, all) = (same(&seconds[..number]), same(&seconds));
                prop_assert_eq!(out[number].1, second * SECOND + before * SECOND / all);
            }
        }

        #[test]
        fn nothing_moves_where_one_line_has_a_part_of_a_second(
            seconds in proptest::collection::vec(0_u64..5, 1..50), fine in 0_usize..50,
        ) {
            let mut spread = Spread::new(1_000);
            let fine = fine % seconds.len();
            let records = seconds.iter().enumerate().map(|(number, second)| record(second * SECOND, number != fine));
            let out = through(&mut spread, records.collect());
            let expected: Vec<_> = (0..).zip(&seconds).map(|(number, second)| (number, second * SECOND)).collect();
            prop_assert_eq!(out, expected);
            prop_assert_eq!(spread.spread(), 0);
        }
    }

    #[test]
    fn beyond_the_bound_the_earliest_second_comes_out_and_all_are_counted() {
        let mut spread = Spread::new(3);
        let records = [1, 1, 2, 2, 3].map(|second| record(second * SECOND, true));
        let out = through(&mut spread, records.to_vec());
        let half = SECOND / 2;
        assert_eq!(out.len(), 5);
        assert_eq!(out[1], (1, SECOND + half));
        assert_eq!(spread.spread(), 4);
    }
}
