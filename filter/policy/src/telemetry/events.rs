//! What is counted, and the series of each.

use crate::admission::Reason;
use crate::breaker::Phase;
use crate::environment::MetricFamily;
use crate::fallback::Cause;
use crate::outcome::{Ignored, Outcome};
use crate::retry::attempts::Denial;

use super::families;

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
    /// An operator forced it, or took that back.
    Forced(&'static str),
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
    /// Its family, and the values of the labels behind policy and upstream.
    pub(super) fn series(self) -> (&'static MetricFamily, [&'static str; 2]) {
        match self {
            Self::Admitted => (&families::DECISIONS, ["admitted", "none"]),
            Self::Refused(reason) => (&families::DECISIONS, ["refused", reason.name()]),
            Self::Marked(reason) => (&families::DECISIONS, ["shadow_refused", reason.name()]),
            Self::Outcome(outcome) => (&families::OUTCOMES, [outcome.name(), ""]),
            Self::Ignored(why) => (&families::IGNORED, [why.name(), ""]),
            Self::MarkedOutcome(outcome) => (&families::SHADOW_OUTCOMES, [outcome.name(), ""]),
            Self::Fallback(rung, cause) => (&families::FALLBACKS, [rung, cause.name()]),
            Self::Forced(action) => (&families::FORCED, [action, ""]),
            Self::HalfOpenStarved => (&families::HALF_OPEN_STARVED, ["", ""]),
            Self::Probe(true) => (&families::PROBES, ["good", ""]),
            Self::Probe(false) => (&families::PROBES, ["bad", ""]),
            Self::RetryGranted => (&families::RETRIES, ["granted", "none"]),
            Self::RetryDenied(denial) => (&families::RETRIES, ["denied", denial.name()]),
            Self::RetryMarked(denial) => (&families::RETRIES, ["shadow_denied", denial.name()]),
            Self::RetryRefunded => (&families::RETRIES, ["refunded", "none"]),
            Self::RetryCharged => (&families::RETRIES, ["charged", "per_request"]),
            Self::Transition(from, to) => (&families::TRANSITIONS, [from.name(), to.name()]),
        }
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
    /// What somebody asked who may read the state page was not done, and why.
    ForceRefused(&'static str),
    /// A call of the host failed.
    HostError(&'static str),
}

impl InternalEvent {
    /// Its family, and the value of its label.
    pub(super) fn series(self) -> (&'static MetricFamily, &'static str) {
        match self {
            Self::UndecidedHost => (&families::UNDECIDED, "host"),
            Self::UndecidedLater => (&families::UNDECIDED, "later_version"),
            Self::LostRaces => (&families::UNDECIDED, "lost_races"),
            Self::RecordReplaced => (&families::RECORDS_REPLACED, ""),
            Self::OverLimit => (&families::REQUESTS_OVER_LIMIT, ""),
            Self::UnknownPolicy => (&families::UNKNOWN_POLICY, ""),
            Self::SettlementDropped => (&families::SETTLEMENTS_DROPPED, ""),
            Self::Expired => (&families::INSTANCES_EXPIRED, ""),
            Self::ControlHeader => (&families::CONTROL_HEADERS_REMOVED, ""),
            Self::HedgeNotAllowed => (&families::HEDGES_NOT_ALLOWED, ""),
            Self::Crowded => (&families::SLOTS_UNCOUNTED, ""),
            Self::Misrouted => (&families::FAILOVERS_MISROUTED, ""),
            Self::Stale(result) => (&families::STALE, result),
            Self::ForceRefused(problem) => (&families::FORCE_REFUSED, problem),
            Self::HostError(call) => (&families::HOST_ERRORS, call),
        }
    }
}
