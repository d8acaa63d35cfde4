//! What the harness's host has as properties, as facts of the native body.

use seawall_harness::process::Properties;
use seawall_native::StreamFacts;
use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};

pub(super) fn set_known(known: &mut StreamFacts, path: &str, value: Vec<u8>) {
    match path {
        "connection\0id" => drop(known.stream.insert(StreamFact::ConnectionId, value)),
        "source\0address" => drop(known.stream.insert(StreamFact::PeerAddress, value)),
        "upstream\0request_attempt_count" => {
            known.stream.insert(StreamFact::AttemptCount, value);
        }
        "xds\0cluster_name" => drop(known.route.insert(RouteFact::Cluster, value)),
        "xds\0route_name" => drop(known.route.insert(RouteFact::Route, value)),
        "xds\0virtual_host_name" => drop(known.route.insert(RouteFact::VirtualHost, value)),
        "xds\0filter_chain_name" => drop(known.route.insert(RouteFact::FilterChain, value)),
        "destination\0port" => drop(known.route.insert(RouteFact::ListenerPort, value)),
        "xds\0listener_direction" => drop(known.stream.insert(StreamFact::Direction, value)),
        "response\0flags" => drop(known.answer.insert(ResponseFact::Flags, value)),
        "response\0code_details" => drop(known.answer.insert(ResponseFact::Details, value)),
        "upstream\0address" => drop(known.answer.insert(ResponseFact::UpstreamAddress, value)),
        // The core asks for no other.
        _ => {}
    }
}

pub(super) fn known(properties: &Properties, wall: u64) -> StreamFacts {
    let mut known = StreamFacts::default();
    for (path, value) in properties {
        set_known(&mut known, path, value.clone());
    }
    known
        .route
        .insert(RouteFact::ArrivedAt, wall.to_le_bytes().to_vec());
    known
}
