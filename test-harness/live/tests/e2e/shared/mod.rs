//! What all workers of a process know together.

mod epoch;
mod restart;
