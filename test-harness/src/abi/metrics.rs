//! Metrics: shared by name over the process, numbered anew by each VM and each definition, as in Envoy.
//!
//! The two lowest bits of a number are the kind (0 counter, 1 gauge, 2 histogram), so the statuses for a number that was
//! never given out depend on those bits too.

use std::collections::BTreeMap;

use super::status::{BAD_ARGUMENT, NOT_FOUND};

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;
const KIND_MASK: u32 = 3;

/// What was recorded in a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

/// All metrics of one process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    values: BTreeMap<String, u64>,
    kinds: BTreeMap<String, u32>,
    histograms: BTreeMap<String, Histogram>,
}

/// The numbers that one VM got for its definitions.
#[derive(Clone, Debug, Default)]
pub struct MetricIds {
    defined: [u32; 3],
    names: BTreeMap<u32, String>,
}

impl Metrics {
    /// All values by name; a histogram's is how many values it took.
    pub fn values(&self) -> &BTreeMap<String, u64> {
        &self.values
    }

    /// What a histogram took.
    pub fn histogram(&self, name: &str) -> Option<Histogram> {
        self.histograms.get(name).copied()
    }

    /// Under which name a metric of this kind stands: two kinds may share a name and are two metrics.
    fn enter(&mut self, kind: u32, name: String) -> String {
        let known = *self.kinds.entry(name.clone()).or_insert(kind);
        let name = match kind {
            kind if kind == known => name,
            GAUGE => format!("{name} (gauge)"),
            HISTOGRAM => format!("{name} (histogram)"),
            _ => format!("{name} (counter)"),
        };
        self.values.entry(name.clone()).or_default();
        name
    }

    fn observe(&mut self, name: &str, value: u64) {
        let histogram = self.histograms.entry(name.to_owned()).or_default();
        histogram.min = match histogram.count {
            0 => value,
            _ => histogram.min.min(value),
        };
        histogram.max = histogram.max.max(value);
        histogram.count += 1;
        histogram.sum = histogram.sum.saturating_add(value);
        let count = histogram.count;
        self.values.insert(name.to_owned(), count);
    }
}

impl MetricIds {
    /// Defines a metric: 4, 8 and so on are counters, 5 gauges, 6 histograms.
    ///
    /// # Errors
    /// Status "bad argument" for another kind.
    pub fn define(&mut self, metrics: &mut Metrics, kind: u32, name: String) -> Result<u32, u32> {
        let count = self.defined.get_mut(kind as usize).ok_or(BAD_ARGUMENT)?;
        *count += 1;
        let id = *count * (KIND_MASK + 1) + kind;
        self.names.insert(id, metrics.enter(kind, name));
        Ok(id)
    }

    /// Adds to a counter, which takes no less than 1, or to a gauge, which wraps below 0.
    ///
    /// # Errors
    /// Statuses "not found" and "bad argument".
    pub fn increment(&self, metrics: &mut Metrics, id: u32, offset: i64) -> Result<(), u32> {
        let kind = id & KIND_MASK;
        if kind > GAUGE {
            return Err(BAD_ARGUMENT);
        }
        let value = self.value(metrics, id)?;
        if kind == COUNTER && offset <= 0 {
            return Err(BAD_ARGUMENT);
        }
        *value = value.wrapping_add_signed(offset);
        Ok(())
    }

    /// Adds to a counter, sets a gauge, or takes a value into a histogram.
    ///
    /// # Errors
    /// Status "not found".
    pub fn record(&self, metrics: &mut Metrics, id: u32, value: u64) -> Result<(), u32> {
        let name = self.names.get(&id).ok_or(NOT_FOUND)?;
        match id & KIND_MASK {
            HISTOGRAM => metrics.observe(name, value),
            kind => {
                let current = self.value(metrics, id)?;
                *current = match kind {
                    COUNTER => current.wrapping_add(value),
                    _ => value,
                };
            }
        }
        Ok(())
    }

    /// The name of a metric.
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// The value of a counter or a gauge.
    ///
    /// # Errors
    /// Statuses "not found" and, for a histogram, "bad argument".
    pub fn get(&self, metrics: &mut Metrics, id: u32) -> Result<u64, u32> {
        if id & KIND_MASK > GAUGE {
            return Err(BAD_ARGUMENT);
        }
        self.value(metrics, id).copied()
    }

    fn value<'a>(&self, metrics: &'a mut Metrics, id: u32) -> Result<&'a mut u64, u32> {
        let name = self.names.get(&id).ok_or(NOT_FOUND)?;
        metrics.values.get_mut(name).ok_or(NOT_FOUND)
    }
}
