//! Counters, gauges and histograms of the process, defined once and changed when asked to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use seawall_policy::environment::{MetricFamily, MetricId, MetricKind, Metrics};

use super::{abi, errors};
use crate::body::Wasm;

thread_local! {
    /// All that this VM ever defined. Envoy gives a new number for each definition and keeps it as long as the VM, which
    /// sees a root come with every new configuration.
    static DEFINED: RefCell<BTreeMap<String, usize>> = const { RefCell::new(BTreeMap::new()) };
}

impl Metrics for Wasm {
    fn define(&self, family: &'static MetricFamily, values: &[&str]) -> Option<MetricId> {
        let name = family.series(values);
        let kind = match family.kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        DEFINED.with(|defined| {
            let mut defined = defined.try_borrow_mut().ok()?;
            if let Some(known) = defined.get(&name) {
                return u32::try_from(*known).ok().map(MetricId);
            }
            let id = errors::found("define_metric", abi::define_metric(kind, &name))?;
            defined.insert(name, id as usize);
            Some(MetricId(id))
        })
    }

    #[inline]
    fn add(&self, metric: MetricId, count: u64) {
        let offset = i64::try_from(count).unwrap_or(i64::MAX);
        errors::succeeded("increment_metric", abi::increment_metric(metric.0, offset));
    }

    fn counted(&self, metric: MetricId) -> Option<u64> {
        errors::found("get_metric", abi::get_metric(metric.0))
    }

    #[inline]
    fn set(&self, metric: MetricId, value: u64) {
        errors::succeeded("record_metric", abi::record_metric(metric.0, value));
    }

    fn take_host_errors(&self) -> Vec<(&'static str, u64)> {
        errors::take()
    }

    fn log(&self, level: log::Level, line: fmt::Arguments<'_>) {
        log::log!(level, "{line}");
    }
}
