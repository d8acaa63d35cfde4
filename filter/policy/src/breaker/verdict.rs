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
    /// Whether the upstream has not answered at all so far. A slow call of which that is so is no end of a row of failures: it
    /// may become one of them ([`LastWord`]). For a failure after its headers: whether it stood still until a limit ended it, as all do.
    pub silent: bool,
}

impl Verdict {
    /// Whether the upstream answered the request, and well, however late.
    pub(super) fn is_answer(&self) -> bool {
        match self.outcome {
            Outcome::Success => true,
            Outcome::Slow => !self.silent,
            _ => false,
        }
    }
}

/// What became of a request after its verdict was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastWord {
    /// It failed.
    Failed {
        /// The host, 0 if unknown.
        host: HostId,
    },
    /// It stood still after its headers until a limit ended it, and no other response has ended meanwhile. So where its own good verdict has left the
    /// window, one that stands there is as hollow.
    Stalled {
        /// The host, 0 if unknown.
        host: HostId,
    },
    /// The upstream answers, after a silence that was counted.
    Answered,
    /// It is over without any answer, after a silence that was counted. No limit of an operator ended it.
    Unanswered,
}
