//! What all workers of a process know together.

mod restart;
