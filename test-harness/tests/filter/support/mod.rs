//! Seawall's filter in this host: a process with it, requests, and what is seen of them.

pub(crate) mod authorities;
pub(crate) mod in_flight;

use std::collections::BTreeMap;

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, ProcessOptions, StreamId};

use crate::shipped::module;

pub(crate) const BREAKER: &str = r#"{"version":1,"policies":{"default":{"breaker":{
    "minimum_calls":5,"consecutive":0,"slow_call":{"rate":0},"ramp":"0s","hosts":{"grace":"0s"},
    "open":{"for":"1s","up_to":"1s","jitter":0},"half_open":{"permits":3,"wait":"20s"}}}}}"#;

pub(crate) fn process(workers: usize, configuration: &str) -> Process {
    let options = ProcessOptions {
        workers,
        configuration: configuration.as_bytes().to_vec(),
        seed: 7,
        ..ProcessOptions::default()
    };
    Process::start(module(), options, 1_000_000_000).expect("the filter starts")
}

pub(crate) fn properties() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        ("xds\0cluster_name".to_owned(), b"upstream".to_vec()),
        (
            "xds\0listener_direction".to_owned(),
            2_u64.to_le_bytes().to_vec(),
        ),
        ("upstream\0address".to_owned(), b"10.0.0.1:80".to_vec()),
    ])
}

/// Opens a request; `None` if the filter answered it.
pub(crate) fn ask(process: &Process, worker: usize) -> Option<StreamId> {
    let stream = process.open(worker, properties());
    let request = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "r")]);
    match process.request_headers(stream, request, true) {
        Flow::Continue => Some(stream),
        Flow::Pause | Flow::Reply(_) => {
            process.close(stream);
            None
        }
    }
}

/// Ends a request with an answer of the upstream.
pub(crate) fn end(process: &Process, stream: StreamId, status: &str) {
    process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
    process.response_headers(stream, headers(&[(":status", status)]), true);
    process.close(stream);
}

pub(crate) fn advance(process: &Process, millis: u64) {
    process.set_now(process.common().now.get() + millis * 1_000_000);
}

pub(crate) fn traps(process: &Process) -> Vec<String> {
    let lines = process.take_log().into_iter();
    lines
        .map(|line| line.text)
        .filter(|text| text.contains("trapped") || text.contains("panicked"))
        .collect()
}

pub(crate) fn trip(process: &Process) {
    for number in 0..5 {
        let stream = ask(process, number).expect("closed passes");
        end(process, stream, "503");
    }
    assert_eq!(ask(process, 0), None, "open refuses");
}
