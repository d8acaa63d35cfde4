//! Lanes that are played side by side, so that all their connections together are no more than this program may have.

use std::sync::{Condvar, Mutex, PoisonError};

/// Who plays takes as many connections as its upstream may have at the same time.
#[derive(Debug)]
pub(super) struct Gate {
    most: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// What one lane takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    gate: &'a Gate,
    size: usize,
}

impl Gate {
    /// So much for all.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// Waits until so much is free. What is more than there is takes all.
    pub(super) fn enter(&self, size: usize) -> Share<'_> {
        let size = size.min(self.most);
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut usize| *taken + size > self.most;
        let waited = self.freed.wait_while(taken, full);
        *waited.unwrap_or_else(PoisonError::into_inner) += size;
        Share { gate: self, size }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let taken = self.gate.taken.lock();
        *taken.unwrap_or_else(PoisonError::into_inner) -= self.size;
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_than_there_is_is_taken_at_the_same_time() {
        let gate = &Gate::new(10);
        let first = gate.enter(7);
        let (entered, told) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _share = gate.enter(4);
                entered.send(()).expect("somebody waits");
            });
            let early = told.recv_timeout(Duration::from_millis(50));
            assert!(early.is_err(), "7 and 4 are more than 10");
            drop(first);
            let entered = told.recv_timeout(Duration::from_secs(10));
            assert!(entered.is_ok(), "4 are free");
        });
        assert_eq!(*gate.taken.lock().unwrap(), 0);
    }

    #[test]
    fn what_is_more_than_there_is_takes_all() {
        let gate = Gate::new(10);
        let all = gate.enter(50);
        assert_eq!(*gate.taken.lock().unwrap(), 10);
        drop(all);
        assert_eq!(*gate.taken.lock().unwrap(), 0);
    }
}
