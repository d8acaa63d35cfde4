//! Both positions under a host that answers anything, with records that were damaged: nothing traps, traffic passes.

mod downstream;

use std::collections::BTreeMap;

use seawall_harness::abi::Fault;
use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};

use crate::shipped::calls;
use crate::support::{advance, process, properties, traps};

/// Everything that time and retries can be told.
const EVERYTHING: &str = r#"{"version":1,"trust":{"addresses":["10.0.0.0/8"]},"policies":{"default":{
    "breaker":{"minimum_calls":5,"open":{"for":"1s","up_to":"1s"}},
    "timeout":{"total":"2s","doomed_under":"5ms","propagate":["grpc-timeout","x-left"],"adaptive":{"minimum_samples":2}},
    "retries":{"attempts":3,"methods":"any","hedge":{"percentile":50}}}}}"#;
fn known(more: &[(&str, u64)]) -> BTreeMap<String, Vec<u8>> {
    let mut known = properties();
    known.insert("source\0address".to_owned(), b"10.0.0.9:1234".to_vec());
    for (path, number) in more {
        known.insert((*path).to_owned(), number.to_le_bytes().to_vec());
    }
    known
}

fn attempt(process: &Process, request: StreamId, number: u64) -> (StreamId, Flow) {
    let properties = known(&[("upstream\0request_attempt_count", number)]);
    let attempt = process.open_attempt(request, properties);
    let asked = headers(&[(":method", "POST"), (":path", "/")]);
    (attempt, process.request_headers(attempt, asked, true))
}

/// A request whose first attempt fails, whose hedge may wait, and whose third is reset.
fn ask(process: &Process, worker: usize, inbound: bool) {
    let direction = if inbound { 1 } else { 2 };
    let request = process.open(worker, known(&[("xds\0listener_direction", direction)]));
    let asked = headers(&[
        (":method", "POST"),
        (":path", "/"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", "900m"),
        ("x-left", "800"),
        ("x-request-id", "r"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("x-seawall-priority", "critical"),
        ("content-length", "nonsense"),
    ]);
    if process.request_headers(request, asked, true) == Flow::Continue {
        let (first, _) = attempt(process, request, 1);
        let (hedge, waits) = attempt(process, request, 2);
        let sick = headers(&[
            (":status", "503"),
            ("grpc-status", "14"),
            ("x-seawall-retry", "1"),
        ]);
        process.response_headers(first, sick.clone(), true);
        process.close(first);
        process.tick();
        if waits == Flow::Continue {
            let reset = 0x10_u64.to_le_bytes().to_vec();
            process.set_property(hedge, "response\0flags", reset);
        }
        process.close(hedge);
        let (third, _) = attempt(process, request, 3);
        process.close(third);
        process.response_headers(request, sick, true);
    }
    process.close(request);
}

/// A request that nothing speaks against: it passes.
fn plain(process: &Process) -> StreamId {
    let plain = process.open(0, known(&[("xds\0listener_direction", 2)]));
    let asked = headers(&[(":method", "GET"), (":path", "/"), ("x-request-id", "p")]);
    assert_eq!(process.request_headers(plain, asked, true), Flow::Continue);
    plain
}

#[test]
fn no_status_of_the_host_traps_either_position() {
    for call in calls() {
        for status in [1, 2, 4, 7, 8, 10, 12, u32::MAX] {
            for every in [1, 2, 3] {
                let process = process(2, EVERYTHING);
                process.common().faults.borrow_mut().push(Fault {
                    call,
                    status,
                    every,
                });
                for number in 0..8 {
                    ask(&process, number, number % 3 == 0);
                    advance(&process, 300);
                    process.tick();
                }
                let trapped = traps(&process);
                assert_eq!(trapped, Vec::<String>::new(), "{call} answers {status}");
            }
        }
    }
}

#[test]
fn damaged_shared_data_of_every_kind_traps_nothing_and_traffic_passes() {
    // Refusals would end what is looked at.
    let shadow = EVERYTHING.replace(r#""breaker":{"#, r#""breaker":{"mode":"shadow","#);
    let keys = || {
        let process = process(2, &shadow);
        for number in 0..6 {
            ask(&process, number, true);
            ask(&process, number, false);
            let good = plain(&process);
            process.response_headers(good, headers(&[(":status", "200")]), true);
            process.close(good);
            advance(&process, 300);
            process.tick();
        }
        let shared = process.common().shared.borrow();
        let keys: Vec<String> = shared.keys().map(str::to_owned).collect();
        keys
    };
    let keys = keys();
    for part in ["default/upstream", "/latency", "/across/"] {
        assert!(
            keys.iter().any(|key| key.contains(part)),
            "{part} in {keys:?}"
        );
    }
    for key in &keys {
        for length in (0..900).step_by(7) {
            let process = process(2, &shadow);
            let damaged: Vec<u8> = (0..length)
                .map(|byte: u32| ((byte * 151) >> 2) as u8)
                .collect();
            let written = process.common().shared.borrow_mut().swap(key, &damaged, 0);
            assert_eq!(written, Ok(()));
            process.close(plain(&process));
            ask(&process, 1, true);
            ask(&process, 0, false);
            process.tick();
            assert_eq!(traps(&process), Vec::<String>::new(), "{key}: {length}");
        }
    }
}
