//! How an attempt ends, and what Envoy answers when it was the last.

use crate::abi::stream::{HeaderMap, headers};

/// The bits of `response.flags`.
pub mod flag {
    /// The cluster had no host.
    pub const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    /// A time limit of Envoy's passed.
    pub const UPSTREAM_TIMEOUT: u64 = 0x4;
    /// Envoy reset a stream that stood.
    pub const LOCAL_RESET: u64 = 0x8;
    /// The upstream reset the stream.
    pub const UPSTREAM_RESET: u64 = 0x10;
    /// There was no connection.
    pub const UPSTREAM_FAILURE: u64 = 0x20;
    /// The connection was cut.
    pub const UPSTREAM_TERMINATION: u64 = 0x40;
    /// A limit of Envoy's own for this cluster.
    pub const UPSTREAM_OVERFLOW: u64 = 0x80;
    /// The client went away.
    pub const DOWNSTREAM_TERMINATION: u64 = 0x4000;
    /// What came from the upstream was no HTTP.
    pub const PROTOCOL_ERROR: u64 = 0x80_0000;
    /// A retry was due, and none was left.
    pub const RETRIES_EXHAUSTED: u64 = 0x8000;
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The upstream answered.
    Answer(u16),
    /// The connection was refused.
    Refused,
    /// The connection was cut.
    Reset,
    /// The upstream reset the stream alone.
    StreamReset,
    /// The upstream refused the stream: it did nothing for it.
    StreamRefused,
    /// What came was no HTTP.
    Garbage,
    /// The time limit of the request passed.
    TimedOut,
    /// The time limit of the attempt passed.
    AttemptTimedOut,
    /// Envoy answered by itself, with this status and these flags.
    Local(u16, u64),
}

/// The answer that Envoy gives downstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downstream {
    /// HTTP status.
    pub status: u16,
    /// `response.flags`.
    pub flags: u64,
    /// `response.code_details`.
    pub details: String,
    /// The headers, the status among them.
    pub headers: HeaderMap,
}

impl End {
    /// What Envoy makes of it, when it is the last one.
    pub fn downstream(self) -> Downstream {
        let (status, flags, details) = match self {
            Self::Answer(status) => (status, 0, "via_upstream"),
            Self::Refused => (
                503,
                flag::UPSTREAM_FAILURE,
                "upstream_reset_before_response_started{remote_connection_failure}",
            ),
            Self::Reset => (
                503,
                flag::UPSTREAM_TERMINATION,
                "upstream_reset_before_response_started{connection_termination}",
            ),
            Self::StreamReset => (
                503,
                flag::UPSTREAM_RESET,
                "upstream_reset_before_response_started{remote_reset}",
            ),
            Self::StreamRefused => (
                503,
                flag::UPSTREAM_RESET,
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
            ),
            Self::Garbage => (
                502,
                flag::PROTOCOL_ERROR,
                "upstream_reset_before_response_started{protocol_error}",
            ),
            Self::TimedOut => (504, flag::UPSTREAM_TIMEOUT, "response_timeout"),
            Self::AttemptTimedOut => (504, flag::UPSTREAM_TIMEOUT, "upstream_per_try_timeout"),
            Self::Local(status, flags) if flags & flag::NO_HEALTHY_UPSTREAM != 0 => {
                (status, flags, "no_healthy_upstream")
            }
            Self::Local(status, flags) => (status, flags, "local_reply"),
        };
        Downstream {
            status,
            flags,
            details: details.to_owned(),
            headers: headers(&[(":status", &status.to_string())]),
        }
    }
}
