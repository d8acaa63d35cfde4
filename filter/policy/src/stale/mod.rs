//! Stale answers: the last good answer to the same request, from bounded slots in shared data.

use crate::time::Span;

/// What may be kept and handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Never older than this.
    pub max_age: Span,
    /// Whether answers to requests with `Authorization` may be kept.
    pub authorized: bool,
    /// Whether answers to requests with cookies may be kept.
    pub cookies: bool,
}
