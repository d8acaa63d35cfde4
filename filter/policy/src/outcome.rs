//! What one answer says about the upstream: judged once per request, after Envoy's own retries.
//!
//! The order matters. A client that went away and an answer that no upstream gave say nothing about the upstream and
//! are ignored before anything else is looked at. 4xx is a success: who says "not found" is alive.

use crate::time::Span;

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
    /// Flags that say nothing about the upstream, whatever else is set.
    pub const SILENT: u64 =
        CLIENT_GONE | CLIENT_RESET | NO_HEALTHY_UPSTREAM | NO_CLUSTER | UPSTREAM_OVERFLOW;
}

/// Which answers are failures. The default is the one of the design: server errors that a dead or sick process gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// HTTP statuses that are failures.
    pub failure_status: Vec<u16>,
    /// gRPC statuses that are failures.
    pub failure_grpc: Vec<u16>,
    /// Response flags that are failures, OR-ed.
    pub failure_flags: u64,
    /// HTTP statuses that say "too much to do".
    pub overloaded_status: Vec<u16>,
    /// gRPC statuses that say "too much to do".
    pub overloaded_grpc: Vec<u16>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            failure_status: vec![500, 502, 503, 504],
            failure_grpc: vec![2, 4, 13, 14, 15],
            failure_flags: flag::FAILURES.iter().fold(0, |all, (_, bit)| all | bit),
            overloaded_status: vec![429],
            overloaded_grpc: vec![8],
        }
    }
}

/// Who gave the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
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

/// What is known of an answer at its headers.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// HTTP status; 0 if it could not be read.
    pub status: u16,
    /// `grpc-status`, where it came with the headers of a gRPC answer.
    pub grpc: Option<u16>,
    /// Who gave it.
    pub origin: Origin,
    /// From admission to response headers.
    pub latency: Span,
    /// Whether a Seawall before the upstream refused it for too much load. It needs no trust: whoever answers can say
    /// the same by 429.
    pub shed: bool,
}

/// What about the request changes the judgement of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lenience {
    /// Upgrades, CONNECT, event streams and long polls take their time.
    pub never_slow: bool,
    /// The client itself set a time limit below the policy's: that it passed says nothing about the upstream.
    pub impatient: bool,
}

impl Rules {
    /// The outcome of a request that got an answer; slow is a success later than `slow_over`.
    pub fn judge(&self, answer: &Answer, lenience: Lenience, slow_over: Span) -> Outcome {
        match answer.origin {
            Origin::Local { flags } => self.judge_flags(flags, lenience),
            Origin::Upstream | Origin::Unknown => self.judge_upstream(answer, lenience, slow_over),
        }
    }

    /// The outcome of a request whose stream ended without an answer, or broke after the headers.
    pub fn judge_flags(&self, flags: u64, lenience: Lenience) -> Outcome {
        let timed_out = flags & flag::UPSTREAM_TIMEOUT != 0;
        if flags & flag::SILENT != 0 || (timed_out && lenience.impatient) {
            return Outcome::Ignored;
        }
        if flags & self.failure_flags != 0 {
            return Outcome::Failure;
        }
        Outcome::Ignored
    }

    /// Whether a gRPC status is a failure: for a status that comes in the trailers.
    pub fn grpc_failed(&self, status: u16, lenience: Lenience) -> bool {
        const DEADLINE_EXCEEDED: u16 = 4;
        has(&self.failure_grpc, status) && !(status == DEADLINE_EXCEEDED && lenience.impatient)
    }

    /// Whether a gRPC status says "too much to do": for one that comes in the trailers.
    pub fn grpc_overloaded(&self, status: u16) -> bool {
        has(&self.overloaded_grpc, status)
    }

    /// Whether an answer with this status needs a closer look than its status: all others are successes of the
    /// upstream, or answers of other filters that do no harm when taken for one.
    pub fn is_suspect(&self, status: u16, grpc: Option<u16>) -> bool {
        const SERVER_ERROR: u16 = 500;
        status >= SERVER_ERROR
            || status == 0
            || has(&self.failure_status, status)
            || has(&self.overloaded_status, status)
            || grpc.is_some_and(|grpc| {
                has(&self.failure_grpc, grpc) || has(&self.overloaded_grpc, grpc)
            })
    }

    fn judge_upstream(&self, answer: &Answer, lenience: Lenience, slow_over: Span) -> Outcome {
        const GATEWAY_TIMEOUT: u16 = 504;
        if answer.shed {
            return Outcome::Overloaded;
        }
        if let Some(grpc) = answer.grpc {
            if has(&self.overloaded_grpc, grpc) {
                return Outcome::Overloaded;
            }
            if has(&self.failure_grpc, grpc) {
                let failed = self.grpc_failed(grpc, lenience);
                return if failed {
                    Outcome::Failure
                } else {
                    Outcome::Ignored
                };
            }
        }
        if has(&self.overloaded_status, answer.status) {
            return Outcome::Overloaded;
        }
        if answer.status == GATEWAY_TIMEOUT && lenience.impatient {
            return Outcome::Ignored;
        }
        if has(&self.failure_status, answer.status) {
            return Outcome::Failure;
        }
        if answer.latency > slow_over && !lenience.never_slow {
            return Outcome::Slow;
        }
        Outcome::Success
    }
}

/// Whether a list has it. There once: seven places ask, and each would be a loop of its own.
#[inline(never)]
fn has(list: &[u16], number: u16) -> bool {
    list.contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPATIENT: Lenience = Lenience {
        never_slow: false,
        impatient: true,
    };

    fn judge(status: u16, grpc: Option<u16>, origin: Origin) -> Outcome {
        let answer = Answer {
            status,
            grpc,
            origin,
            latency: Span::millis(5),
            shed: false,
        };
        Rules::default().judge(&answer, Lenience::default(), Span::secs(2))
    }

    #[test]
    fn what_the_upstream_answers_is_judged_by_status() {
        for (status, grpc, expected) in [
            (200, None, Outcome::Success),
            (404, None, Outcome::Success),
            (501, None, Outcome::Success),
            (500, None, Outcome::Failure),
            (503, None, Outcome::Failure),
            (429, None, Outcome::Overloaded),
            (200, Some(0), Outcome::Success),
            (200, Some(5), Outcome::Success),
            (200, Some(14), Outcome::Failure),
            (200, Some(8), Outcome::Overloaded),
            (0, None, Outcome::Success),
        ] {
            assert_eq!(
                judge(status, grpc, Origin::Upstream),
                expected,
                "{status} {grpc:?}"
            );
        }
    }

    #[test]
    fn what_envoy_answers_is_judged_by_its_flags() {
        for (flags, expected) in [
            (flag::UPSTREAM_TIMEOUT, Outcome::Failure),
            (flag::UPSTREAM_RESET, Outcome::Failure),
            (flag::UPSTREAM_CONNECT, Outcome::Failure),
            (flag::UPSTREAM_TERMINATION, Outcome::Failure),
            (flag::UPSTREAM_PROTOCOL, Outcome::Failure),
            (flag::UPSTREAM_CONNECT | 0x8000, Outcome::Failure),
            (flag::NO_HEALTHY_UPSTREAM, Outcome::Ignored),
            (flag::UPSTREAM_OVERFLOW, Outcome::Ignored),
            (flag::NO_CLUSTER, Outcome::Ignored),
            (flag::CLIENT_GONE, Outcome::Ignored),
            (flag::CLIENT_RESET, Outcome::Ignored),
            (flag::CLIENT_GONE | flag::UPSTREAM_RESET, Outcome::Ignored),
            (0, Outcome::Ignored),
            (u64::MAX, Outcome::Ignored),
        ] {
            assert_eq!(
                judge(503, None, Origin::Local { flags }),
                expected,
                "{flags:#x}"
            );
        }
    }

    #[test]
    fn slow_is_later_than_the_bound_and_never_a_failure_or_a_stream() {
        let late = |status, never_slow| {
            let answer = Answer {
                status,
                grpc: None,
                origin: Origin::Upstream,
                latency: Span::secs(2).plus(Span::nanos(1)),
                shed: false,
            };
            let lenience = Lenience {
                never_slow,
                impatient: false,
            };
            Rules::default().judge(&answer, lenience, Span::secs(2))
        };
        assert_eq!(late(200, false), Outcome::Slow);
        assert_eq!(late(200, true), Outcome::Success);
        assert_eq!(late(503, false), Outcome::Failure);
    }

    #[test]
    fn nobody_opens_the_breaker_by_being_impatient() {
        let rules = Rules::default();
        assert_eq!(
            rules.judge_flags(flag::UPSTREAM_TIMEOUT, IMPATIENT),
            Outcome::Ignored
        );
        assert_eq!(
            rules.judge_flags(flag::UPSTREAM_RESET, IMPATIENT),
            Outcome::Failure
        );
        assert!(!rules.grpc_failed(4, IMPATIENT));
        assert!(rules.grpc_failed(4, Lenience::default()));
        assert!(rules.grpc_failed(14, IMPATIENT));
    }
}
