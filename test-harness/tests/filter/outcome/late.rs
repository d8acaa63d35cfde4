//! How requests end: what they held is free afterwards, and what broke late is counted.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Process, StreamId};

use crate::support::{BREAKER, advance, ask, process, properties, traps, trip};

fn counted(process: &Process, name: &str) -> u64 {
    process.tick();
    let metrics = process.common().metrics.borrow();
    metrics.values().get(name).copied().unwrap_or_default()
}

fn outcomes(process: &Process, family: &str) -> [u64; 2] {
    ["success", "failure"].map(|outcome| {
        let labels = format!("policy=default..upstream=upstream..outcome={outcome}");
        counted(process, &format!("seawall_{family}..{labels}"))
    })
}

/// An answer's headers, with a body to come.
fn begin_answer(process: &Process, stream: StreamId) {
    process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
    process.response_headers(stream, headers(&[(":status", "200")]), false);
}

#[test]
fn a_request_that_is_logged_too_late_or_never_holds_nothing() {
    let policy = r#"{"version":1,"policies":{"default":{"bulkhead":{"max_concurrent":2}}}}"#;
    let process = process(2, policy);
    for round in 0..20 {
        let answered = ask(&process, 0).expect("there is a place");
        let unanswered = ask(&process, 1).expect("there is another");
        assert_eq!(ask(&process, round), None, "and no third");
        begin_answer(&process, answered);
        process.close_before_log(answered);
        process.close_before_log(unanswered);
    }
    let in_flight = "seawall_in_flight..policy=default..upstream=upstream";
    assert_eq!(counted(&process, in_flight), 0);
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_probe_that_is_logged_too_late_gives_its_permit_back() {
    let process = process(2, BREAKER);
    trip(&process);
    advance(&process, 1_000);
    for _ in 0..10 {
        let probes: Vec<_> = (0..6).filter_map(|worker| ask(&process, worker)).collect();
        assert_eq!(probes.len(), 3);
        for probe in probes {
            // The client's own end says nothing about the upstream.
            process.set_property(probe, "response\0flags", 0x4000_u64.to_le_bytes().to_vec());
            process.close_before_log(probe);
        }
    }
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_failed_response_with_a_body_is_one_failure_however_it_ends() {
    let policy = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"shadow"}}}}"#;
    for ending in ["body", "cut", "silent"] {
        let process = process(1, policy);
        let stream = ask(&process, 0).expect("it passes");
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        process.response_headers(stream, headers(&[(":status", "503")]), false);
        match ending {
            "body" => {
                process.response_body(stream, b"sick", true);
            }
            "cut" => {
                process.set_property(stream, "response\0flags", 0x10_u64.to_le_bytes().to_vec());
            }
            _ => advance(&process, 5_000),
        }
        process.close(stream);
        assert_eq!(outcomes(&process, "outcomes"), [0, 1], "{ending}");
    }
}

#[test]
fn what_breaks_after_its_headers_is_one_failure_whether_it_holds_a_permit_or_not() {
    let broken = |process: &Process, grpc: bool| {
        let stream = process.open(0, properties());
        let request = [
            (":method", "POST"),
            (":path", "/"),
            ("content-type", "application/grpc"),
        ];
        let request = headers(if grpc { &request } else { &request[..2] });
        process.request_headers(stream, request, true);
        begin_answer(process, stream);
        if grpc {
            process.response_trailers(stream, headers(&[("grpc-status", "14")]));
        } else {
            process.set_property(stream, "response\0flags", 0x10_u64.to_le_bytes().to_vec());
        }
        process.close(stream);
    };
    let full = r#""bulkhead":{"max_concurrent":1,"mode":"shadow"}"#;
    let off = r#""breaker":{"mode":"off"},"bulkhead":{"max_concurrent":9}"#;
    for (keys, family) in [
        (full, "shadow_outcomes"),
        (off, "outcomes"),
        ("", "outcomes"),
    ] {
        let process = process(
            1,
            &format!(r#"{{"version":1,"policies":{{"default":{{{keys}}}}}}}"#),
        );
        let held = ask(&process, 0).expect("it passes");
        broken(&process, false);
        broken(&process, true);
        assert_eq!(outcomes(&process, family), [0, 2], "{family} with {keys}");
        process.close(held);
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}
