//! The breaker against a plain model of its specification, and the table of its transitions.

mod model;
mod properties;
mod table;
