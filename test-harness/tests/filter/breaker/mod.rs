//! The breaker: who is let in while it is half-open, and when it trips.

mod grace;
mod half_open;
mod interleaved;
mod permits;
