//! Counters, gauges and histograms of the process, defined once and changed when asked to.

use super::{abi, errors};

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter = 0,
    /// Shows a value.
    Gauge = 1,
    /// Takes values.
    Histogram = 2,
}

/// A metric of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metric(u32);

impl Metric {
    /// Defines it. Each definition gives a new id for the same metric: define once.
    pub(crate) fn define(kind: Kind, name: &str) -> Option<Self> {
        errors::found("define_metric", abi::define_metric(kind as u32, name)).map(Self)
    }

    /// Adds to a counter.
    pub(crate) fn add(self, count: u64) {
        let offset = i64::try_from(count).unwrap_or(i64::MAX);
        errors::succeeded("increment_metric", abi::increment_metric(self.0, offset));
    }

    /// Sets a gauge, or gives a histogram one more value.
    pub(crate) fn set(self, value: u64) {
        errors::succeeded("record_metric", abi::record_metric(self.0, value));
    }
}
