//! What Envoy shows the filter of a request: its headers, and what can be read as properties.

use std::collections::BTreeMap;

use seawall_policy::priority::{Priority, Settings};

use super::Filter;
use super::state::InFlight;
use crate::abi::stream::{HeaderMap, headers};
use crate::process::{Properties, StreamId};
use crate::router::{Downstream, Machine};
use crate::trace::Request;

/// What the filter can read of an answer before its headers come.
pub(super) fn tell(process: &dyn Filter, stream: StreamId, of: &InFlight, answer: &Downstream) {
    let set = |path: &'static str, value: &[u8]| process.set_property(stream, path, value.to_vec());
    set("response\0flags", &answer.flags.to_le_bytes());
    set("response\0code_details", answer.details.as_bytes());
    let attempts = of.machine.as_ref().map_or(0, Machine::attempts);
    upstream_properties(attempts, (of.service, of.host))
        .iter()
        .for_each(|(path, value)| set(path, value));
}

/// The headers of a request as its client sends them.
pub(super) fn request(number: usize, request: &Request) -> HeaderMap {
    let id = id(number);
    let mut shown = vec![
        (":method", request.method.as_deref().unwrap_or("GET")),
        (":scheme", "http"),
        (":authority", "upstream"),
        (":path", request.path.as_str()),
        ("x-request-id", id.as_str()),
    ];
    let priority = request.priority.map(Priority::name);
    shown.extend(priority.map(|name| (Settings::HEADER, name)));
    headers(&shown)
}

/// The id of a request.
pub(super) fn id(number: usize) -> String {
    format!("{number:08x}")
}

/// What the downstream position can read from the start.
pub(super) fn properties(cluster: &str, address: String) -> Properties {
    const OUTBOUND: u64 = 2;
    BTreeMap::from([
        ("xds\0cluster_name".to_owned(), cluster.into()),
        ("xds\0route_name".to_owned(), b"default".to_vec()),
        ("source\0address".to_owned(), address.into()),
        (
            "xds\0listener_direction".to_owned(),
            OUTBOUND.to_le_bytes().to_vec(),
        ),
        // Before the router Envoy's count is there, and reads 0.
        (
            "upstream\0request_attempt_count".to_owned(),
            0_u64.to_le_bytes().to_vec(),
        ),
    ])
}

/// What is known of the upstream when so many attempts have been made, the last one at this host of this service.
pub(super) fn upstream_properties(
    attempts: u32,
    (service, host): (usize, usize),
) -> [(&'static str, Vec<u8>); 3] {
    let port: u64 = 80;
    let address = format!("10.0.{service}.{}:{port}", host + 1);
    [
        ("upstream\0address", address.into()),
        ("upstream\0port", port.to_le_bytes().to_vec()),
        (
            "upstream\0request_attempt_count",
            u64::from(attempts).to_le_bytes().to_vec(),
        ),
    ]
}
