//! The state that all workers of the process share. It outlives configurations, and the module is never unloaded.

use std::sync::LazyLock;

use seawall_policy::shared::values::ValueState;

/// The state.
pub(crate) static STATE: LazyLock<ValueState> = LazyLock::new(ValueState::default);
