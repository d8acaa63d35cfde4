//! Seawall's own health probe: while a breaker is open, one worker asks the upstream from time to time.

use crate::time::Span;

/// What is asked, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The path, with its leading slash.
    pub path: String,
    /// The authority; the cluster's name where there is none.
    pub host: Option<String>,
    /// The time between two probes.
    pub every: Span,
    /// How long an answer may take.
    pub timeout: Span,
}
