//! Metrics: defined while a configuration is made, measured afterwards.
#![allow(unsafe_code, reason = "imports can be called in no other way")]

use super::raw::{self, BY_NAME};
use super::types::{Kind, ModuleBuffer};
use super::{Config, Filter};

fn labels(values: &[&str]) -> Vec<ModuleBuffer> {
    values
        .iter()
        .map(|value| ModuleBuffer::of(value.as_bytes()))
        .collect()
}

/// Defines a metric, while a configuration is made; its number in that configuration.
pub(crate) fn define(
    config: Config,
    kind: Kind,
    name: &str,
    label_names: &[&str],
) -> Option<usize> {
    let mut names = labels(label_names);
    let (name, mut id) = (ModuleBuffer::of(name.as_bytes()), 0);
    let define = match kind {
        Kind::Counter => raw::envoy_dynamic_module_callback_http_filter_config_define_counter,
        Kind::Gauge => raw::envoy_dynamic_module_callback_http_filter_config_define_gauge,
        Kind::Histogram => raw::envoy_dynamic_module_callback_http_filter_config_define_histogram,
    };
    // SAFETY: as the file says.
    let status = unsafe {
        define(
            config.0.as_ptr(),
            name,
            names.as_mut_ptr(),
            names.len(),
            &raw mut id,
        )
    };
    (status == 0).then_some(id)
}

/// Whether measurements need no stream.
pub(crate) fn measures_without_stream() -> bool {
    BY_NAME.increment_counter.is_some()
        && BY_NAME.set_gauge.is_some()
        && BY_NAME.record_value.is_some()
}

/// Adds to a counter, sets a gauge, or gives a histogram a value. On a thread of Envoy's only.
pub(crate) fn measure(config: Config, kind: Kind, id: usize, values: &[&str], value: u64) -> bool {
    let measure = match kind {
        Kind::Counter => BY_NAME.increment_counter,
        Kind::Gauge => BY_NAME.set_gauge,
        Kind::Histogram => BY_NAME.record_value,
    };
    let mut values = labels(values);
    // SAFETY: as the file says.
    measure.is_some_and(|measure| unsafe {
        measure(
            config.0.as_ptr(),
            id,
            values.as_mut_ptr(),
            values.len(),
            value,
        ) == 0
    })
}

/// The same by a stream of this thread.
pub(crate) fn measure_by(
    filter: Filter,
    kind: Kind,
    id: usize,
    values: &[&str],
    value: u64,
) -> bool {
    let measure = match kind {
        Kind::Counter => raw::envoy_dynamic_module_callback_http_filter_increment_counter,
        Kind::Gauge => raw::envoy_dynamic_module_callback_http_filter_set_gauge,
        Kind::Histogram => raw::envoy_dynamic_module_callback_http_filter_record_histogram_value,
    };
    let mut values = labels(values);
    // SAFETY: as the file says.
    unsafe {
        measure(
            filter.0.as_ptr(),
            id,
            values.as_mut_ptr(),
            values.len(),
            value,
        ) == 0
    }
}
