//! Seawall's filter in this host.

use std::collections::BTreeMap;

use seawall_harness::abi::Fault;
use seawall_harness::abi::stream::{HeaderMap, headers};
use seawall_harness::process::{Flow, Process, ProcessOptions, StreamId};

use crate::shipped::{calls, module};

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

#[test]
fn a_worker_that_saw_nothing_refuses_and_permits_are_counted_over_all() {
    let process = process(4, BREAKER);
    for _ in 0..5 {
        let stream = ask(&process, 0).expect("closed passes");
        end(&process, stream, "503");
    }
    assert!((0..4).all(|worker| ask(&process, worker).is_none()));
    advance(&process, 1_000);
    let probes: Vec<_> = (0..12).filter_map(|worker| ask(&process, worker)).collect();
    assert_eq!(probes.len(), 3);
    for probe in probes {
        end(&process, probe, "200");
    }
    assert!((0..4).all(|worker| ask(&process, worker).is_some()));
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn permits_of_a_dead_vm_come_back_within_one_lease() {
    let process = process(2, BREAKER);
    trip(&process);
    advance(&process, 1_000);
    let held: Vec<_> = (0..3).filter_map(|_| ask(&process, 0)).collect();
    assert_eq!(held.len(), 3);
    assert_eq!(ask(&process, 1), None);
    process.kill(0);
    // The observer learns of half-open, sees three silent ticks and takes them back at the next.
    for _ in 0..5 {
        advance(&process, 500);
        process.tick_vm(2);
    }
    let taken: Vec<_> = (0..6).filter_map(|_| ask(&process, 1)).collect();
    assert_eq!(taken.len(), 3);
}

#[test]
fn a_living_holder_keeps_its_permits_however_long_it_takes() {
    let process = process(2, BREAKER);
    trip(&process);
    advance(&process, 1_000);
    let held: Vec<_> = (0..3).filter_map(|_| ask(&process, 0)).collect();
    assert_eq!(ask(&process, 1), None);
    for _ in 0..12 {
        advance(&process, 500);
        process.tick();
    }
    assert_eq!(ask(&process, 1), None);
    for stream in held {
        end(&process, stream, "200");
        process.tick();
    }
    assert!(ask(&process, 1).is_some(), "three good verdicts close it");
    let metrics = process.common().metrics.borrow().values().clone();
    assert_eq!(
        metrics.get("seawall_instances_expired"),
        None,
        "nobody was given up"
    );
}

#[test]
fn a_stalled_vm_that_comes_back_cannot_settle_what_it_lost() {
    let process = process(2, BREAKER);
    trip(&process);
    advance(&process, 1_000);
    let lost: Vec<_> = (0..3).filter_map(|_| ask(&process, 0)).collect();
    assert_eq!((lost.len(), ask(&process, 1)), (3, None));
    for _ in 0..5 {
        advance(&process, 500);
        process.tick_vm(2);
    }
    let fresh = ask(&process, 0).expect("a permit under another number");
    for stream in lost {
        end(&process, stream, "503");
    }
    for _ in 0..6 {
        advance(&process, 500);
        process.tick();
    }
    let rest: Vec<_> = (0..6).filter_map(|_| ask(&process, 1)).collect();
    assert_eq!(
        rest.len(),
        2,
        "the old ends gave no verdict and freed nothing"
    );
    for stream in rest.into_iter().chain([fresh]) {
        end(&process, stream, "200");
    }
    assert!(ask(&process, 0).is_some(), "three good verdicts close it");
    process.tick();
    let metrics = process.common().metrics.borrow().values().clone();
    assert_eq!(metrics.get("seawall_instances_expired"), Some(&1));
}

#[test]
fn corrupted_records_of_every_length_trap_nothing_and_traffic_passes() {
    let process = process(1, BREAKER);
    let stream = ask(&process, 0).expect("passes");
    end(&process, stream, "200");
    let key = {
        let shared = process.common().shared.borrow();
        let key = shared
            .keys()
            .find(|key| key.contains("upstream"))
            .expect("a record");
        key.to_owned()
    };
    let (good, _) = process
        .common()
        .shared
        .borrow()
        .load(&key)
        .expect("a record");
    for length in 0..=good.len() + 8 {
        for fill in [0_u8, 0x5a, 0xff] {
            let mut bytes: Vec<u8> = good.iter().copied().take(length).collect();
            bytes.resize(length, fill);
            if let Some(last) = bytes.last_mut() {
                *last ^= fill;
            }
            process
                .common()
                .shared
                .borrow_mut()
                .swap(&key, &bytes, 0)
                .expect("written");
            let stream = ask(&process, 0).expect("traffic passes");
            end(&process, stream, "200");
        }
    }
    process.tick();
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn no_status_of_the_host_traps_the_filter_and_it_is_counted() {
    for call in calls() {
        for status in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99, u32::MAX] {
            for every in [1, 2] {
                let process = process(2, BREAKER);
                process.common().faults.borrow_mut().push(Fault {
                    call,
                    status,
                    every,
                });
                for number in 0..12 {
                    if let Some(stream) = ask(&process, number) {
                        end(
                            &process,
                            stream,
                            if number % 2 == 0 { "503" } else { "200" },
                        );
                    }
                    advance(&process, 300);
                    process.tick();
                }
                assert_eq!(
                    traps(&process),
                    Vec::<String>::new(),
                    "{call} answers {status}"
                );
            }
        }
    }
}

#[test]
fn headers_of_any_shape_trap_nothing() {
    let process = process(1, BREAKER);
    let shapes: Vec<HeaderMap> = vec![
        vec![],
        vec![(vec![], vec![])],
        vec![
            (b":method".to_vec(), vec![]),
            (b":path".to_vec(), vec![0xff, 0xfe]),
        ],
        vec![
            (b"x-request-id".to_vec(), vec![0xff, 0xfe]),
            (b"\xff\xfe".to_vec(), vec![0xff, 0xfe]),
        ],
        vec![(b"x-long".to_vec(), vec![b'a'; 64 * 1024])],
        (0..2_000)
            .map(|n: u32| (n.to_string().into_bytes(), vec![0]))
            .collect(),
        headers(&[
            ("grpc-timeout", "9"),
            ("content-type", "application/grpc"),
            ("x-seawall-x", "1"),
        ]),
        headers(&[
            ("grpc-timeout", "999999999999999H"),
            ("upgrade", ""),
            ("prefer", "wait"),
        ]),
    ];
    for shape in &shapes {
        for answer in &shapes {
            let stream = process.open(0, properties());
            assert_eq!(
                process.request_headers(stream, shape.clone(), false),
                Flow::Continue
            );
            process.response_headers(stream, answer.clone(), false);
            process.response_trailers(stream, answer.clone());
            process.close(stream);
        }
    }
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_new_configuration_is_taken_whole_or_refused_whole() {
    let process = process(2, BREAKER);
    trip(&process);
    let bad = process.reconfigure(br#"{"version":1,"policies":{"default":{"brekaer":{}}}}"#);
    let said = bad.expect_err("refused").to_string();
    assert!(
        said.contains("policies.default.brekaer: unknown key, did you mean \"breaker\"?"),
        "{said}"
    );
    assert_eq!(ask(&process, 1), None, "the old one still holds");
    let off = BREAKER.replace("\"minimum_calls\":5", "\"mode\":\"off\"");
    advance(&process, 10);
    process.reconfigure(off.as_bytes()).expect("taken");
    assert!(ask(&process, 1).is_some(), "off refuses nothing");
    // As long as the root before is there, what it counts is not taken from it.
    process.drop_old_roots();
    for _ in 0..7 {
        advance(&process, 400);
        process.tick();
    }
    process.reconfigure(BREAKER.as_bytes()).expect("taken");
    assert!(
        ask(&process, 0).is_some(),
        "leaving off starts closed and empty"
    );
}
