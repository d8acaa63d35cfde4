//! What becomes of an attempt at the upstream: what a fault makes of it, or what the trace says of its request.
//!
//! The trace is one more source of faults. What it says failed fails on every attempt, since a log has one line for all of
//! them; what it says was answered is answered with that status.

use seawall_policy::outcome::blame::{Class, class_of};

use crate::fault::{Fault, Kind};
use crate::router::{End, flag};
use crate::trace::Request;

/// What an attempt takes until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A server, for as long as the work is.
    Server,
    /// As long as the work is, and no server.
    Time,
    /// Nothing: an error is quick.
    Nothing,
    /// It never ends.
    Forever,
}

/// How an attempt ends, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) end: End,
    pub(super) work: u64,
    pub(super) takes: Takes,
}

impl Fate {
    /// An answer without anything wrong.
    pub(super) fn well(work: u64) -> Self {
        Self {
            end: End::Answer(200),
            work,
            takes: Takes::Server,
        }
    }

    /// Whether an attempt that ends so was at the upstream: what Envoy or another filter answered by itself was not, unless
    /// Envoy reset a stream that stood.
    pub(super) fn reaches(&self) -> bool {
        !matches!(self.end, End::Local(_, flags) if flags & flag::LOCAL_RESET == 0)
    }

    /// What the trace says of a request: it fails if, and only if, the trace says so.
    pub(super) fn recorded(request: &Request, work: u64) -> Self {
        let flags = request.flag_bits();
        let status = request.status.unwrap_or(200);
        let answer = (End::Answer(status), Takes::Server);
        let failed = |end| (end, Takes::Time);
        let (end, takes) = match class_of(flags) {
            // Whoever left says nothing about the upstream.
            Some(Class::Client) => (End::Answer(200), Takes::Server),
            // Its status says that it did not fail, whatever broke later.
            Some(Class::Connect | Class::Limit | Class::Broken) if !request.failed() => answer,
            Some(Class::Connect) => failed(End::Refused),
            Some(Class::Limit) => failed(End::TimedOut),
            Some(Class::Broken) if flags & flag::UPSTREAM_TERMINATION != 0 => failed(End::Reset),
            Some(Class::Broken) => failed(End::StreamReset),
            Some(Class::Envoy | Class::OtherFilter) if request.status.is_some() => {
                failed(End::Local(status, flags))
            }
            Some(Class::Envoy | Class::OtherFilter) | None => answer,
        };
        Self { end, work, takes }
    }

    /// What a fault makes of it, for an attempt that drew so much, below the fault's share.
    pub(super) fn with(self, fault: &Fault, draw: f64) -> Self {
        let quick = |end| Self {
            end,
            takes: Takes::Nothing,
            ..self
        };
        match fault.kind {
            Kind::Errors => quick(End::Answer(503)),
            Kind::NotFound => quick(End::Answer(404)),
            Kind::Refuse | Kind::Crash => quick(End::Refused),
            Kind::Reset => quick(End::Reset),
            Kind::RefuseStream => quick(End::StreamRefused),
            Kind::ResetStream => quick(End::StreamReset),
            Kind::Latency => {
                let range = 2.0 * fault.jitter as f64 * draw / fault.share;
                let by = fault.by.saturating_sub(fault.jitter) + range as u64;
                Self {
                    work: self.work.saturating_add(by),
                    ..self
                }
            }
            Kind::Garbage => quick(End::Garbage),
            Kind::Blackhole | Kind::Partition => Self {
                end: End::Refused,
                work: fault.by,
                takes: Takes::Time,
            },
            // These are of hosts, of Envoys and of the bytes of connections.
            Kind::Slow | Kind::KillVm | Kind::CorruptState | Kind::Clock => self,
            Kind::Bandwidth | Kind::SlowClose | Kind::Slicer | Kind::LimitData => self,
            Kind::Hang => Self {
                end: End::TimedOut,
                takes: Takes::Forever,
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use seawall_policy::outcome::blame::ROWS;

    use super::*;

    #[test]
    fn a_request_ends_as_its_status_and_flags_say() {
        for (status, flags, end, takes) in [
            (None, None, End::Answer(200), Takes::Server),
            (Some(404), None, End::Answer(404), Takes::Server),
            (Some(503), None, End::Answer(503), Takes::Server),
            (Some(503), Some("UF,URX"), End::Refused, Takes::Time),
            (None, Some("UF"), End::Refused, Takes::Time),
            (Some(503), Some("UC"), End::Reset, Takes::Time),
            (Some(503), Some("UR"), End::StreamReset, Takes::Time),
            (Some(504), Some("UT"), End::TimedOut, Takes::Time),
            (Some(503), Some("UH"), End::Local(503, 0x2), Takes::Time),
            (Some(429), Some("RL"), End::Local(429, 0x800), Takes::Time),
            (Some(503), Some("URX"), End::Answer(503), Takes::Server),
            (None, Some("DC"), End::Answer(200), Takes::Server),
        ] {
            let request = Request {
                status,
                flags: flags.map(str::to_owned),
                ..Request::default()
            };
            let fate = Fate::recorded(&request, 7);
            assert_eq!((fate.end, fate.takes), (end, takes), "{status:?} {flags:?}");
            assert_eq!(fate.work, 7);
        }
    }

    #[test]
    fn what_fails_is_what_the_trace_says_failed_whatever_its_flags_and_status_are() {
        for row in ROWS {
            for status in [
                None,
                Some(200),
                Some(404),
                Some(408),
                Some(499),
                Some(500),
                Some(503),
            ] {
                let request = Request {
                    status,
                    flags: Some(row.name.to_owned()),
                    ..Request::default()
                };
                let answer = Fate::recorded(&request, 7).end.downstream();
                let fails = answer.status >= 500;
                assert_eq!(fails, request.failed(), "{status:?} {}", row.name);
            }
        }
    }

    #[test]
    fn what_envoy_or_another_filter_answered_never_reached_the_upstream() {
        for row in ROWS {
            let request = Request {
                status: Some(503),
                flags: Some(row.name.to_owned()),
                ..Request::default()
            };
            let kept =
                matches!(row.class, Some(Class::Envoy | Class::OtherFilter)) && row.name != "LR";
            let fate = Fate::recorded(&request, 7);
            assert_eq!(fate.reaches(), !kept, "{}", row.name);
        }
    }
}
