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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_than_there_is_is_taken_at_the_same_time() {
        let (gate, now, most) = (Gate::new(10), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for size in [3, 7, 4, 50, 6, 1, 9, 2] {
                let (gate, now, most) = (&gate, &now, &most);
                scope.spawn(move || {
                    let size = size.min(10);
                    let share = gate.enter(size);
                    most.fetch_max(
                        now.fetch_add(size, Ordering::SeqCst) + size,
                        Ordering::SeqCst,
                    );
                    std::thread::yield_now();
                    now.fetch_sub(size, Ordering::SeqCst);
                    drop(share);
                });
            }
        });
        assert!((7..=10).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(*gate.taken.lock().unwrap(), 0);
    }
}
