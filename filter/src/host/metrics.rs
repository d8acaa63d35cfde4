//! Counters, gauges and histograms of the process, defined once and changed when asked to.

use std::cell::RefCell;

use super::{abi, errors};
use crate::sorted_map::SortedMap;

thread_local! {
    /// All that this VM ever defined. Envoy gives a new number for each definition and keeps it as long as the VM, which
    /// sees a root come with every new configuration.
    static DEFINED: RefCell<SortedMap<usize>> = const { RefCell::new(SortedMap::EMPTY) };
}

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
    /// Defines it, or finds what another root defined.
    pub(crate) fn define(kind: Kind, name: &str) -> Option<Self> {
        DEFINED.with(|defined| {
            let mut defined = defined.try_borrow_mut().ok()?;
            if let Some(known) = defined.get(name) {
                return Some(Self(*known as u32));
            }
            let id = errors::found("define_metric", abi::define_metric(kind as u32, name))?;
            defined.insert(name.to_owned(), id as usize);
            Some(Self(id))
        })
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
