//! The answers of our own: the first rung of the fallback ladder that can answer, or the plain refusal.

use seawall_policy::admission::Reason;
use seawall_policy::fallback::{Answer, Cause, Ladder, Static};
use seawall_policy::retry::attempts::{Death, Denial};
use seawall_policy::time::Span;

use crate::host::properties;
use crate::host::reply::Reply;

const NO_STORE: (&str, &str) = ("cache-control", "no-store");
const REASON: &str = "x-seawall-reason";
/// Unavailable: what a gRPC caller may try again.
const GRPC_UNAVAILABLE: u8 = 14;
/// The time was over.
const GRPC_DEADLINE_EXCEEDED: u8 = 4;

/// What the answer is about, as the access log shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// The policy's name.
    pub(crate) policy: &'a str,
    /// The decision.
    pub(crate) decision: &'a str,
    /// The reason.
    pub(crate) reason: &'a str,
}

impl About<'_> {
    /// Tells the access log.
    pub(crate) fn tell(&self) {
        properties::set("seawall.policy", self.policy);
        properties::set("seawall.decision", self.decision);
        properties::set("seawall.reason", self.reason);
    }
}

/// Whether an answer was sent, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The plain refusal.
    Refusal,
    /// A rung of the ladder.
    Fallback,
    /// None: the host refused, or no rung stands for it. The request or the answer goes on as it is.
    Nothing,
}

/// Answers a request that is not admitted.
pub(crate) fn refuse(
    policy: &str,
    ladder: &Ladder,
    grpc: bool,
    reason: Reason,
    retry_after: Span,
) -> Sent {
    let details = format!("seawall_{}", reason.name());
    if let Some(Answer::Static(fixed)) = ladder.answer(cause(reason), grpc) {
        let about = About {
            policy,
            decision: "degraded",
            reason: reason.name(),
        };
        return send_static(fixed, grpc, &details, about);
    }
    let seconds = retry_after.as_secs_ceil().max(1).to_string();
    let millis = retry_after.as_millis().max(1).to_string();
    let mut headers = vec![NO_STORE, (REASON, reason.name())];
    // Who has no time left is not told when to come again.
    let (status, grpc_status) = match reason {
        Reason::Deadline => (504, GRPC_DEADLINE_EXCEEDED),
        _ => {
            headers.push(("retry-after", &seconds));
            headers.extend(grpc.then_some(("grpc-retry-pushback-ms", &*millis)));
            (503, GRPC_UNAVAILABLE)
        }
    };
    let what = match reason {
        Reason::Deadline => "too little time left",
        _ => "upstream unavailable",
    };
    let body = if grpc {
        format!("{what}: {}", reason.name())
    } else {
        headers.push(("content-type", "text/plain"));
        format!("{what}: {}\n", reason.name())
    };
    let reply = Reply {
        status,
        details: &details,
        headers: &headers,
        body: body.as_bytes(),
        grpc_status: grpc.then_some(grpc_status),
    };
    let about = About {
        policy,
        decision: "refused",
        reason: reason.name(),
    };
    about.tell();
    if reply.send() {
        Sent::Refusal
    } else {
        Sent::Nothing
    }
}

/// Puts an answer of our own in the place of a failed one, if a rung stands for it.
pub(crate) fn replace(policy: &str, ladder: &Ladder, grpc: bool) -> Sent {
    match ladder.answer(Cause::Failure, grpc) {
        Some(Answer::Static(fixed)) => {
            let about = About {
                policy,
                decision: "degraded",
                reason: "failure",
            };
            send_static(fixed, grpc, "seawall_failure_replaced", about)
        }
        None => Sent::Nothing,
    }
}

/// Ends a request whose next attempt is not sent, with the answer that Envoy gives for the failure before it.
pub(crate) fn retry_refused(death: Death, denial: Denial) -> bool {
    let body = match death {
        Death::Timeout => "upstream request timeout",
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
    let about = About {
        policy,
        decision: "deadline_exceeded",
        reason: Reason::Deadline.name(),
    };
    about.tell();
    let reply = Reply {
        status: 504,
        details: "seawall_deadline_exceeded",
        headers: &[NO_STORE],
        body: b"deadline exceeded",
        grpc_status: Some(GRPC_DEADLINE_EXCEEDED),
    };
    reply.send()
}

/// The cause that the ladder knows a refusal by.
pub(crate) const fn cause(reason: Reason) -> Cause {
    match reason {
        Reason::Deadline => Cause::Deadline,
        Reason::BreakerOpen
        | Reason::BreakerHalfOpen
        | Reason::BreakerRamp
        | Reason::BreakerForcedOpen => Cause::Open,
    }
}

fn send_static(fixed: &Static, grpc: bool, details: &str, about: About<'_>) -> Sent {
    let mut headers = vec![
        NO_STORE,
        ("x-seawall-degraded", "static"),
        (REASON, about.reason),
    ];
    let mut reply = Reply {
        status: fixed.status,
        details,
        headers: &[],
        body: &fixed.body,
        grpc_status: None,
    };
    match &fixed.grpc {
        Some(answer) if grpc => {
            reply.grpc_status = Some(answer.status);
            reply.body = answer.message.as_bytes();
        }
        _ => {
            let kind = fixed.content_type.as_deref();
            headers.extend(kind.map(|kind| ("content-type", kind)));
            headers.extend(fixed.headers.iter().map(|(key, value)| (&**key, &**value)));
        }
    }
    reply.headers = &headers;
    about.tell();
    if reply.send() {
        Sent::Fallback
    } else {
        Sent::Nothing
    }
}
