//! What one request says about its upstream: judged once, after Envoy's own retries, and the last word counts.
//!
//! # Who is to blame
//!
//! **The breaker counts only what the upstream did, and silence is something it did.** A complete request without response
//! headers for `slow_call.over` or longer is a *slow call*, however it ended: by its client, by its caller's deadline, by
//! `timeout.adaptive`. It is a *failure* only if an operator's limit (of the policy or the route) ended it. What a client or a
//! caller ended sooner is no evidence. Tunnels, event streams and long polls are exempt. No single peer decides for all.
//!
//! One table says which side each fact blames: the upstream, the path to it, the client, Envoy, another filter, ourselves.
//!
//! * [`blame::ROWS`] has a row for each of Envoy's response flags. One column says what the flag means before the response's
//!   headers, another what it means after them.
//! * [`blame::DETAILS`] has what Envoy says by its code details alone.
//! * [`blame::OWN`] has our own local replies. None of them moves a breaker.
//!
//! The direction of the listener decides whether the breaker counts a request (`breaker.inbound`). It changes no verdict.
//!
//! [`end`] reads the table, and says what follows from whose limit passed and how far the request had come. [`exchange`] says
//! when a verdict is due. Where a fact fits two sides, others are asked: [`pool`] asks other requests whether one
//! waits for a connection because of the upstream; [`stall`] asks them whether a response stands still because of its
//! upstream or because of its reader; [`broken_stream`] asks other peers whether a stream broke for what its client sent.
//!
//! 4xx is a success: an upstream that says "not found" is alive.

pub mod blame;
pub mod broken_stream;
mod codes;
pub mod end;
pub mod exchange;
pub mod peer;
pub mod pool;
mod rules;
pub mod stall;

pub use codes::Codes;
use end::{Judgement, RequestTiming};
pub use rules::Rules;

/// What an answer means for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The upstream answered, in time.
    Success,
    /// The upstream answered, but later than the bound.
    Slow,
    /// The upstream failed.
    Failure,
    /// The upstream said that it has too much to do: no failure, no success.
    Overloaded,
    /// Nothing can be said about the upstream.
    Ignored,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [
        Self::Success,
        Self::Slow,
        Self::Failure,
        Self::Overloaded,
        Self::Ignored,
    ];

    /// The label in metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Slow => "slow",
            Self::Failure => "failure",
            Self::Overloaded => "overloaded",
            Self::Ignored => "ignored",
        }
    }

    /// Whether the breaker counts it.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Success | Self::Slow | Self::Failure)
    }
}

/// Why nothing can be said about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// The client left, or broke the protocol.
    ClientGone,
    /// A limit that the caller brought passed.
    CallerLimit,
    /// The response stood still after its headers, and other responses ended meanwhile or were not there to tell.
    StalledAfterHeaders,
    /// A tunnel ended, or a limit ended an event stream or a long poll.
    TunnelEnd,
    /// Envoy had no host, no cluster, no room, or no connection free.
    Envoy,
    /// Another filter answered.
    OtherFilter,
    /// Seawall itself ended it.
    Ours,
    /// The request was not complete.
    Unfinished,
    /// The request said that it was gRPC, and the response was not.
    NotGrpc,
    /// The stream broke before its response began, as streams of one peer alone did, while others were answered or could not
    /// tell yet.
    OnePeer,
}

impl Ignored {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ClientGone,
        Self::CallerLimit,
        Self::StalledAfterHeaders,
        Self::TunnelEnd,
        Self::Envoy,
        Self::OtherFilter,
        Self::Ours,
        Self::Unfinished,
        Self::NotGrpc,
        Self::OnePeer,
    ];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::CallerLimit => "caller_limit",
            Self::StalledAfterHeaders => "stalled_after_headers",
            Self::TunnelEnd => "tunnel_end",
            Self::Envoy => "envoy",
            Self::OtherFilter => "other_filter",
            Self::Ours => "ours",
            Self::Unfinished => "unfinished",
            Self::NotGrpc => "not_grpc",
            Self::OnePeer => "one_peer",
        }
    }
}

/// Envoy's response flags as its `response.flags` property gives them (Envoy 1.40, `StreamInfo::CoreResponseFlag`).
pub mod flag {
    /// No healthy upstream host.
    pub const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    /// Upstream request time-out.
    pub const UPSTREAM_TIMEOUT: u64 = 0x4;
    /// Remote reset.
    pub const UPSTREAM_RESET: u64 = 0x10;
    /// Upstream connection failure.
    pub const UPSTREAM_CONNECT: u64 = 0x20;
    /// Upstream connection termination.
    pub const UPSTREAM_TERMINATION: u64 = 0x40;
    /// Upstream overflow: a limit of Envoy's own.
    pub const UPSTREAM_OVERFLOW: u64 = 0x80;
    /// The client went away.
    pub const CLIENT_GONE: u64 = 0x4000;
    /// Upstream protocol error.
    pub const UPSTREAM_PROTOCOL: u64 = 0x80_0000;
    /// The cluster does not exist.
    pub const NO_CLUSTER: u64 = 0x100_0000;
    /// The client reset its HTTP/2 stream.
    pub const CLIENT_RESET: u64 = 0x1000_0000;

    /// Flags that say that the upstream failed, with the names Envoy logs them under.
    pub const FAILURES: [(&str, u64); 5] = [
        ("UT", UPSTREAM_TIMEOUT),
        ("UR", UPSTREAM_RESET),
        ("UF", UPSTREAM_CONNECT),
        ("UC", UPSTREAM_TERMINATION),
        ("UPE", UPSTREAM_PROTOCOL),
    ];
}

/// Who gave the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseSource {
    /// The upstream itself, so flags say nothing more (code details `via_upstream`).
    Upstream,
    /// Envoy or one of its filters, with these response flags.
    Local {
        /// `response.flags`.
        flags: u64,
    },
    /// The host did not say.
    Unknown,
}

/// What is known of a response at its headers.
#[derive(Clone, Copy, Debug)]
pub struct ResponseFacts {
    /// HTTP status; 0 if it could not be read.
    pub status: u16,
    /// `grpc-status`, where it came with the headers of a gRPC answer.
    pub grpc: Option<u16>,
    /// Whether it ended with its headers, is not gRPC, and answers a request that is.
    pub not_grpc: bool,
    /// Who gave it.
    pub origin: ResponseSource,
    /// Why a Seawall before the upstream refused it, if one did. It needs no trust: whoever answers can say the same by
    /// 429, or by an answer that is no failure.
    pub refused: Option<RefusedBehind>,
}

/// Why a Seawall before the upstream refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBehind {
    /// There is too much to do.
    Load,
    /// Too little of the request's time was left.
    Deadline,
}

impl Rules {
    /// The outcome of a request at the headers of its response.
    pub fn judge(&self, answer: &ResponseFacts, request: &RequestTiming) -> Judgement {
        match answer.origin {
            ResponseSource::Local { flags } => self.judge_end(flags, request),
            ResponseSource::Upstream | ResponseSource::Unknown => {
                let judged = self.judge_upstream(answer, request);
                // An upstream may well answer with an error where a client does not finish.
                let failed = self.verdict(judged.outcome) == Outcome::Failure;
                match failed && request.is_left_unfinished() {
                    true => Ignored::Unfinished.into(),
                    false => judged,
                }
            }
        }
    }

    /// The outcome of a gRPC status that comes in the trailers, where it is not a success.
    pub fn judge_trailers(&self, status: u16, request: &RequestTiming) -> Option<Judgement> {
        self.judge_grpc(status, request)
    }

    /// Whether an answer with this status needs a closer look than its status. All others are successes of the upstream,
    /// or of a filter such as a cache. 4xx are looked at too, and every gRPC status that is not `OK`: a client could otherwise hide
    /// a sick upstream behind successes that are in truth Envoy's own answers to broken requests, or another filter's refusals.
    pub fn is_suspect(&self, status: u16, grpc: Option<u16>) -> bool {
        const GRPC_OK: u16 = 0;
        const CLIENT_ERROR: u16 = 400;
        status >= CLIENT_ERROR
            || status == 0
            || self.failure_status(status)
            || self.overloaded_status(status)
            || grpc.is_some_and(|grpc| grpc != GRPC_OK)
    }

    fn judge_upstream(&self, answer: &ResponseFacts, request: &RequestTiming) -> Judgement {
        const GATEWAY_TIMEOUT: u16 = 504;
        match answer.refused {
            Some(RefusedBehind::Load) => return Outcome::Overloaded.into(),
            Some(RefusedBehind::Deadline) if request.limits.has_caller() => {
                return request.slow_or(Ignored::CallerLimit);
            }
            Some(RefusedBehind::Deadline) | None => {}
        }
        if let Some(judged) = answer.grpc.and_then(|grpc| self.judge_grpc(grpc, request)) {
            return judged;
        }
        if self.overloaded_status(answer.status) {
            return Outcome::Overloaded.into();
        }
        if answer.status == GATEWAY_TIMEOUT
            && let Some(why) = request.limit_passed_on()
        {
            return request.slow_or(why);
        }
        if self.failure_status(answer.status) {
            return Outcome::Failure.into();
        }
        if answer.not_grpc {
            return Ignored::NotGrpc.into();
        }
        request.success()
    }

    fn judge_grpc(&self, status: u16, request: &RequestTiming) -> Option<Judgement> {
        const DEADLINE_EXCEEDED: u16 = 4;
        if self.overloaded_grpc(status) {
            return Some(Outcome::Overloaded.into());
        }
        if !self.failure_grpc(status) {
            return None;
        }
        // Long before a limit that was passed on to it, it is a deadline of the upstream's own.
        let why = request.limit_passed_on();
        Some(match why.filter(|_| status == DEADLINE_EXCEEDED) {
            Some(why) => request.slow_or(why),
            None => Outcome::Failure.into(),
        })
    }
}

#[cfg(test)]
mod tests;
