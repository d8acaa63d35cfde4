//! What the host tells a root about itself.

use seawall_policy::environment::Timer;

use super::{abi, errors, properties};
use crate::body::Wasm;

/// The plugin's configuration as it stands in Envoy's.
pub(crate) fn configuration() -> Vec<u8> {
    const PLUGIN_CONFIGURATION: u32 = 7;
    let bytes = abi::buffer(PLUGIN_CONFIGURATION, usize::MAX);
    errors::found("get_buffer_bytes", bytes).unwrap_or_default()
}

/// The plugin's `root_id`.
pub(crate) fn root_id() -> Option<Vec<u8>> {
    properties::bytes("plugin_root_id")
}

impl Timer for Wasm {
    fn set_tick_period(&self, millis: u32) -> bool {
        errors::succeeded("set_tick_period_milliseconds", abi::set_tick_period(millis))
    }
}
