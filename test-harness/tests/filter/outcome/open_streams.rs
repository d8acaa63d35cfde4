//! Streams that stay open: tunnels, event streams, gRPC.

use std::collections::BTreeMap;

use seawall_harness::abi::stream::headers;
use seawall_harness::process::Flow;

use crate::support::{advance, process, properties};

#[test]
fn open_streams_that_take_their_time_are_no_failures_and_get_no_total() {
    let policy = r#"{"version":1,"policies":{"default":{"timeout":{"total":"1s"},"breaker":{"minimum_calls":5}}}}"#;
    let process = process(2, policy);
    let mut open = Vec::new();
    for (number, header) in [
        ("upgrade", "websocket"),
        ("accept", "text/event-stream"),
        ("content-type", "application/grpc"),
    ]
    .iter()
    .cycle()
    .take(60)
    .enumerate()
    {
        let stream = process.open(number, properties());
        let request = headers(&[(":method", "GET"), (":path", "/"), *header]);
        assert_eq!(
            process.request_headers(stream, request, false),
            Flow::Continue
        );
        let limited = process
            .header_map(stream, 0)
            .iter()
            .any(|(name, _)| name.starts_with(b"x-envoy"));
        assert!(!limited, "{header:?}");
        open.push((stream, header.0));
    }
    advance(&process, 10_000);
    for (stream, kind) in &open {
        if *kind != "content-type" {
            process.response_headers(*stream, headers(&[(":status", "200")]), false);
        }
    }
    advance(&process, 60_000);
    for (stream, _) in open {
        process.set_property(stream, "response\0flags", 0x4000_u64.to_le_bytes().to_vec());
        process.close(stream);
    }
    process.tick();
    let metrics: BTreeMap<_, _> = process.common().metrics.borrow().values().clone();
    let sum = |name: &str| -> u64 {
        metrics
            .iter()
            .filter(|(key, _)| key.contains(name))
            .map(|(_, value)| value)
            .sum()
    };
    assert_eq!(
        (sum("outcome=success"), sum("outcome=ignored")),
        (40, 20),
        "{metrics:#?}"
    );
    assert_eq!(
        (sum("seawall_transitions"), sum("decision=refused")),
        (0, 0)
    );
}
