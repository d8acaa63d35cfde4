//! What is measured while a lane is played: users and those who watch Envoy write into the same account.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_harness::measure::Measure;

use crate::clock;

/// An account of one lane.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    /// When the trace begins.
    pub(super) begin: Instant,
    /// Users who wait for an answer.
    waiting: Arc<AtomicUsize>,
    measure: Arc<Mutex<Measure>>,
    /// How late the latest request was sent, in milliseconds.
    late: Arc<AtomicU64>,
}

impl Recorder {
    /// An empty one of a trace that begins then.
    pub(super) fn new(begin: Instant) -> Self {
        Self {
            begin,
            waiting: Arc::default(),
            measure: Arc::default(),
            late: Arc::default(),
        }
    }

    /// Now, in nanoseconds since the trace began.
    pub(super) fn now(&self) -> u64 {
        nanos(clock::now().saturating_duration_since(self.begin))
    }

    /// A time of the trace.
    pub(super) fn at(&self, nanos: u64) -> tokio::time::Instant {
        (self.begin + Duration::from_nanos(nanos)).into()
    }

    /// Writes or reads.
    pub(super) fn with<T>(&self, run: impl FnOnce(&mut Measure) -> T) -> T {
        run(&mut self.measure.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request is sent now that was due then.
    pub(super) fn sent(&self, due: u64) {
        let late = self.now().saturating_sub(due) / 1_000_000;
        self.late.fetch_max(late, Ordering::Relaxed);
    }

    /// How late the latest request was sent, in milliseconds.
    pub(super) fn late_ms(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// A user begins to wait, or no longer does.
    pub(super) fn waits(&self, begins: bool) {
        match begins {
            true => self.waiting.fetch_add(1, Ordering::Relaxed),
            false => self.waiting.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// How many users wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What was written.
    pub(super) fn take(&self) -> Measure {
        self.with(std::mem::take)
    }
}

/// A length of time in nanoseconds.
pub(super) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
