//! The part of Envoy's router that the filter steers so far: the total time limit, and what becomes of a request.

use crate::abi::stream::{HeaderMap, headers, value};

/// The limit of a route that says nothing, in nanoseconds: 15 s, as in Envoy.
pub const ROUTE_TIMEOUT: u64 = 15_000_000_000;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The upstream answered.
    Answer(u16),
    /// The connection was refused.
    Refused,
    /// The connection was cut.
    Reset,
    /// The time limit passed.
    TimedOut,
}

/// The answer that Envoy gives downstream.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// HTTP status.
    pub status: u16,
    /// `response.flags`.
    pub flags: u64,
    /// `response.code_details`.
    pub details: &'static str,
}

impl End {
    /// What Envoy makes of it (statuses, flags and details as seen on Envoy 1.40).
    pub fn downstream(self) -> Downstream {
        let (status, flags, details) = match self {
            Self::Answer(status) => (status, 0, "via_upstream"),
            Self::Refused => (
                503,
                0x20,
                "upstream_reset_before_response_started{remote_connection_failure}",
            ),
            Self::Reset => (
                503,
                0x40,
                "upstream_reset_before_response_started{connection_termination}",
            ),
            Self::TimedOut => (504, 0x4, "response_timeout"),
        };
        Downstream {
            status,
            flags,
            details,
        }
    }
}

impl Downstream {
    /// The headers of the answer.
    pub fn headers(&self) -> HeaderMap {
        headers(&[(":status", &self.status.to_string())])
    }
}

/// The time limit of a request whose headers the filter has seen, in nanoseconds. No limit is none.
pub fn timeout(request: &HeaderMap) -> Option<u64> {
    match value(request, "x-envoy-upstream-rq-timeout-ms").and_then(|text| text.parse::<u64>().ok())
    {
        Some(0) => None,
        Some(millis) => Some(millis.saturating_mul(1_000_000)),
        None => Some(ROUTE_TIMEOUT),
    }
}
