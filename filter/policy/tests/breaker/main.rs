//! The breaker against a plain model of its specification, the table of its transitions, and leases over VMs: its permits, and slots.

mod chance;
mod late;
mod leases;
mod lots;
mod model;
mod properties;
mod shared;
mod table;
