//! How many requests are in flight.

mod partitions;
mod slots;
mod unfinished;
mod with_shedding;
