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
        let headers = headers::serialised(self.headers);
        let grpc_status = self.grpc_status.map_or(-1, i32::from);
        let sent =
            abi::send_local_response(self.status, self.details, self.body, &headers, grpc_status);
        errors::succeeded("send_local_response", sent)
    }
}
