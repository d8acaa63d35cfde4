//! What is answered instead.

mod failover;
mod responses;
