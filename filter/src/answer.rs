//! The answers of our own: the first rung of the fallback ladder that can answer, or the plain refusal.

use seawall_policy::admission::Reason;
use seawall_policy::fallback::{Answer, Cause, Ladder, Static};
use seawall_policy::time::Span;

use crate::host::properties;
use crate::host::reply::Reply;

const NO_STORE: (&str, &str) = ("cache-control", "no-store");
const REASON: &str = "x-seawall-reason";
/// Unavailable: what a gRPC caller may try again.
const GRPC_UNAVAILABLE: u8 = 14;

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
    if let Some(Answer::Static(fixed)) = ladder.answer(Cause::Open, grpc) {
        let about = About {
            policy,
            decision: "degraded",
            reason: reason.name(),
        };
        return send_static(fixed, grpc, &details, about);
    }
    let seconds = retry_after.as_secs_ceil().max(1).to_string();
    let millis = retry_after.as_millis().max(1).to_string();
    let mut headers = vec![NO_STORE, (REASON, reason.name()), ("retry-after", &seconds)];
    let body = if grpc {
        headers.push(("grpc-retry-pushback-ms", &millis));
        format!("upstream unavailable: {}", reason.name())
    } else {
        headers.push(("content-type", "text/plain"));
        format!("upstream unavailable: {}\n", reason.name())
    };
    let reply = Reply {
        status: 503,
        details: &details,
        headers: &headers,
        body: body.as_bytes(),
        grpc_status: grpc.then_some(GRPC_UNAVAILABLE),
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
