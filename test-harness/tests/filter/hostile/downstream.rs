//! The position before the router alone: every status of the host, records of every length, headers of any shape.

use seawall_harness::abi::Fault;
use seawall_harness::abi::stream::{HeaderMap, headers};
use seawall_harness::process::Flow;

use crate::shipped::calls;
use crate::support::{BREAKER, advance, ask, end, process, properties, traps};

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
