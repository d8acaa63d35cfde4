//! What one request said about its upstream.

use super::HostId;
use crate::outcome::Outcome;
use crate::time::Span;

/// What became of an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The judgement.
    pub outcome: Outcome,
    /// The host that answered, 0 if unknown.
    pub host: HostId,
    /// What the answer said about when to come again.
    pub retry_after: Option<Span>,
    /// Who asked, as in [`super::Asker`]: remembered where it held a permit and this is no verdict.
    pub peer: u32,
}
