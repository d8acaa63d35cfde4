//! What is counted, and the name of each series.

use crate::admission::Reason;
use crate::breaker::Phase;
use crate::fallback::Cause;
use crate::outcome::{Ignored, Outcome};
use crate::retry::attempts::Denial;

/// Something that happened at one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A request went.
    Admitted,
    /// A request was refused.
    Refused(Reason),
    /// A request went that would have been refused if the breaker were enforced for it.
    Marked(Reason),
    /// What became of a request that went.
    Outcome(Outcome),
    /// Why an outcome says nothing.
    Ignored(Ignored),
    /// What became of a request that would have been refused: a success is a false refusal.
    MarkedOutcome(Outcome),
    /// A rung of the ladder stood in.
    Fallback(&'static str, Cause),
    /// The breaker changed its state.
    Transition(Phase, Phase),
    /// An own probe was answered, well or not.
    Probe(bool),
    /// Half-open, requests and no verdict for `half_open.wait`.
    HalfOpenStarved,
    /// A retry was paid for.
    RetryGranted,
    /// A retry that the policy would make was not.
    RetryDenied(Denial),
    /// A retry of the route's own that would not have been made.
    RetryMarked(Denial),
    /// A retry was paid for and never sent.
    RetryRefunded,
    /// Without the upstream position: a retry was charged after it was made.
    RetryCharged,
}

impl Event {
    /// Its name and its labels.
    pub(super) fn series(self, labels: &str) -> String {
        let (family, key, value) = match self {
            Self::Admitted => ("decisions", "decision=admitted..reason", "none"),
            Self::Refused(reason) => ("decisions", "decision=refused..reason", reason.name()),
            Self::Marked(reason) => (
                "decisions",
                "decision=shadow_refused..reason",
                reason.name(),
            ),
            Self::Outcome(outcome) => ("outcomes", "outcome", outcome.name()),
            Self::Ignored(why) => ("ignored", "reason", why.name()),
            Self::MarkedOutcome(outcome) => ("shadow_outcomes", "outcome", outcome.name()),
            Self::Fallback(rung, cause) => {
                let cause = cause.name();
                return format!("seawall_fallbacks..{labels}..rung={rung}..reason={cause}");
            }
            Self::HalfOpenStarved => return format!("seawall_half_open_starved..{labels}"),
            Self::Probe(true) => ("probes", "outcome", "good"),
            Self::Probe(false) => ("probes", "outcome", "bad"),
            Self::RetryGranted => ("retries", "decision=granted..reason", "none"),
            Self::RetryDenied(denial) => ("retries", "decision=denied..reason", denial.name()),
            Self::RetryMarked(denial) => {
                ("retries", "decision=shadow_denied..reason", denial.name())
            }
            Self::RetryRefunded => ("retries", "decision=refunded..reason", "none"),
            Self::RetryCharged => ("retries", "decision=charged..reason", "per_request"),
            Self::Transition(from, to) => {
                let (from, to) = (from.name(), to.name());
                return format!("seawall_transitions..{labels}..from={from}..to={to}");
            }
        };
        format!("seawall_{family}..{labels}..{key}={value}")
    }
}

/// Something about the filter itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InternalEvent {
    /// The state could not be read or written.
    UndecidedHost,
    /// The state is of a later version.
    UndecidedLater,
    /// Too many races were lost.
    LostRaces,
    /// A damaged record was replaced.
    RecordReplaced,
    /// A request to an upstream beyond the bound: it has no state.
    OverLimit,
    /// Route metadata names a policy that does not exist.
    UnknownPolicy,
    /// A settlement was given up.
    SettlementDropped,
    /// This VM was given up for dead.
    Expired,
    /// A client sent a header that is not its to send.
    ControlHeader,
    /// A hedge was not allowed for want of a place to wait.
    HedgeNotAllowed,
    /// More VMs hold slots of one upstream than can be counted.
    Crowded,
    /// A request that was to go to another cluster would not have: there is no route for it.
    Misrouted,
    /// What became of an answer that was to be kept for stale ones.
    Stale(&'static str),
    /// A call of the host failed.
    HostError(&'static str),
}

impl InternalEvent {
    pub(super) fn series(self) -> String {
        let name = match self {
            Self::UndecidedHost => "undecided..reason=host",
            Self::UndecidedLater => "undecided..reason=later_version",
            Self::LostRaces => "undecided..reason=lost_races",
            Self::RecordReplaced => "records_replaced",
            Self::OverLimit => "requests_over_limit",
            Self::UnknownPolicy => "unknown_policy",
            Self::SettlementDropped => "settlements_dropped",
            Self::Expired => "instances_expired",
            Self::ControlHeader => "control_headers_removed",
            Self::HedgeNotAllowed => "hedges_not_allowed",
            Self::Crowded => "slots_uncounted",
            Self::Misrouted => "failovers_misrouted",
            Self::Stale(result) => return format!("seawall_stale..outcome={result}"),
            Self::HostError(call) => return format!("seawall_host_errors..call={call}"),
        };
        format!("seawall_{name}")
    }
}
