//! What makes a request gRPC.

/// Whether this content type is gRPC's: `application/grpc` by itself, with a format (`+proto`) or with parameters
/// (`;charset=utf-8`). `application/grpc-web` and whatever else begins alike is something else.
pub fn is_grpc(content_type: &[u8]) -> bool {
    match content_type.strip_prefix(b"application/grpc") {
        Some([]) => true,
        Some([next, ..]) => matches!(next, b'+' | b';' | b' ' | b'\t'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
