//! Requests of our own to a cluster.

use seawall_policy::time::Span;

use super::{abi, headers};

/// Sends a GET; the number under which its answer comes. Nothing where the host does not send it: a cluster without hosts
/// is no fault of the host's, and not counted as one.
pub(crate) fn get(cluster: &str, authority: &str, path: &str, timeout: Span) -> Option<u32> {
    let asked = headers::serialised(&[
        (b":method", b"GET"),
        (b":path", path.as_bytes()),
        (b":authority", authority.as_bytes()),
        (b"user-agent", b"seawall-probe"),
    ]);
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    // Without a limit an answer might never come.
    abi::http_call(cluster, &asked, millis.max(1)).ok()
}
