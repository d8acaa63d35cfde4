//! Metrics: families that each configuration of Envoy's defines once, and series that the process counts itself.
//!
//! Envoy gives a counter no way to be read, so each series also has a number of the process's own. It is what the core sees: exact over
//! all workers, whatever Envoy's administrator resets or drops.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use seawall_policy::environment::{MetricFamily, MetricId, MetricKind};
use seawall_policy::telemetry::families;

use crate::abi::{self, Config, Filter, Kind};

/// The numbers that one configuration of Envoy's has for the families, in their order.
#[derive(Debug)]
pub(crate) struct Families(Vec<Option<usize>>);

impl Families {
    /// Defines all of them. Only while a configuration is made.
    pub(crate) fn define(config: Config) -> Self {
        let families = families::ALL.iter();
        let define = |family: &&MetricFamily| {
            abi::define(config, kind(family.kind), family.name, family.labels)
        };
        Self(families.map(define).collect())
    }

    /// Adds to a counter of this configuration, sets a gauge, or gives a histogram a value. Where this Envoy needs a stream for that, by a stream;
    /// a counter for which there is none now is told later.
    pub(crate) fn measure(
        &self,
        (config, stream): (Config, Option<Filter>),
        series: &Series,
        value: u64,
    ) -> bool {
        let Some(id) = self.0.get(series.family).copied().flatten() else {
            return false;
        };
        let values: Vec<&str> = series.values.iter().map(String::as_str).collect();
        if abi::measures_without_stream() {
            return abi::measure(config, series.kind, id, &values, value);
        }
        match (stream, series.kind) {
            (Some(stream), Kind::Counter) => {
                let owed = series.owed.swap(0, Ordering::AcqRel);
                abi::measure_by(stream, series.kind, id, &values, value.saturating_add(owed))
            }
            (Some(stream), _) => abi::measure_by(stream, series.kind, id, &values, value),
            (None, Kind::Counter) => {
                series.owed.fetch_add(value, Ordering::AcqRel);
                true
            }
            // What is shown now is shown anew with a stream; a value of a histogram is lost.
            (None, Kind::Gauge | Kind::Histogram) => true,
        }
    }
}

/// One series of a family.
#[derive(Debug)]
pub(crate) struct Series {
    /// Its number among those of the process.
    pub(crate) id: MetricId,
    family: usize,
    kind: Kind,
    values: Vec<String>,
    count: AtomicU64,
    /// What Envoy was not told yet.
    owed: AtomicU64,
}

impl Series {
    /// Counts.
    pub(crate) fn add(&self, count: u64) {
        // Wraps after centuries.
        self.count.fetch_add(count, Ordering::AcqRel);
    }

    /// What was counted, over all workers.
    pub(crate) fn counted(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}

/// All series of the process, by their names. Their number is bounded as the core's upstreams and policies are.
static ALL: Mutex<Option<HashMap<String, Arc<Series>>>> = Mutex::new(None);

/// The series of a family with these values, made if it is new; nothing for a family that nobody knows.
pub(crate) fn series(family: &'static MetricFamily, values: &[&str]) -> Option<Arc<Series>> {
    let number = families::ALL
        .iter()
        .position(|known| std::ptr::eq(*known, family))?;
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    let id = MetricId(u32::try_from(all.len()).ok()?);
    let found = all.entry(family.series(values)).or_insert_with(|| {
        // Values beyond the labels are none of the family's.
        let values = values.iter().take(family.labels.len());
        Arc::new(Series {
            id,
            family: number,
            kind: kind(family.kind),
            values: values.map(ToString::to_string).collect(),
            count: AtomicU64::new(0),
            owed: AtomicU64::new(0),
        })
    });
    Some(Arc::clone(found))
}

const fn kind(kind: MetricKind) -> Kind {
    match kind {
        MetricKind::Counter => Kind::Counter,
        MetricKind::Gauge => Kind::Gauge,
        MetricKind::Histogram => Kind::Histogram,
    }
}
