//! What the core asks of this body at any time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use seawall_policy::environment::{
    Clock, Entropy, Environment, HealthChecks, MetricFamily, MetricId, Metrics, Timer,
};
use seawall_policy::shared::state::{Key, SharedRecord, SharedState, Step, Stored, Undecided};
use seawall_policy::time::{Span, Timestamp};

use crate::abi::{self, Filter};
use crate::configuration::Configuration;
use crate::facts::{AtBody, AtRequest, AtResponse, AtTrailers};
use crate::headers::Headers;
use crate::metrics::{self, Series};
use crate::state::STATE;
use crate::{attempts, clock, errors, period};

/// The streams of one thread by their numbers.
pub(crate) type Streams = Rc<RefCell<HashMap<u32, Filter>>>;

/// A request of our own that the core wants sent; it is sent on the main thread, once no lock is held.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    /// The number that the core knows it by.
    pub(crate) call: u32,
    pub(crate) cluster: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) timeout: Span,
}

/// The environment of one worker: one configuration on one thread.
#[derive(Debug)]
pub(crate) struct Module {
    configuration: Arc<Configuration>,
    streams: Streams,
    /// Whether streams may be asked: not while another thread does this one's tick.
    here: Cell<bool>,
    /// The time of this event, once it was asked for.
    now: Cell<Option<u64>>,
    /// The series that this worker uses, by their numbers.
    series: RefCell<HashMap<u32, Arc<Series>>>,
    /// How often it ticks, in milliseconds.
    period: Cell<u32>,
    health_checks: RefCell<Vec<HealthCheck>>,
    calls: Cell<u32>,
}

impl Module {
    /// The environment of a worker that was not asked for anything yet.
    pub(crate) fn new(configuration: Arc<Configuration>, streams: Streams) -> Self {
        Self {
            configuration,
            streams,
            here: Cell::new(true),
            now: Cell::new(None),
            series: RefCell::default(),
            period: Cell::new(period::USUAL_MILLIS),
            health_checks: RefCell::default(),
            calls: Cell::new(0),
        }
    }

    /// An event begins, on the worker's own thread or on another.
    pub(crate) fn begin(&self, here: bool) {
        self.here.set(here);
        self.now.set(None);
    }

    /// How often it wants to tick, in milliseconds.
    pub(crate) fn period(&self) -> u32 {
        self.period.get()
    }

    /// Takes what is to be sent.
    pub(crate) fn take_health_checks(&self) -> Vec<HealthCheck> {
        self.health_checks.take()
    }

    fn filter(&self, context: u32) -> Option<Filter> {
        let found = self.streams.borrow().get(&context).copied();
        found.filter(|_| self.here.get())
    }

    fn measure(&self, metric: MetricId, value: u64, counts: bool) {
        let series = self.series.borrow();
        let Some(series) = series.get(&metric.0) else {
            return;
        };
        if counts {
            series.add(value);
        }
        // Only Envoy 1.38 needs one.
        let needed = self.here.get() && !abi::measures_without_stream();
        let stream = needed.then(|| self.streams.borrow().values().next().copied());
        let stream = stream.flatten();
        let told = self.configuration.measure(stream, series, value);
        errors::succeeded("measure", told);
    }
}

impl SharedState for Module {
    fn clock(&self, _begun: Timestamp) -> Timestamp {
        Timestamp::nanos(clock::monotonic())
    }

    fn view<R: SharedRecord>(&self, key: &Key<R>) -> Result<Stored<R>, Undecided> {
        STATE.view(key)
    }

    fn apply<R: SharedRecord>(
        &self,
        key: &Key<R>,
        step: &mut dyn Step<R>,
    ) -> Result<bool, Undecided> {
        STATE.apply(key, step)
    }
}

impl Clock for Module {
    fn now(&self) -> Timestamp {
        let now = self.now.get().unwrap_or_else(clock::monotonic);
        self.now.set(Some(now));
        Timestamp::nanos(now)
    }

    fn since_wall(&self, nanos: u64) -> Span {
        Span::nanos(clock::wall().unwrap_or(0).saturating_sub(nanos))
    }

    fn until_wall(&self, seconds: u64) -> Span {
        let now = clock::wall().unwrap_or(u64::MAX);
        Span::nanos(Span::secs(seconds).as_nanos().saturating_sub(now))
    }
}

impl Entropy for Module {
    fn seed(&self, salt: u64) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            errors::count("random");
            salt
        })
    }

    fn secret<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let filled = getrandom::fill(&mut bytes).is_ok();
        errors::succeeded("random", filled).then_some(bytes)
    }
}

impl Metrics for Module {
    fn define(&self, family: &'static MetricFamily, values: &[&str]) -> Option<MetricId> {
        let found = metrics::series(family, values)?;
        let id = found.id;
        self.series.borrow_mut().insert(id.0, found);
        Some(id)
    }

    fn add(&self, metric: MetricId, count: u64) {
        self.measure(metric, count, true);
    }

    fn counted(&self, metric: MetricId) -> Option<u64> {
        let series = self.series.borrow();
        series.get(&metric.0).map(|series| series.counted())
    }

    fn set(&self, metric: MetricId, value: u64) {
        self.measure(metric, value, false);
    }

    fn take_host_errors(&self) -> Vec<(&'static str, u64)> {
        errors::take()
    }

    fn log(&self, level: log::Level, line: fmt::Arguments<'_>) {
        log::log!(level, "{line}");
    }
}

impl Timer for Module {
    fn set_tick_period(&self, millis: u32) -> bool {
        self.period.set(millis);
        period::wanted_every(millis);
        true
    }
}

impl HealthChecks for Module {
    fn get(&self, cluster: &str, authority: &str, path: &str, timeout: Span) -> Option<u32> {
        let call = self.calls.get().wrapping_add(1);
        self.calls.set(call);
        self.health_checks.borrow_mut().push(HealthCheck {
            call,
            cluster: cluster.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            timeout,
        });
        Some(call)
    }
}

impl Environment for Module {
    type Headers = Headers;
    type Request = AtRequest;
    type Response = AtResponse;
    type Body = AtBody;
    type Trailers = AtTrailers;

    fn stream(&self, context: u32) -> Option<AtResponse> {
        self.filter(context)
            .map(|filter| AtResponse::later(filter, None))
    }

    fn keep_attempts(&self, context: u32, attempts: &[u8]) -> bool {
        self.filter(context)
            .is_some_and(|filter| attempts::keep(filter, attempts))
    }
}
