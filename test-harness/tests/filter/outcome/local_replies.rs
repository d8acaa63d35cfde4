//! What the filter makes of answers that Envoy gives in the upstream's place.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

use crate::support::{advance, process, properties};

const POLICY: &str = r#"{"version":1,"policies":{"default":{
    "timeout":{"total":"1s"},"breaker":{"consecutive":3,"open":{"for":"60s","up_to":"60s"},"hosts":{"grace":"0s"}},
    "fallback":[{"on":["failure"],"static":{"body":"[]","grpc":{"status":0}}}]}}}"#;

/// One request with these headers that Envoy answers itself after this time, with these flags. `None` if it was refused, else whether
/// another answer took the place of Envoy's.
fn ask(process: &Process, more: &[(&str, &str)], flags: u64, millis: u64) -> Option<bool> {
    let stream = process.open(0, properties());
    let request = [&[(":method", "POST"), (":path", "/")], more].concat();
    let went = process.request_headers(stream, headers(&request), true) == Flow::Continue;
    let replaced = went.then(|| {
        advance(process, millis);
        process.set_property(stream, "response\0flags", flags.to_le_bytes().to_vec());
        process.set_property(
            stream,
            "response\0code_details",
            b"response_timeout".to_vec(),
        );
        let answer = process.response_headers(stream, headers(&[(":status", "504")]), true);
        matches!(answer, Flow::Reply(_))
    });
    process.close(stream);
    replaced
}

#[test]
fn a_clients_own_impatience_opens_nothing() {
    const TIMED_OUT: u64 = 0x4;
    let grpc = ("content-type", "application/grpc");
    for (limit, millis, opens) in [
        ("5m", 5, false),
        ("999m", 999, false),
        ("2S", 1_000, true),
        ("1H", 1_000, true),
    ] {
        let process = process(1, POLICY);
        let answers: Vec<_> = (0..10)
            .map(|_| {
                ask(
                    &process,
                    &[grpc, ("grpc-timeout", limit)],
                    TIMED_OUT,
                    millis,
                )
            })
            .collect();
        assert_eq!(answers.contains(&None), opens, "grpc-timeout: {limit}");
    }
    let process = process(1, POLICY);
    assert!(
        (0..10).any(|_| ask(&process, &[], TIMED_OUT, 1_000).is_none()),
        "without a limit of its own"
    );
}

#[test]
fn nobody_there_is_no_failure_but_the_ladder_answers() {
    for flags in [0x2, 0x80, 0x100_0000] {
        let process = process(1, POLICY);
        for _ in 0..10 {
            assert_eq!(ask(&process, &[], flags, 5), Some(true), "{flags:#x}");
        }
    }
}

#[test]
fn another_filters_answer_and_a_client_that_went_are_left_alone() {
    for flags in [0, 0x4000, 0x1000_0000] {
        let process = process(1, POLICY);
        for _ in 0..10 {
            assert_eq!(ask(&process, &[], flags, 5), Some(false), "{flags:#x}");
        }
    }
}
