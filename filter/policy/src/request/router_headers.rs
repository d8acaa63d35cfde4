//! What Envoy's router is told of a request: its time limits, which retries it may make, when it hedges.
//!
//! Each header that is written makes Envoy match the route again, so only what differs from silence is written.

use crate::deadline::{Form, Limit};
use crate::policy::Policy;
use crate::retry::attempts::Denial;
use crate::retry::{BODY_MAX, Condition, Delay, Mode, Settings};
use crate::text;
use crate::time::Span;

use super::headers::RequestFacts;
use crate::attempt::state::VOTE;
use crate::environment::effects::Effects;
use crate::environment::headers::HeaderMap;
use crate::worker::AdmissionOutput;
use crate::worker::upstreams::Position;

/// What a request may do about attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryAllowance {
    /// The most attempts, the first included.
    pub(crate) attempts: u8,
    /// Whether it is safe to repeat.
    pub(crate) safe: bool,
    /// When a second attempt may start beside the first.
    pub(crate) hedge: Option<Span>,
    /// How many places to wait are reserved for its hedges.
    pub(crate) places: u8,
    /// Whether the upstream position votes.
    pub(crate) votes: bool,
    /// Why there is no leave for a retry.
    pub(crate) denied: Option<Denial>,
}

impl RetryAllowance {
    /// The leave of a request that was admitted.
    pub(crate) fn of(
        retries: &Settings,
        facts: &RequestFacts,
        admitted: &AdmissionOutput,
        marked: bool,
    ) -> Self {
        let safe = (facts.idempotent || retries.any_method) && facts.length <= BODY_MAX;
        let votes = admitted.position != Position::Absent;
        // A vote asks the budget again, and knows deposits that were not told yet.
        let asked_again = admitted.position == Position::Present;
        let denied = admitted.retries.and_then(Result::err);
        let denied = denied.filter(|denial| *denial != Denial::Budget || !asked_again);
        let seen = admitted.position == Position::Present;
        let unsafe_coarse = !seen && !retries.allows_unseen(facts.idempotent, facts.grpc);
        let denied = denied.or(unsafe_coarse.then_some(Denial::UnsafeCoarse));
        let attempts = match denied.is_some() || marked {
            true => 1,
            // Without votes each request has leave for one retry, which is charged when it is over.
            false if !votes => retries.attempts.min(2),
            false => retries.attempts,
        };
        let hedge = match retries.hedge {
            Some(Delay::After(delay)) => Some(delay),
            Some(Delay::Percentile(_)) => admitted.hedge,
            None => None,
        };
        let waits = facts.open_ended || facts.long_poll;
        let hedges = safe && attempts > 1 && !waits && retries.mode == Mode::Enforce;
        Self {
            attempts,
            safe,
            hedge: hedge.filter(|_| hedges),
            places: 0,
            votes,
            denied,
        }
    }

    /// The same with places for all its hedges to wait in, should nobody pay for them. Where they cannot be reserved, it has no hedge:
    /// one that can neither be paid for nor wait would have to go unpaid, or to end the attempt beside it.
    pub(crate) fn with_parking(self, reserve: impl FnOnce(u8) -> bool) -> Self {
        let places = match self.hedge {
            Some(_) => self.attempts.saturating_sub(1),
            None => return self,
        };
        match reserve(places) {
            true => Self { places, ..self },
            false => Self {
                hedge: None,
                ..self
            },
        }
    }
}

/// Tells the router its time limits, and those behind it what is left; says whether a header does, which later attempts
/// must not carry on as it is.
pub(crate) fn time(
    policy: &Policy,
    limit: Limit,
    facts: &RequestFacts,
    hedge: Option<Span>,
    out: &mut Effects,
) -> bool {
    if let Some(per_try) = hedge.or(policy.time.per_try) {
        let millis = text::written(per_try.as_millis().max(1));
        out.set_request_header("x-envoy-upstream-rq-per-try-timeout-ms", millis);
    }
    let Limit::Within { total, .. } = limit else {
        return false;
    };
    let mut told = false;
    let millis = text::written(total.as_millis().max(1));
    out.set_request_header("x-envoy-upstream-rq-timeout-ms", millis);
    for form in &policy.time.propagate {
        let due = match form {
            Form::Grpc => facts.grpc,
            // The router says it itself; where it is told not to, a stale one must not stand.
            Form::Expected => facts.expected,
            Form::Header(_) => true,
        };
        if due {
            out.set_request_header(form.name().to_owned(), form.write(total));
        }
        told |= due;
    }
    told
}

/// Tells those behind a later attempt how much time is left by now.
pub(crate) fn time_left(policy: &Policy, left: Span, headers: &impl HeaderMap, out: &mut Effects) {
    for form in &policy.time.propagate {
        if let Some(value) = form.lessened(headers.iter(), left) {
            out.set_request_header(form.name().to_owned(), value);
        }
    }
}

/// Before its own application nothing is repeated: whoever called does that. A route's retries, which would be unpaid there, are taken
/// back.
pub(crate) fn outbound_retries<'a>(
    retries: Option<&'a Settings>,
    inbound: bool,
    out: &mut Effects,
) -> Option<&'a Settings> {
    let retries = retries?;
    if !inbound {
        return Some(retries);
    }
    if retries.by_route && retries.mode == Mode::Enforce {
        out.set_request_header("x-envoy-max-retries", "0");
    }
    None
}

/// Tells the router which retries it may make.
pub(crate) fn retries(retries: &Settings, leave: RetryAllowance, out: &mut Effects) {
    if retries.mode == Mode::Shadow {
        return;
    }
    // What is not safe to repeat would be repeated by the route after a reset.
    let repeats = leave.attempts > 1 && (leave.safe || !retries.by_route);
    if !repeats {
        out.set_request_header("x-envoy-max-retries", "0");
        return;
    }
    // With votes a request that may repeat at all may have all of its attempts.
    if retries.by_route && leave.votes {
        return;
    }
    let on = &retries.on;
    let mut words = Vec::new();
    if leave.safe && leave.votes {
        words.push("retriable-headers");
        out.set_request_header("x-envoy-retriable-header-names", VOTE);
    }
    if leave.safe && !leave.votes {
        let named = [
            (Condition::ServerError, "5xx"),
            (Condition::Gateway, "gateway-error"),
        ];
        words.extend(
            named
                .iter()
                .filter(|(kind, _)| on.has(*kind))
                .map(|(_, name)| *name),
        );
        if !on.statuses.is_empty() {
            words.push("retriable-status-codes");
            let mut list = String::new();
            for status in &on.statuses {
                let between = if list.is_empty() { "" } else { "," };
                list.push_str(&format!("{between}{status}"));
            }
            out.set_request_header("x-envoy-retriable-status-codes", list);
        }
        let grpc = Condition::GRPC_NAMES.iter();
        let mut named = Vec::new();
        for (name, status) in grpc {
            if on.grpc.contains(status) {
                named.push(*name);
            }
        }
        if !named.is_empty() {
            out.set_request_header("x-envoy-retry-grpc-on", text::join(&named, ","));
        }
    }
    // Envoy's "reset" is broken connections and limits of attempts in one.
    if leave.safe && (on.has(Condition::Reset) || on.has(Condition::Timeout)) {
        words.push("reset");
    }
    for (kind, name) in [
        (Condition::Connect, "connect-failure"),
        (Condition::RefusedStream, "refused-stream"),
    ] {
        words.extend(on.has(kind).then_some(name));
    }
    if !words.is_empty() {
        out.set_request_header("x-envoy-retry-on", text::join(&words, ","));
    }
    let most = text::written(u64::from(leave.attempts.saturating_sub(1)));
    out.set_request_header("x-envoy-max-retries", most);
    if leave.hedge.is_some() {
        out.set_request_header("x-envoy-hedge-on-per-try-timeout", "true");
    }
}
