//! What names a request in a run.

/// One try of what a user or a service wants; tries count from 1. Requests of the trace have their place in it as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) request: usize,
    pub(super) client_try: u32,
}
