//! What the core asks of the body that it runs in: small traits with static dispatch.
//!
//! A body is what joins the core to a proxy: the Proxy-Wasm filter, a native test, a simulation. It calls the core with
//! *events* ([`crate::stream::Stream`], [`crate::worker::Worker`]), answers *facts* while an event is handled, and applies
//! the *effects* that the core leaves behind once the core has returned.
//!
//! * [`Clock`], [`Entropy`], [`Metrics`], [`Timer`], [`HealthChecks`]: what a worker needs at any time.
//! * [`SharedState`]: the state that all workers share, as typed records under typed keys.
//! * [`facts`]: what can be asked in which phase of a request. A question that comes too late does not compile.
//! * [`effects`]: what is to be done, as data.

pub mod effects;
pub mod facts;
pub mod headers;

use std::fmt;

use crate::shared::state::SharedState;
use crate::time::{Span, Timestamp};
use facts::{BodyPhase, RequestPhase, ResponsePhase, TrailersPhase};
use headers::HeaderMap;

/// The clocks of the process.
pub trait Clock {
    /// Now, on the monotonic clock that all workers share: the same to all who ask in one event.
    fn now(&self) -> Timestamp;

    /// How long ago a point on the wall clock was, in nanoseconds since 1970; zero if that is not known.
    fn since_wall(&self, nanos: u64) -> Span;

    /// How long it is until a point on the wall clock, in seconds since 1970; zero if it has passed.
    fn until_wall(&self, seconds: u64) -> Span;
}

/// Randomness.
pub trait Entropy {
    /// A seed for a worker's draws. Without randomness it is `salt`.
    fn seed(&self, salt: u64) -> u64;

    /// Bytes that nobody can guess; nothing where there are none.
    fn secret<const N: usize>(&self) -> Option<[u8; N]>;
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Shows a value.
    Gauge,
    /// Takes values.
    Histogram,
}

/// A family of metrics: one name and one kind for all series, which differ by the values of their labels.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricFamily {
    /// What they do.
    pub kind: MetricKind,
    /// Their name.
    pub name: &'static str,
    /// The names of their labels.
    pub labels: &'static [&'static str],
}

impl MetricFamily {
    /// The name of the series with these values as one word: the name, and `..label=value` for each label. Values beyond the labels are
    /// none of its.
    pub fn series(&self, values: &[&str]) -> String {
        let mut series = self.name.to_owned();
        for (label, value) in self.labels.iter().zip(values) {
            for part in ["..", label, "=", value] {
                series.push_str(part);
            }
        }
        series
    }
}

/// A metric that the body has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// Metrics and log lines.
pub trait Metrics {
    /// Defines the series of a family with these values of its labels, in their order, or finds it if it is known. All families are
    /// in [`crate::telemetry::families::ALL`].
    fn define(&self, family: &'static MetricFamily, values: &[&str]) -> Option<MetricId>;

    /// Adds to a counter.
    fn add(&self, metric: MetricId, count: u64);

    /// What a counter stands at, over all workers; nothing where the body cannot tell.
    fn counted(&self, metric: MetricId) -> Option<u64>;

    /// Sets a gauge, or gives a histogram one more value.
    fn set(&self, metric: MetricId, value: u64);

    /// Takes the counts of calls of the host that failed since the last time, by the name of the call.
    fn take_host_errors(&self) -> Vec<(&'static str, u64)>;

    /// Writes a line to the log.
    fn log(&self, level: log::Level, line: fmt::Arguments<'_>);
}

/// The tick.
pub trait Timer {
    /// Asks for a tick every so many milliseconds; `false` if the host refused.
    fn set_tick_period(&self, millis: u32) -> bool;
}

/// Requests of Seawall's own to a cluster.
pub trait HealthChecks {
    /// Sends a GET; the number under which its answer comes. Nothing where it could not be sent.
    fn get(&self, cluster: &str, authority: &str, path: &str, timeout: Span) -> Option<u32>;
}

/// All that the core needs of its body.
pub trait Environment:
    SharedState + Clock + Entropy + Metrics + Timer + HealthChecks + fmt::Debug
{
    /// A header map as it came.
    type Headers: HeaderMap;
    /// While the headers of a request, or of an attempt, are there.
    type Request: RequestPhase<Headers = Self::Headers>;
    /// From the headers of a response to the end of its request.
    type Response: ResponsePhase<Headers = Self::Headers>;
    /// While a chunk of a response's body passes.
    type Body: BodyPhase;
    /// While the trailers of a response are there.
    type Trailers: TrailersPhase<Headers = Self::Headers>;

    /// A stream that waits for its response, to be asked from elsewhere; nothing if it is gone. The event that asks it does
    /// nothing for its own root any more.
    fn stream(&self, context: u32) -> Option<Self::Response>;

    /// Keeps, for both positions of the filter, what is known of the attempts of another request that waits for its response: at once,
    /// since an attempt of it may read that in the same event; `false` if the host refused. [`Environment::stream`] with the event's own
    /// stream comes after it.
    fn keep_attempts(&self, context: u32, attempts: &[u8]) -> bool;
}
