//! The circuit breaker.

mod settings;

pub use settings::{HalfOpen, Mode, OpenTime, Settings, Thresholds};
