//! The conditions of a retry, as `x-envoy-retry-on` and `x-envoy-retry-grpc-on` name them.

use std::ops::BitOr;

use super::End;

/// A set of conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u32);

const NAMES: [(&str, RetryOn); 10] = [
    ("5xx", RetryOn::SERVER_ERROR),
    ("gateway-error", RetryOn::GATEWAY_ERROR),
    ("reset", RetryOn::RESET),
    ("connect-failure", RetryOn::CONNECT_FAILURE),
    ("refused-stream", RetryOn::REFUSED_STREAM),
    ("retriable-4xx", RetryOn::RETRIABLE_4XX),
    ("retriable-status-codes", RetryOn::RETRIABLE_CODES),
    ("retriable-headers", RetryOn::RETRIABLE_HEADERS),
    ("envoy-ratelimited", RetryOn::RATE_LIMITED),
    ("reset-before-request", RetryOn::RESET_BEFORE_REQUEST),
];

const GRPC_NAMES: [(&str, RetryOn); 5] = [
    ("cancelled", RetryOn::grpc(1)),
    ("deadline-exceeded", RetryOn::grpc(4)),
    ("resource-exhausted", RetryOn::grpc(8)),
    ("internal", RetryOn::grpc(13)),
    ("unavailable", RetryOn::grpc(14)),
];

impl RetryOn {
    /// No condition.
    pub const NONE: Self = Self(0);
    /// Any 5xx, or no answer at all.
    pub const SERVER_ERROR: Self = Self(1);
    /// 502, 503 and 504, or no answer at all.
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    /// No answer at all.
    pub const RESET: Self = Self(1 << 2);
    /// No connection.
    pub const CONNECT_FAILURE: Self = Self(1 << 3);
    /// The upstream refused the stream.
    pub const REFUSED_STREAM: Self = Self(1 << 4);
    /// 409.
    pub const RETRIABLE_4XX: Self = Self(1 << 5);
    /// A status that is listed.
    pub const RETRIABLE_CODES: Self = Self(1 << 6);
    /// An answer with a header that is listed.
    pub const RETRIABLE_HEADERS: Self = Self(1 << 7);
    /// An answer with `x-envoy-ratelimited`, which forbids its retry otherwise.
    pub const RATE_LIMITED: Self = Self(1 << 8);
    /// No answer to a request that was not sent.
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 9);

    /// A status of gRPC in the headers; statuses are below 17.
    pub const fn grpc(status: u32) -> Self {
        Self(1 << (12 + status))
    }

    /// Reads `x-envoy-retry-on`; what is unknown counts for nothing, as in Envoy.
    pub fn parse(text: &str) -> Self {
        named(text, &NAMES)
    }

    /// Reads `x-envoy-retry-grpc-on`; what is unknown counts for nothing, as in Envoy.
    pub fn parse_grpc(text: &str) -> Self {
        named(text, &GRPC_NAMES)
    }

    /// Whether one of these conditions is among them.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Whether an attempt that ended without an answer may be tried again.
    pub fn covers(self, end: End) -> bool {
        let any = Self::RESET | Self::SERVER_ERROR | Self::GATEWAY_ERROR;
        let also = match end {
            End::Refused => Self::CONNECT_FAILURE | Self::RESET_BEFORE_REQUEST,
            End::StreamRefused => Self::REFUSED_STREAM,
            End::Reset | End::StreamReset | End::Garbage | End::AttemptTimedOut => Self::NONE,
            End::TimedOut | End::Answer(_) | End::Local(..) => return false,
        };
        self.has(any | also)
    }
}

impl BitOr for RetryOn {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

fn named(text: &str, names: &[(&str, RetryOn)]) -> RetryOn {
    let known = |word: &str| names.iter().find(|(name, _)| *name == word.trim());
    text.split(',')
        .filter_map(known)
        .fold(RetryOn::NONE, |all, (_, one)| all | *one)
}
