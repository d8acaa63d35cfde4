//! Answering in the upstream's place.

use super::{abi, errors, headers};

/// An answer of our own.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    /// HTTP status, 200 to 599: others go out as broken HTTP.
    pub(crate) status: u16,
    /// What the access log shows as `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: &'a str,
    /// Headers.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The body; for a gRPC caller the status message.
    pub(crate) body: &'a [u8],
    /// What a gRPC caller gets.
    pub(crate) grpc_status: Option<u8>,
}

impl Reply<'_> {
    /// Sends it; `false` if the host refused, and then the request has to go on.
    pub(crate) fn send(&self) -> bool {
        let pairs = self.headers.iter();
        let pairs: Vec<_> = pairs
            .map(|(key, value)| (key.as_bytes(), value.as_bytes()))
            .collect();
        let headers = headers::serialised(&pairs);
        let grpc_status = self.grpc_status.map_or(-1, i32::from);
        let sent =
            abi::send_local_response(self.status, self.details, self.body, &headers, grpc_status);
        errors::succeeded("send_local_response", sent)
    }
}

/// An answer that an upstream once gave: its headers are any bytes, and it is never one of gRPC.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    /// HTTP status.
    pub(crate) status: u16,
    /// What the access log shows as `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: &'a str,
    /// Headers.
    pub(crate) headers: &'a [(&'a [u8], &'a [u8])],
    /// The body.
    pub(crate) body: &'a [u8],
}

/// Sends it; `false` if the host refused.
pub(crate) fn send_plain(reply: &Plain<'_>) -> bool {
    const NO_GRPC: i32 = -1;
    let headers = headers::serialised(reply.headers);
    let sent = abi::send_local_response(reply.status, reply.details, reply.body, &headers, NO_GRPC);
    errors::succeeded("send_local_response", sent)
}
