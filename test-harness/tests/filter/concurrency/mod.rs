//! How many requests are in flight.

mod dead_vm;
mod partitions;
mod slots;
mod unfinished;
mod with_shedding;
