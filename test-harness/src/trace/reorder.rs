//! Requests in the order of their start. Logs have them in the order of their end, so what comes is held for a while.

use super::record::Record;
use crate::sim::Queue;

/// So many requests are held. What ends after so many others have ended comes out late: at its own time, but behind
/// others that began later.
pub(super) const WINDOW: usize = 65_536;

/// The window.
#[derive(Debug)]
pub(super) struct Reorder {
    size: usize,
    held: usize,
    queue: Queue<(u64, Record)>,
    last: u64,
    late: u64,
}

impl Reorder {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            held: 0,
            queue: Queue::default(),
            last: 0,
            late: 0,
        }
    }

    /// Takes a request of a line in, and gives the earliest if there is no place for more.
    pub(super) fn push(&mut self, number: u64, record: Record) -> Option<(u64, Record)> {
        self.queue.push(record.at, (number, record));
        self.held += 1;
        if self.held > self.size {
            self.pop()
        } else {
            None
        }
    }

    /// The earliest.
    pub(super) fn pop(&mut self) -> Option<(u64, Record)> {
        let (at, next) = self.queue.pop()?;
        self.held -= 1;
        self.late += u64::from(at < self.last);
        self.last = self.last.max(at);
        Some(next)
    }

    /// How many came out behind one that began later.
    pub(super) fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Request;

    fn record(at: u64) -> Record {
        Record {
            at,
            second: None,
            service_us: None,
            unknown_priority: None,
            request: Request::default(),
        }
    }

    fn through(window: usize, times: &[u64]) -> (Vec<u64>, u64) {
        let mut reorder = Reorder::new(window);
        let mut out = Vec::new();
        for at in times {
            out.extend(reorder.push(0, record(*at)).map(|(_, record)| record.at));
            assert!(reorder.held <= window, "the window is bounded");
        }
        while let Some((_, record)) = reorder.pop() {
            out.push(record.at);
        }
        (out, reorder.late())
    }

    #[test]
    fn within_the_window_all_is_in_order_and_what_falls_outside_is_counted() {
        assert_eq!(through(2, &[3, 1, 2, 5, 4]), (vec![1, 2, 3, 4, 5], 0));
        assert_eq!(through(2, &[3, 4, 5, 1, 6]), (vec![3, 1, 4, 5, 6], 1));
    }
}
