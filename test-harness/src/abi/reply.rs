//! A local reply's headers and body as Envoy completes them: plain, or gRPC's for a gRPC request.

use super::inline::{self, add, named};
use super::stream::{HeaderMap, LocalReply, RESPONSE_HEADERS, value};

/// Envoy's mapping of an HTTP status to gRPC's, for an answer that says none itself.
pub(crate) fn grpc_status(code: u64) -> u64 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Whether a request is gRPC, by its headers as they came.
pub(crate) fn is_grpc(request: &HeaderMap) -> bool {
    let kind = value(request, "content-type").unwrap_or_default();
    kind == "application/grpc" || kind.starts_with("application/grpc+")
}

/// The text of gRPC's message: what is no plain ASCII, and `%`, as percent and two digits.
fn percent_encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => out.push(*byte),
            _ => out.extend(format!("%{byte:02X}").into_bytes()),
        }
    }
    out
}

impl LocalReply {
    /// A reply of Envoy's own.
    pub(crate) fn own(status: u32, details: &str, body: &str) -> Self {
        Self {
            status,
            details: details.to_owned(),
            body: body.as_bytes().to_vec(),
            headers: HeaderMap::new(),
            grpc_status: -1,
        }
    }

    /// Its headers, and the body that goes with them: none for gRPC, which has all in its headers.
    pub fn completed(&self, is_grpc: bool) -> (HeaderMap, Vec<u8>) {
        let status = if is_grpc { 200 } else { self.status };
        let mut headers = vec![(b":status".to_vec(), status.to_string().into_bytes())];
        for (key, value) in &self.headers {
            let key = named(RESPONSE_HEADERS, key);
            if key != b":status" {
                add(RESPONSE_HEADERS, &mut headers, key, value.clone());
            }
        }
        if is_grpc {
            headers.retain(|(name, _)| name != b"content-length");
            inline::set(&mut headers, "content-type", b"application/grpc");
            let said = u64::try_from(self.grpc_status).ok();
            let code = match said {
                Some(known @ 0..=16) => known,
                Some(_) => 2,
                None => grpc_status(u64::from(self.status)),
            };
            inline::set(&mut headers, "grpc-status", code.to_string().as_bytes());
            if !self.body.is_empty() {
                inline::set(&mut headers, "grpc-message", &percent_encoded(&self.body));
            }
            return (headers, Vec::new());
        }
        if self.body.is_empty() {
            headers.retain(|(name, _)| name != b"content-length" && name != b"content-type");
            return (headers, Vec::new());
        }
        let size = self.body.len().to_string();
        inline::set(&mut headers, "content-length", size.as_bytes());
        if value(&headers, "content-type").is_none() {
            inline::set(&mut headers, "content-type", b"text/plain");
        }
        (headers, self.body.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::stream::headers;

    #[test]
    fn a_grpc_reply_has_all_in_its_headers() {
        for (said, expected) in [(-1, "7"), (0, "0"), (16, "16"), (17, "2")] {
            let reply = LocalReply {
                grpc_status: said,
                headers: headers(&[("X-A", "1"), ("Content-Type", "a"), ("content-length", "9")]),
                ..LocalReply::own(403, "", "100% \u{e4}")
            };
            let (map, body) = reply.completed(true);
            let whole = [
                (":status", "200"),
                ("x-a", "1"),
                ("content-type", "application/grpc"),
                ("grpc-status", expected),
                ("grpc-message", "100%25 %C3%A4"),
            ];
            assert_eq!((map, body), (headers(&whole), Vec::new()));
        }
    }
}
