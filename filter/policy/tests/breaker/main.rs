//! The breaker against a plain model of its specification, the table of its transitions, and its permits over workers.

mod model;
mod properties;
mod table;
mod workers;
