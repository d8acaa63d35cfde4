//! The answers of our own: a rung of the fallback ladder, or the plain refusal.

use seawall_policy::admission::Reason;
use seawall_policy::fallback::{Cause, StaticResponse, Values};
use seawall_policy::policy::Policy;
use seawall_policy::retry::attempts::{AttemptFailure, Denial};
use seawall_policy::text;
use seawall_policy::time::Span;

use crate::arrival::PropagatedContext;
use crate::attempt_state::NO_RETRY;
use crate::facts::RequestFacts;
use crate::host::headers::Map;
use crate::host::properties;
use crate::host::reply::Reply;
use crate::worker::Worker;

const NO_STORE: (&str, &str) = ("cache-control", "no-store");
/// Why an answer is not the upstream's.
pub(crate) const REASON: &str = "x-seawall-reason";
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
    pub(crate) decision: &'a str,
    /// The reason.
    pub(crate) reason: &'a str,
}

impl LogFields<'_> {
    /// Tells the access log.
    pub(crate) fn set_log_fields(&self) {
        properties::set("seawall.policy", self.policy);
        properties::set("seawall.decision", self.decision);
        properties::set("seawall.reason", self.reason);
    }

    /// Tells the access log that this rung stood in.
    pub(crate) fn log_degraded(&self, rung: &str) {
        self.set_log_fields();
        properties::set("seawall.degraded", rung);
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

/// The plain refusal: the last rung. `false` if the host did not take it, and then the request has to go on.
pub(crate) fn refuse(policy: &Policy, grpc: bool, reason: Reason, retry_after: Span) -> bool {
    let need = LocalReplyCause::Refused {
        reason,
        retry_after,
    };
    let seconds = text::written(need.retry_after().as_secs_ceil());
    let millis = text::written(need.retry_after().as_millis());
    let mut headers = vec![NO_STORE];
    let why = policy.answer_headers.then(|| reason.name());
    headers.extend(why.map(|why| (REASON, why)));
    let (status, grpc_status, what) = match reason.cause() {
        Cause::Deadline => (504, GRPC_DEADLINE_EXCEEDED, "too little time left"),
        Cause::Shed | Cause::Bulkhead => (503, GRPC_RESOURCE_EXHAUSTED, "too much to do"),
        Cause::Open | Cause::Failure => (503, GRPC_UNAVAILABLE, "upstream unavailable"),
    };
    // Who has no time left is not told when to come again.
    if reason != Reason::Deadline {
        headers.push(("retry-after", &seconds));
        headers.extend(grpc.then_some(("grpc-retry-pushback-ms", &*millis)));
    }
    let mut body = what.to_owned();
    if let Some(why) = why {
        body.push_str(": ");
        body.push_str(why);
    }
    if !grpc {
        headers.push(("content-type", "text/plain"));
        body.push('\n');
    }
    let reply = Reply {
        status,
        details: &need.details(),
        headers: &headers,
        body: body.as_bytes(),
        grpc_status: grpc.then_some(grpc_status),
    };
    let about = LogFields {
        policy: &policy.name,
        decision: "refused",
        reason: reason.name(),
    };
    about.set_log_fields();
    reply.send()
}

/// A fixed answer. `false` if the host did not take it.
pub(crate) fn static_response(
    policy: &Policy,
    fixed: &StaticResponse,
    grpc: bool,
    need: LocalReplyCause,
) -> bool {
    let seconds = text::written(need.retry_after().as_secs_ceil());
    let values = Values {
        policy: &policy.name,
        reason: need.name(),
        retry_after: &seconds,
    };
    let mut headers = vec![NO_STORE];
    if policy.answer_headers {
        headers.extend([(DEGRADED, "static"), (REASON, need.name())]);
    }
    let filled = fixed.headers.iter();
    let filled: Vec<_> = filled
        .map(|(key, value)| (key.as_str(), value.fill(&values)))
        .collect();
    let (grpc_status, body) = match &fixed.grpc {
        Some(answer) if grpc => (Some(answer.status), answer.message.fill(&values)),
        _ => {
            let kind = fixed.content_type.as_deref();
            headers.extend(kind.map(|kind| ("content-type", kind)));
            headers.extend(filled.iter().map(|(key, value)| (*key, value.as_str())));
            (None, fixed.body.fill(&values))
        }
    };
    let reply = Reply {
        status: fixed.status,
        details: &need.details(),
        headers: &headers,
        body: body.as_bytes(),
        grpc_status,
    };
    let about = LogFields {
        policy: &policy.name,
        decision: "degraded",
        reason: need.name(),
    };
    about.log_degraded("static");
    reply.send()
}

/// Takes off an answer what Seawalls behind this one say of themselves, all but the mark that is for a peer that is
/// trusted.
pub(crate) fn strip_own_headers(worker: &Worker, arrival: &PropagatedContext) {
    for (name, _) in Map::Response.pairs().iter() {
        let meant = name == NO_RETRY.as_bytes() && arrival.is_trusted(worker);
        if RequestFacts::is_own(name) && !meant {
            Map::Response.remove(name);
        }
    }
}

/// Ends a request that a client tried to send elsewhere itself.
pub(crate) fn no_failover_of_clients() -> bool {
    let reply = Reply {
        status: 400,
        details: "seawall_failover_header",
        headers: &[NO_STORE, ("content-type", "text/plain")],
        body: b"x-seawall-failover is not a client's to send\n",
        grpc_status: None,
    };
    reply.send()
}

/// Ends an attempt that was to go to another cluster and would not.
pub(crate) fn misrouted() -> bool {
    let reply = Reply {
        status: 503,
        details: "seawall_failover_misrouted",
        headers: &[NO_STORE, ("content-type", "text/plain")],
        body: b"no route leads to the failover cluster\n",
        grpc_status: Some(GRPC_UNAVAILABLE),
    };
    reply.send()
}

/// Ends a request whose next attempt is not sent, with the answer that Envoy gives for the failure before it.
pub(crate) fn retry_refused(death: AttemptFailure, denial: Denial) -> bool {
    let body = match death {
        AttemptFailure::Timeout => "upstream request timeout",
        _ => "upstream connect error or disconnect/reset before headers",
    };
    let reply = Reply {
        status: death.status(),
        details: &format!("seawall_retry_{}", denial.name()),
        headers: &[("content-type", "text/plain")],
        body: body.as_bytes(),
        grpc_status: Some(GRPC_UNAVAILABLE),
    };
    reply.send()
}

/// Puts the status that a gRPC caller expects in the place of Envoy's, which says "unavailable" when time is over.
pub(crate) fn deadline_exceeded(policy: &str) -> bool {
    let about = LogFields {
        policy,
        decision: "deadline_exceeded",
        reason: Reason::Deadline.name(),
    };
    about.set_log_fields();
    let reply = Reply {
        status: 504,
        details: "seawall_deadline_exceeded",
        headers: &[NO_STORE],
        body: b"deadline exceeded",
        grpc_status: Some(GRPC_DEADLINE_EXCEEDED),
    };
    reply.send()
}
