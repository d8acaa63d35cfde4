//! The answers of our own: a rung of the fallback ladder, or the plain refusal.

use std::borrow::Cow;

use crate::admission::Reason;
use crate::fallback::{Cause, StaticResponse, Values};
use crate::policy::Policy;
use crate::retry::attempts::{AttemptFailure, Denial};
use crate::text;
use crate::time::Span;

use super::headers::RequestFacts;
use super::propagation::PropagatedContext;
use crate::attempt::state::NO_RETRY;
use crate::environment::Environment;
use crate::environment::effects::{Effects, Reply};
use crate::environment::facts::ResponsePhase;
use crate::environment::headers::HeaderMap;
use crate::worker::Worker;

/// What stands in for the upstream's answer.
pub(crate) const DEGRADED: &str = "x-seawall-degraded";
/// Unavailable: what a gRPC caller may try again.
const GRPC_UNAVAILABLE: u8 = 14;
/// The time was over.
const GRPC_DEADLINE_EXCEEDED: u8 = 4;
/// There is too much to do.
const GRPC_RESOURCE_EXHAUSTED: u8 = 8;

/// What the answer is about, as the access log shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFields<'a> {
    /// The policy's name.
    pub(crate) policy: &'a str,
    /// The decision.
    pub(crate) decision: &'static str,
    /// The reason.
    pub(crate) reason: &'static str,
}

impl LogFields<'_> {
    /// Tells the access log.
    pub(crate) fn set(&self, out: &mut Effects) {
        out.log_field("seawall.policy", self.policy.to_owned());
        out.log_field("seawall.decision", self.decision);
        out.log_field("seawall.reason", self.reason);
    }

    /// Tells the access log that this rung stood in.
    pub(crate) fn set_degraded(&self, rung: &'static str, out: &mut Effects) {
        self.set(out);
        out.log_field("seawall.degraded", rung);
    }
}

/// Why the upstream's answer is not what the client gets, and what an answer of our own says about it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LocalReplyCause {
    /// The request does not go.
    Refused {
        /// Why.
        reason: Reason,
        /// When it may be worth another try.
        retry_after: Span,
    },
    /// The upstream, or Envoy for it, failed.
    Failed,
}

impl LocalReplyCause {
    /// The cause that the ladder knows it by.
    pub(crate) const fn cause(self) -> Cause {
        match self {
            Self::Refused { reason, .. } => reason.cause(),
            Self::Failed => Cause::Failure,
        }
    }

    /// The reason's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refused { reason, .. } => reason.name(),
            Self::Failed => Cause::Failure.name(),
        }
    }

    /// What the access log shows as `%RESPONSE_CODE_DETAILS%`.
    pub(crate) fn details(self) -> String {
        match self {
            Self::Refused { reason, .. } => format!("seawall_{}", reason.name()),
            Self::Failed => "seawall_failure_replaced".to_owned(),
        }
    }

    fn retry_after(self) -> Span {
        let known = match self {
            Self::Refused { retry_after, .. } => retry_after,
            Self::Failed => Span::ZERO,
        };
        known.max(Span::secs(1))
    }
}

/// A reply that no cache keeps.
fn uncached(status: u16, details: impl Into<Cow<'static, str>>) -> Reply {
    let mut reply = Reply {
        status,
        details: details.into(),
        ..Reply::default()
    };
    reply.header("cache-control", "no-store");
    reply
}

/// The plain refusal: the last rung. If the host does not take it, the request has to go on.
pub(crate) fn refuse(
    policy: &Policy,
    grpc: bool,
    reason: Reason,
    retry_after: Span,
    out: &mut Effects,
) {
    let need = LocalReplyCause::Refused {
        reason,
        retry_after,
    };
    let why = policy.answer_headers.then(|| reason.name());
    let (status, grpc_status, what) = match reason.cause() {
        Cause::Deadline => (504, GRPC_DEADLINE_EXCEEDED, "too little time left"),
        Cause::Shed | Cause::Bulkhead => (503, GRPC_RESOURCE_EXHAUSTED, "too much to do"),
        Cause::Open | Cause::Failure => (503, GRPC_UNAVAILABLE, "upstream unavailable"),
    };
    let mut reply = uncached(status, need.details());
    if let Some(why) = why {
        reply.header(Reason::HEADER, why);
    }
    // Who has no time left is not told when to come again.
    if reason != Reason::Deadline {
        let after = need.retry_after();
        reply.header("retry-after", text::written(after.as_secs_ceil()));
        if grpc {
            reply.header("grpc-retry-pushback-ms", text::written(after.as_millis()));
        }
    }
    let mut body = what.to_owned();
    if let Some(why) = why {
        body.push_str(": ");
        body.push_str(why);
    }
    if !grpc {
        reply.header("content-type", "text/plain");
        body.push('\n');
    }
    reply.body = body.into_bytes();
    reply.grpc_status = grpc.then_some(grpc_status);
    let about = LogFields {
        policy: &policy.name,
        decision: "refused",
        reason: reason.name(),
    };
    about.set(out);
    out.reply(reply);
}

/// A fixed response.
pub(crate) fn static_response(
    policy: &Policy,
    fixed: &StaticResponse,
    grpc: bool,
    need: LocalReplyCause,
    out: &mut Effects,
) {
    let seconds = text::written(need.retry_after().as_secs_ceil());
    let values = Values {
        policy: &policy.name,
        reason: need.name(),
        retry_after: &seconds,
    };
    let mut reply = uncached(fixed.status, need.details());
    if policy.answer_headers {
        reply.header(DEGRADED, "static");
        reply.header(Reason::HEADER, need.name());
    }
    let body = match &fixed.grpc {
        Some(answer) if grpc => {
            reply.grpc_status = Some(answer.status);
            answer.message.fill(&values)
        }
        _ => {
            if let Some(kind) = &fixed.content_type {
                reply.header("content-type", kind.clone());
            }
            for (key, value) in &fixed.headers {
                let value = value.fill(&values).into_bytes();
                let key = key.clone().into_bytes();
                reply.headers.push((key.into(), value.into()));
            }
            fixed.body.fill(&values)
        }
    };
    reply.body = body.into_bytes();
    let about = LogFields {
        policy: &policy.name,
        decision: "degraded",
        reason: need.name(),
    };
    about.set_degraded("static", out);
    out.reply(reply);
}

/// Takes off a response what Seawalls behind this one say of themselves, all but the mark that is for a peer that is
/// trusted.
pub(crate) fn strip_own_headers<E: Environment>(
    worker: &Worker<E>,
    facts: &E::Response,
    arrival: &PropagatedContext,
    out: &mut Effects,
) {
    for (name, _) in facts.headers().iter() {
        let meant = name == NO_RETRY.as_bytes() && arrival.is_trusted(worker, facts);
        if RequestFacts::is_own(name) && !meant {
            out.remove_response_header(name.to_vec());
        }
    }
}

/// Ends a request that a client tried to send elsewhere itself.
pub(crate) fn no_failover_of_clients() -> Reply {
    let mut reply = uncached(400, "seawall_failover_header");
    reply.header("content-type", "text/plain");
    reply.body = b"x-seawall-failover is not a client's to send\n".to_vec();
    reply
}

/// Ends an attempt that was to go to another cluster and would not.
pub(crate) fn misrouted() -> Reply {
    let mut reply = uncached(503, "seawall_failover_misrouted");
    reply.header("content-type", "text/plain");
    reply.body = b"no route leads to the failover cluster\n".to_vec();
    reply.grpc_status = Some(GRPC_UNAVAILABLE);
    reply
}

/// Ends a request whose next attempt is not sent, with the response that Envoy gives for the failure before it.
pub(crate) fn retry_refused(death: AttemptFailure, denial: Denial) -> Reply {
    let body = match death {
        AttemptFailure::Timeout => "upstream request timeout",
        _ => "upstream connect error or disconnect/reset before headers",
    };
    let mut reply = Reply {
        status: death.status(),
        details: format!("seawall_retry_{}", denial.name()).into(),
        body: body.into(),
        grpc_status: Some(GRPC_UNAVAILABLE),
        ..Reply::default()
    };
    reply.header("content-type", "text/plain");
    reply
}

/// Puts the status that a gRPC caller expects in the place of Envoy's, which says "unavailable" when time is over.
pub(crate) fn deadline_exceeded(policy: &str, out: &mut Effects) {
    let about = LogFields {
        policy,
        decision: "deadline_exceeded",
        reason: Reason::Deadline.name(),
    };
    about.set(out);
    let mut reply = uncached(504, "seawall_deadline_exceeded");
    reply.body = b"deadline exceeded".to_vec();
    reply.grpc_status = Some(GRPC_DEADLINE_EXCEEDED);
    out.reply(reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::effects::Effect;
    use crate::outcome::blame::{OWN, OwnOutcome, own_reply};

    /// The code details of each reply that is made here.
    fn all_details() -> Vec<String> {
        let refusals = Reason::ALL.map(|reason| LocalReplyCause::Refused {
            reason,
            retry_after: Span::ZERO,
        });
        let causes = refusals.into_iter().chain([LocalReplyCause::Failed]);
        let mut all: Vec<String> = causes.map(LocalReplyCause::details).collect();
        let mut replies = vec![no_failover_of_clients(), misrouted()];
        for denial in [Denial::Budget, Denial::Breaker, Denial::Deadline] {
            replies.push(retry_refused(AttemptFailure::Reset, denial));
        }
        let mut out = Effects::default();
        deadline_exceeded("p", &mut out);
        replies.extend(out.take().into_iter().filter_map(|effect| match effect {
            Effect::Reply(reply) => Some(reply),
            _ => None,
        }));
        all.extend(replies.into_iter().map(|reply| reply.details.into_owned()));
        all
    }

    #[test]
    fn each_reply_has_its_row_in_the_table_of_blame() {
        let all = all_details();
        for details in &all {
            assert!(own_reply(details).is_some(), "{details} has no row");
        }
        for row in OWN {
            let mut made = all.iter().filter_map(|details| own_reply(details));
            let made = made.any(|found| found.details == row.details);
            // The state page is made in a file of its own.
            assert!(made || row.details == "seawall_page", "{}", row.details);
        }
    }

    #[test]
    fn what_is_refused_is_not_sent_and_counts_nothing() {
        for reason in Reason::ALL {
            let row = own_reply(&format!("seawall_{}", reason.name()));
            let outcome = row.map(|row| row.outcome);
            assert_eq!(outcome, Some(OwnOutcome::Unsent), "{}", reason.name());
        }
    }
}
