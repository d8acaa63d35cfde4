//! What an operator writes of the active health check.

use crate::time::Span;

/// What an open upstream is asked, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path of a GET request.
    pub path: String,
    /// Its authority; without it the one that the state is for, or the cluster's name.
    pub host: Option<String>,
    /// The time from one probe to the next, rounded up to the tick (0.4 s); over all workers together.
    pub every: Span,
    /// What takes longer is a bad answer. The next probe waits for it.
    pub timeout: Span,
}
