//! What the host is told after a callback.

/// What the host does with a request or an answer after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It goes on.
    Continue = 0,
    /// It stays: an answer of our own was sent, or it waits.
    Pause = 1,
}
