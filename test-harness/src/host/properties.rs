//! What a filter can read of a request and its answer, beside headers.

use super::metadata;
use crate::process::{Properties, Surroundings};

fn path(parts: &[&str]) -> String {
    parts.join("\0")
}

/// What the listener, the route and the cluster tell a filter.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The route's name; `upstream` if empty.
    pub route: String,
    /// The route's metadata, as Envoy's configuration has it: `{"filter_metadata": {...}}`.
    pub route_metadata: serde_json::Value,
    /// The cluster's metadata, in the same form.
    pub cluster_metadata: serde_json::Value,
    /// Properties that win over all others, by their path, its parts separated by NUL.
    pub more: Properties,
}

impl Known {
    /// What is known when a request comes; what follows from its headers the process knows itself.
    pub(super) fn of_request(&self, number: usize) -> Properties {
        let route = match self.route.as_str() {
            "" => "upstream",
            name => name,
        };
        let surroundings = Surroundings {
            connection: number as u64,
            route: route.to_owned(),
            attempt: Some(0),
            ..Surroundings::default()
        };
        let mut all = surroundings.properties();
        all.insert(path(&["connection", "mtls"]), vec![0]);
        all.insert(path(&["request", "protocol"]), b"HTTP/1.1".to_vec());
        all.insert(
            path(&["upstream", "num_endpoints"]),
            1_u64.to_le_bytes().to_vec(),
        );
        let virtual_host = path(&["xds", "virtual_host_metadata"]);
        all.insert(virtual_host, Vec::new());
        for (name, value) in [
            ("route_metadata", &self.route_metadata),
            ("cluster_metadata", &self.cluster_metadata),
        ] {
            metadata::spread(&path(&["xds", name]), value, &mut all);
            all.insert(path(&["xds", name]), Vec::new());
        }
        all.extend(self.more.clone());
        all
    }

    /// What is known once there was a connection to the upstream.
    pub(super) fn of_upstream(&self) -> Properties {
        let surroundings = Surroundings {
            upstream: Some("127.0.0.1:30000".to_owned()),
            attempt: Some(1),
            ..Surroundings::default()
        };
        let mut all = surroundings.properties();
        all.retain(|path, _| path.starts_with("upstream\0"));
        let local = path(&["upstream", "local_address"]);
        all.insert(local, b"127.0.0.1:50000".to_vec());
        let reason = path(&["upstream", "transport_failure_reason"]);
        all.insert(reason, Vec::new());
        let ready = path(&["upstream", "cx_pool_ready_duration"]);
        all.insert(ready, 0_u64.to_le_bytes().to_vec());
        all.extend(self.more.clone());
        all
    }
}

/// What is known once there is an answer.
pub(super) fn of_answer(status: Option<u32>, flags: u64, details: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        (path(&["response", "flags"]), flags.to_le_bytes().to_vec()),
        (
            path(&["response", "code_details"]),
            details.as_bytes().to_vec(),
        ),
    ];
    let code = status.map(|status| u64::from(status).to_le_bytes().to_vec());
    all.extend(code.map(|code| (path(&["response", "code"]), code)));
    all
}

/// How long the upstream took, once the answer is over.
pub(super) fn latency(delay_ms: u64) -> (String, Vec<u8>) {
    let nanos = delay_ms.saturating_mul(1_000_000);
    (
        path(&["response", "backend_latency"]),
        nanos.to_le_bytes().to_vec(),
    )
}
