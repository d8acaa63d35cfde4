//! What all workers of a process share.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seawall_policy::environment::MetricKind;
use seawall_policy::shared::store::{Found, HostError, SharedStore};
use seawall_policy::time::Span;

use crate::facts::SharedFacts;
use crate::questions::Questions;
use crate::typed::TypedState;

/// The wall clock shows this at the monotonic clock's zero, in nanoseconds since 1970.
const WALL: u64 = 1_700_000_000_000_000_000;

/// Shared data as Envoy keeps it: a swap against 0 always wins, one on an absent key succeeds whatever the number.
#[derive(Debug, Default)]
pub struct Shared {
    entries: RefCell<BTreeMap<String, Found>>,
    counter: Cell<u32>,
    loads: Cell<u64>,
    /// Who comes in between, and before one swap in how many.
    races: RefCell<Option<(ChaCha8Rng, u32)>>,
}

impl Shared {
    /// From now on one swap in so many is lost to somebody who came in between; which ones follows from the seed.
    pub fn lose_races(&self, seed: u64, one_in: u32) {
        let chance = ChaCha8Rng::seed_from_u64(seed);
        *self.races.borrow_mut() = Some((chance, one_in));
    }

    fn fresh(&self) -> u32 {
        self.counter.set(self.counter.get().wrapping_add(1).max(1));
        self.counter.get()
    }

    fn loses_race(&self) -> bool {
        let mut races = self.races.borrow_mut();
        let races = races.as_mut();
        races.is_some_and(|(chance, one_in)| chance.next_u32().is_multiple_of(*one_in))
    }

    /// How often something was read.
    pub fn loads(&self) -> u64 {
        self.loads.get()
    }

    /// All that stands in it.
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = self.entries.borrow();
        let entries = entries.iter();
        entries
            .map(|(key, found)| (key.clone(), found.bytes.clone()))
            .collect()
    }
}

impl SharedStore for Shared {
    fn load(&self, key: &str) -> Result<Option<Found>, HostError> {
        self.loads.set(self.loads.get() + 1);
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn swap(&self, key: &str, bytes: &[u8], cas: u32) -> Result<bool, HostError> {
        let mut entries = self.entries.borrow_mut();
        if let Some(found) = entries.get_mut(key).filter(|_| cas != 0) {
            if self.loses_race() {
                found.cas = self.fresh();
            }
            if found.cas != cas {
                return Ok(false);
            }
        }
        let found = Found {
            bytes: bytes.to_vec(),
            cas: self.fresh(),
        };
        entries.insert(key.to_owned(), found);
        Ok(true)
    }
}

/// One process.
#[derive(Debug, Default)]
pub struct Process {
    now: Cell<u64>,
    wall: Cell<u64>,
    /// What the workers share, unless it is typed.
    pub shared: Shared,
    pub(crate) typed: Option<Arc<TypedState>>,
    pub(crate) names: RefCell<Vec<(String, MetricKind)>>,
    pub(crate) values: RefCell<BTreeMap<String, u64>>,
    pub(crate) lines: RefCell<Vec<String>>,
    pub(crate) streams: RefCell<BTreeMap<u32, SharedFacts>>,
    next_context: Cell<u32>,
    drops_counters: Cell<bool>,
    questions: OnceCell<Rc<Questions>>,
}

impl Process {
    /// A process that starts at this time of the monotonic clock.
    pub fn new(now: Span) -> Rc<Self> {
        Self::of(now, None)
    }

    /// The same, with this state in the place of bytes.
    pub fn with_state(now: Span, state: &Arc<TypedState>) -> Rc<Self> {
        Self::of(now, Some(Arc::clone(state)))
    }

    fn of(now: Span, typed: Option<Arc<TypedState>>) -> Rc<Self> {
        let process = Self {
            typed,
            ..Self::default()
        };
        process.now.set(now.as_nanos());
        process.wall.set(WALL);
        Rc::new(process)
    }

    /// The monotonic clock in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// The wall clock in nanoseconds since 1970.
    pub fn wall(&self) -> u64 {
        self.wall.get() + self.now.get()
    }

    /// The wall clock shows this when the monotonic one shows zero.
    pub fn set_wall(&self, nanos: u64) {
        self.wall.set(nanos);
    }

    /// Time passes.
    pub fn pass(&self, span: Span) {
        self.now.set(self.now.get() + span.as_nanos());
    }

    /// Sets the monotonic clock, in nanoseconds.
    pub fn set_now(&self, nanos: u64) {
        self.now.set(nanos);
    }

    /// All metrics by name: counters, gauges, and how many values each histogram took.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        self.values.borrow().clone()
    }

    /// From now on counters are dropped: they read 0, and nobody says so. So does Envoy by a `stats_matcher`.
    pub fn drop_counters(&self) {
        self.drops_counters.set(true);
    }

    /// All counters and gauges begin at 0 again.
    pub fn reset_counters(&self) {
        self.values
            .borrow_mut()
            .values_mut()
            .for_each(|value| *value = 0);
    }

    /// Whether counters are dropped.
    pub(crate) fn drops_counters(&self) -> bool {
        self.drops_counters.get()
    }

    /// The log lines since the last time.
    pub fn take_log(&self) -> Vec<String> {
        self.lines.take()
    }

    /// What the core asks about streams that begin from now on.
    pub fn questions(&self) -> Rc<Questions> {
        Rc::clone(self.questions.get_or_init(Rc::default))
    }

    /// A callback begins.
    pub(crate) fn begin(&self, callback: &'static str) {
        if let Some(questions) = self.questions.get() {
            questions.begin(callback);
        }
    }

    /// Where questions about a stream are noted, if anywhere.
    pub(crate) fn questions_about(&self, context: u32) -> Option<(u32, Rc<Questions>)> {
        let questions = self.questions.get()?;
        Some((context, Rc::clone(questions)))
    }

    pub(crate) fn fresh_context(&self) -> u32 {
        let context = self.next_context.get() + 1;
        self.next_context.set(context);
        context
    }
}
