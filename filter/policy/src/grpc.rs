//! What makes a request gRPC, and which status a response has for gRPC clients.

use crate::text;

/// Whether this content type is gRPC's: `application/grpc` by itself, with a format (`+proto`) or with parameters
/// (`;charset=utf-8`). `application/grpc-web` and whatever else begins alike is something else.
pub fn is_grpc(content_type: &[u8]) -> bool {
    match content_type.strip_prefix(b"application/grpc") {
        Some([]) => true,
        Some([next, ..]) => matches!(next, b'+' | b';' | b' ' | b'\t'),
        None => false,
    }
}

/// The status that gRPC clients make of a response that has none that they can read.
pub const UNKNOWN: u16 = 2;
/// The highest status that gRPC knows.
const STATUS_MAX: u64 = 16;

/// The status of a gRPC request's response, once it has ended with the HTTP status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    /// The upstream's status, or [`UNKNOWN`] where it gave none that can be read.
    Code(u16),
    /// The response is not gRPC. Any client can mark any request as gRPC, so that this says nothing about the upstream.
    NotGrpc,
}

impl ResponseStatus {
    /// Reads it from `grpc-status`, and from the content type where that is missing.
    pub fn of(status: Option<&[u8]>, content_type: impl FnOnce() -> Option<Vec<u8>>) -> Self {
        let Some(status) = status else {
            let grpc = content_type().is_some_and(|content_type| is_grpc(&content_type));
            return match grpc {
                true => Self::Code(UNKNOWN),
                false => Self::NotGrpc,
            };
        };
        let known = text::number(text::trimmed(status)).filter(|status| *status <= STATUS_MAX);
        Self::Code(known.map_or(UNKNOWN, |status| status as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_grpc_clients_cannot_read_is_unknown_and_what_is_not_grpc_says_nothing() {
        use ResponseStatus::{Code, NotGrpc};
        for (status, content_type, expected) in [
            (Some("0"), "application/grpc", Code(0)),
            (Some("14"), "application/grpc", Code(14)),
            (Some(" 014 "), "application/grpc", Code(14)),
            (Some("16"), "", Code(16)),
            (Some("17"), "application/grpc", Code(2)),
            (Some("99"), "application/grpc", Code(2)),
            (Some("14abc"), "application/grpc", Code(2)),
            (Some("-1"), "application/grpc", Code(2)),
            (Some(""), "application/grpc+proto", Code(2)),
            (Some("18446744073709551616"), "text/html", Code(2)),
            (None, "application/grpc", Code(2)),
            (None, "application/grpc+proto", Code(2)),
            (None, "text/html", NotGrpc),
            (None, "application/json", NotGrpc),
            (None, "application/grpc-web", NotGrpc),
            (None, "", NotGrpc),
        ] {
            let read = ResponseStatus::of(status.map(str::as_bytes), || Some(content_type.into()));
            assert_eq!(read, expected, "{status:?} {content_type}");
        }
        assert_eq!(ResponseStatus::of(None, || None), NotGrpc);
    }

    #[test]
    fn these_content_types_are_grpc() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc+json", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc ; charset=utf-8", true),
            ("application/grpc+proto;charset=utf-8", true),
            ("application/grpcx", false),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpc-web-text", false),
            ("application/grpc.proto", false),
            ("application/grp", false),
            ("application/json", false),
            ("text/application/grpc", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
