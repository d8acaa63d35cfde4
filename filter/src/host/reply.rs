//! Answering in the upstream's place.

use seawall_policy::environment::effects::Reply;

use super::{abi, errors, headers};

/// Sends a local reply; `false` if the host refused, and then the request has to go on.
pub(crate) fn send(reply: &Reply) -> bool {
    let pairs = reply.headers.iter();
    let pairs: Vec<_> = pairs
        .map(|(key, value)| (key.as_ref(), value.as_ref()))
        .collect();
    let headers = headers::serialised(&pairs);
    let grpc_status = reply.grpc_status.map_or(-1, i32::from);
    let sent = abi::send_local_response(
        reply.status,
        &reply.details,
        &reply.body,
        &headers,
        grpc_status,
    );
    errors::succeeded("send_local_response", sent)
}
