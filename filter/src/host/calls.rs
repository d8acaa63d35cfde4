//! Requests of our own to a cluster.

use seawall_policy::environment::HealthChecks;
use seawall_policy::environment::headers::decimal;
use seawall_policy::time::Span;

use super::headers::Map;
use super::{abi, headers};
use crate::body::Wasm;

impl HealthChecks for Wasm {
    /// A cluster without hosts is no fault of the host's, and not counted as one.
    fn get(&self, cluster: &str, authority: &str, path: &str, timeout: Span) -> Option<u32> {
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
}

/// The status of the response to such a request, while the host tells of it.
pub(crate) fn status() -> Option<u16> {
    let status = Map::CallResponse.value(":status")?;
    u16::try_from(decimal(&status)?).ok()
}
