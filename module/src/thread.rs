//! What belongs to one thread of Envoy's: a worker for each configuration, and the streams.
//!
//! All of it stands behind one lock, and is reached in no other way: the core counts references without atomics. The thread itself takes the
//! lock for each event. The main thread takes it for a tick while there are no streams, since an idle thread is called by nobody.
#![allow(
    unsafe_code,
    reason = "what one lock guards may go from thread to thread"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_policy::environment::Clock;
use seawall_policy::environment::effects::Effects;
use seawall_policy::stream::{Stream, look_at_parked};
use seawall_policy::time::{Span, Timestamp};
use seawall_policy::worker::{Vm, Worker};
use slab::Slab;

use crate::abi::{self, Filter};
use crate::configuration::{Configuration, Number};
use crate::environment::{HealthCheck, Module, Streams};
use crate::facts::{AtRequest, AtResponse};
use crate::headers::Headers;
use crate::{errors, period};

/// The event that wakes a thread for its tick.
const TICK: u64 = 1;

/// One thread.
#[derive(Debug)]
pub(crate) struct Thread(Mutex<Inside>);

#[derive(Debug)]
pub(crate) struct Inside {
    vm: Rc<Vm>,
    workers: Vec<Held>,
    filters: Streams,
    streams: Slab<(u32, Stream<Headers>)>,
    contexts: u32,
    /// Whether its tick is due: the stream that was woken for it does it.
    tick_due: bool,
}

#[derive(Debug)]
struct Held {
    number: Number,
    worker: Worker<Module>,
    ticked: Timestamp,
}

impl Held {
    fn tick(&mut self, here: bool) -> AfterTick {
        let worker = &mut self.worker;
        worker.env().begin(here);
        let now = worker.env().now();
        if now.since(self.ticked) < period::nearly(Span::millis(worker.env().period().into())) {
            return AfterTick::default();
        }
        self.ticked = now;
        worker.tick();
        let parked = match here {
            true => worker.parked(),
            false => Vec::new(),
        };
        if parked.is_empty() {
            worker.parked_seen();
        }
        let checks = worker.env().take_health_checks().into_iter();
        AfterTick {
            parked: parked
                .into_iter()
                .map(|context| (self.number, context))
                .collect(),
            health_checks: checks.map(|check| (self.number, check)).collect(),
        }
    }

    fn end(mut self) {
        self.worker.env().begin(false);
        let done = catch_unwind(AssertUnwindSafe(|| self.worker.done()));
        errors::succeeded(errors::PANIC, done.is_ok());
    }
}

// SAFETY: every reference-counted pointer to what `Inside` holds is itself inside it: workers, streams and the map of filters are made here,
// and nothing hands one out. So whoever holds the lock has all of them.
unsafe impl Send for Inside {}

/// What finds a stream in its thread: where it stands, and its number, since another may stand there later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamKey {
    slot: usize,
    context: u32,
}

/// What a tick leaves to be done without a lock.
#[derive(Debug, Default)]
pub(crate) struct AfterTick {
    /// Streams that wait, to be looked at one after the other: what is done for one may change what another finds.
    pub(crate) parked: Vec<(Number, u32)>,
    /// What is to be sent on the main thread.
    pub(crate) health_checks: Vec<(Number, HealthCheck)>,
}

impl Thread {
    /// A thread that has done nothing yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inside::new()))
    }

    /// A panic in an event leaves nothing half done that another event would trip over: the core's steps work on copies.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn new() -> Self {
        Self {
            vm: Rc::new(Vm::without_handover()),
            workers: Vec::new(),
            filters: Streams::default(),
            streams: Slab::new(),
            contexts: 0,
            tick_due: false,
        }
    }

    /// A stream begins.
    pub(crate) fn begin(&mut self, filter: Filter) -> StreamKey {
        self.contexts = self.contexts.wrapping_add(1);
        let context = self.contexts;
        self.filters.borrow_mut().insert(context, filter);
        let slot = self.streams.insert((context, Stream::new(context)));
        StreamKey { slot, context }
    }

    /// A stream is gone.
    pub(crate) fn end(&mut self, key: StreamKey) {
        self.filters.borrow_mut().remove(&key.context);
        drop(self.streams.try_remove(key.slot));
    }

    /// Whether a stream is still there.
    pub(crate) fn has(&self, context: u32) -> bool {
        self.filters.borrow().contains_key(&context)
    }

    /// An event of a stream, on its own thread.
    pub(crate) fn event<T>(
        &mut self,
        configuration: &Arc<Configuration>,
        key: StreamKey,
        run: impl FnOnce(&mut Stream<Headers>, &mut Worker<Module>) -> T,
    ) -> Option<T> {
        let at = self.worker(configuration);
        let (context, stream) = self.streams.get_mut(key.slot)?;
        if *context != key.context {
            return None;
        }
        let worker = &mut self.workers.get_mut(at)?.worker;
        worker.env().begin(true);
        Some(run(stream, worker))
    }

    /// The place of the worker for a configuration, which is made when it is first needed.
    fn worker(&mut self, configuration: &Arc<Configuration>) -> usize {
        let number = configuration.number();
        let known = self.workers.iter().position(|held| held.number == number);
        known.unwrap_or_else(|| {
            let env = Module::new(Arc::clone(configuration), Rc::clone(&self.filters));
            let ticked = env.now();
            let worker = Worker::new(env, Rc::clone(&self.vm), configuration.routing().clone());
            let worker = worker.at(configuration.position());
            self.workers.push(Held {
                number,
                worker,
                ticked,
            });
            self.workers.len().saturating_sub(1)
        })
    }

    /// The main thread comes by: does the tick where there are no streams, otherwise has the thread do it.
    pub(crate) fn come_by(&mut self) -> AfterTick {
        self.tick_due = true;
        match self.wake_a_stream() {
            true => AfterTick::default(),
            false => {
                self.tick_due = false;
                self.tick(false)
            }
        }
    }

    /// Wakes a stream for a tick that is due. Whether there is any stream.
    pub(crate) fn wake_a_stream(&self) -> bool {
        let filters = self.filters.borrow();
        // The youngest, mostly. A map that was large once is slow to search.
        let youngest = filters.get(&self.contexts);
        let stream = youngest.or_else(|| filters.values().next());
        if let Some(filter) = stream.filter(|_| self.tick_due) {
            abi::wake(*filter, TICK);
        }
        stream.is_some()
    }

    /// The shortest period that one of its workers wants, in milliseconds.
    pub(crate) fn period(&self) -> u32 {
        let periods = self.workers.iter().map(|held| held.worker.env().period());
        periods.min().unwrap_or(period::USUAL_MILLIS)
    }

    /// Does a tick that is due, on the thread itself.
    pub(crate) fn tick_if_due(&mut self) -> AfterTick {
        match std::mem::take(&mut self.tick_due) {
            true => self.tick(true),
            false => AfterTick::default(),
        }
    }

    fn tick(&mut self, here: bool) -> AfterTick {
        let mut after = AfterTick::default();
        for held in &mut self.workers {
            // A worker that panics takes no other's tick away.
            if let Ok(one) = catch_unwind(AssertUnwindSafe(|| held.tick(here))) {
                after.parked.extend(one.parked);
                after.health_checks.extend(one.health_checks);
            } else {
                errors::count(errors::PANIC);
            }
        }
        after
    }

    /// Looks at a stream that waits: what is to be done on it.
    pub(crate) fn look_at(&mut self, number: Number, context: u32) -> Option<(Filter, Effects)> {
        let filter = self.filters.borrow().get(&context).copied()?;
        let held = self.workers.iter_mut().find(|held| held.number == number)?;
        held.worker.env().begin(true);
        let (facts, request) = (AtResponse::later(filter, None), AtRequest(filter));
        let mut out = Effects::NONE;
        look_at_parked(&mut held.worker, context, (&facts, &request), &mut out);
        Some((filter, out))
    }

    /// All streams that waited were looked at.
    pub(crate) fn looked_at(&mut self) {
        for held in &mut self.workers {
            held.worker.parked_seen();
        }
    }

    /// The response to a request of our own is there.
    pub(crate) fn called(&mut self, number: Number, call: u32, status: Option<u16>) {
        let held = self.workers.iter_mut().find(|held| held.number == number);
        if let Some(held) = held {
            held.worker.env().begin(false);
            held.worker.called(call, status);
        }
    }

    /// A configuration is over: what its worker has counted and owes does not go with it.
    pub(crate) fn forget(&mut self, number: Number) {
        if let Some(at) = self.workers.iter().position(|held| held.number == number) {
            self.workers.swap_remove(at).end();
        }
    }

    /// The thread is over, and with it all its workers.
    pub(crate) fn forget_all(&mut self) {
        self.workers.drain(..).for_each(Held::end);
    }
}
