//! The breaker against a plain model of its specification, the table of its transitions, and its permits over workers.

mod chance;
mod late;
mod model;
mod properties;
mod shared;
mod table;
mod workers;
