//! How much time a request and its attempts have.

mod attempt;
mod callers;
mod limits;
mod time_left;
