//! Metrics of the process, by name: each definition gives a new number for the same metric, as in Envoy.

use std::collections::BTreeMap;

use super::status::{BAD_ARGUMENT, NOT_FOUND};

/// All metrics of one process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    ids: Vec<(u32, String)>,
    values: BTreeMap<String, u64>,
}

impl Metrics {
    /// Defines one: 0 is a counter, 1 a gauge, 2 a histogram.
    ///
    /// # Errors
    /// Status "bad argument" for another kind.
    pub fn define(&mut self, kind: u32, name: String) -> Result<u32, u32> {
        if kind > 2 {
            return Err(BAD_ARGUMENT);
        }
        self.values.entry(name.clone()).or_default();
        self.ids.push((kind, name));
        Ok(u32::try_from(self.ids.len()).unwrap_or(u32::MAX))
    }

    /// Adds to a counter or a gauge; a counter only grows.
    ///
    /// # Errors
    /// Statuses "not found" and "bad argument".
    pub fn increment(&mut self, id: u32, offset: i64) -> Result<(), u32> {
        let (kind, value) = self.value(id)?;
        if kind == 2 || (kind == 0 && offset < 0) {
            return Err(BAD_ARGUMENT);
        }
        *value = value.saturating_add_signed(offset);
        Ok(())
    }

    /// Sets a gauge, or takes a value of a histogram.
    ///
    /// # Errors
    /// Statuses "not found" and "bad argument".
    pub fn record(&mut self, id: u32, value: u64) -> Result<(), u32> {
        let (kind, current) = self.value(id)?;
        if kind == 0 {
            return Err(BAD_ARGUMENT);
        }
        *current = value;
        Ok(())
    }

    /// A metric's value.
    ///
    /// # Errors
    /// Status "not found".
    pub fn get(&mut self, id: u32) -> Result<u64, u32> {
        self.value(id).map(|(_, value)| *value)
    }

    /// All values by name.
    pub fn values(&self) -> &BTreeMap<String, u64> {
        &self.values
    }

    fn value(&mut self, id: u32) -> Result<(u32, &mut u64), u32> {
        let index = (id as usize).checked_sub(1).ok_or(NOT_FOUND)?;
        let (kind, name) = self.ids.get(index).ok_or(NOT_FOUND)?;
        let value = self.values.get_mut(name).ok_or(NOT_FOUND)?;
        Ok((*kind, value))
    }
}
