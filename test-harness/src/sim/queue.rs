//! Virtual time: everything that happens is an event with a time; events of one time happen in the order in which they were
//! put in.
//!
//! Most events are put in so long ahead as others before them: time limits, the way back. Those are in order already, so a few
//! lines of events in order take them, each at its end; a heap takes what fits in none. A heap with the limits of all requests
//! would be a thousand times as long as what happens next.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// How many lines there are.
const LINES: usize = 4;

/// Events in the order of their time, in nanoseconds.
#[derive(Debug)]
pub struct Queue<E> {
    lines: [VecDeque<Entry<E>>; LINES],
    heap: BinaryHeap<Entry<E>>,
    next: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: u64,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// The heap gives its greatest first: the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            lines: std::array::from_fn(|_| VecDeque::new()),
            heap: BinaryHeap::new(),
            next: 0,
        }
    }
}

/// Where the earliest event is.
enum First {
    Line(usize),
    Heap,
}

impl<E> Queue<E> {
    /// Puts an event in.
    pub fn push(&mut self, at: u64, event: E) {
        let entry = Entry {
            at,
            number: self.next,
            event,
        };
        self.next += 1;
        // The line whose end is nearest before it; an empty one only if there is none.
        let end = |line: &VecDeque<Entry<E>>| line.back().map(|last| last.at);
        let fits = self.lines.iter_mut().filter(|line| end(line) <= Some(at));
        match fits.max_by_key(|line| end(line)) {
            Some(line) => line.push_back(entry),
            None => self.heap.push(entry),
        }
    }

    /// When the earliest event is due.
    pub fn due(&self) -> Option<u64> {
        self.first().map(|(at, _)| at)
    }

    /// Takes the earliest event out, with its time.
    pub fn pop(&mut self) -> Option<(u64, E)> {
        let entry = match self.first()?.1 {
            First::Line(line) => self.lines.get_mut(line)?.pop_front()?,
            First::Heap => self.heap.pop()?,
        };
        Some((entry.at, entry.event))
    }

    fn first(&self) -> Option<(u64, First)> {
        let lines = self.lines.iter().enumerate();
        let lines = lines.filter_map(|(line, all)| Some((all.front()?, First::Line(line))));
        let heap = self.heap.peek().map(|entry| (entry, First::Heap));
        // The earliest entry is the greatest.
        let first = lines
            .chain(heap)
            .max_by(|(one, _), (other, _)| one.cmp(other));
        first.map(|(entry, place)| (entry.at, place))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::RngExt;

    use super::*;
    use crate::random::chance;

    #[test]
    fn events_come_by_time_and_then_by_order() {
        let mut queue = Queue::default();
        for (at, event) in [(5, "c"), (1, "a"), (5, "d"), (3, "b")] {
            queue.push(at, event);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(_, event)| event)
            .collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }

    #[test]
    fn events_come_in_order_whatever_the_order_in_which_they_were_put_in() {
        for seed in 0..50 {
            let mut random = chance(seed, "queue");
            let mut queue = Queue::default();
            let mut expected: BTreeSet<(u64, usize)> = BTreeSet::new();
            let (mut now, mut last) = (0, None);
            for number in 0..2_000 {
                if random.random_range(0..3) > 0 || expected.is_empty() {
                    let ahead = [0, 1, 5, 5, 100, 10_000][random.random_range(0..6)];
                    let at = now + ahead + random.random_range(0..=ahead / 50);
                    queue.push(at, number);
                    expected.insert((at, number));
                } else {
                    let first = expected.pop_first();
                    assert_eq!(queue.due(), first.map(|(at, _)| at), "seed {seed}");
                    assert_eq!(queue.pop(), first, "seed {seed}");
                    assert!(last < first, "seed {seed}: time runs forward");
                    (now, last) = (first.map_or(now, |(at, _)| at), first);
                }
            }
            let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            assert_eq!(rest, Vec::from_iter(expected), "seed {seed}");
        }
    }
}
