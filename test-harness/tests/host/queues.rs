//! Shared queues: numbers and statuses, and who is told of an entry.

use seawall_harness::process::ProcessOptions;

use crate::probe::{BAD, Guest, I, R, S, call, in_root, reads, said};

#[test]
fn queues_have_numbers_entries_and_statuses() {
    let (register, resolve, add, take) = (
        "proxy_register_shared_queue",
        "proxy_resolve_shared_queue",
        "proxy_enqueue_shared_queue",
        "proxy_dequeue_shared_queue",
    );
    in_root(&[
        (call(register, &[S(b"q1"), R(0)]), "0 1"),
        (call(register, &[S(b"q1"), R(0)]), "0 1"),
        (call(register, &[S(b"q2"), R(0)]), "0 2"),
        (call(register, &[S(b"q3"), BAD]), "6 0"),
        (call(register, &[BAD, I(20), R(0)]), "6 0"),
        (call(resolve, &[S(b""), S(b"q1"), R(0)]), "0 1"),
        (call(resolve, &[S(b"other"), S(b"q1"), R(0)]), "1 0"),
        (call(resolve, &[S(b""), S(b"none"), R(0)]), "1 0"),
        (call(resolve, &[S(b""), S(b"q1"), BAD]), "6 0"),
        (reads(take, &[I(99)]), "1 0"),
        (reads(take, &[I(2)]), "7 0"),
        (call(add, &[I(99), S(b"x")]), "1 0"),
        (call(add, &[I(2), BAD, I(20)]), "6 0"),
        (call(add, &[I(2), S(b"hello")]), "0 0"),
        (call(add, &[I(2), S(b"")]), "0 0"),
        (reads(take, &[I(2)]), "0 @ hello"),
        (reads(take, &[I(2)]), "0 0"),
        (reads(take, &[I(2)]), "7 0"),
    ]);
}

#[test]
fn whoever_registered_last_is_told_and_not_before_the_host_call_is_over() {
    let guest = Guest::new()
        .on(
            "proxy_on_configure",
            &[
                call("proxy_register_shared_queue", &[S(b"q"), R(0)]),
                call("proxy_resolve_shared_queue", &[S(b"vm"), S(b"q"), R(0)]),
            ],
        )
        .on_with(
            "proxy_on_request_headers",
            &[call("proxy_enqueue_shared_queue", &[I(1), S(b"work")])],
            0,
        )
        .on(
            "proxy_on_queue_ready",
            &[
                reads("proxy_dequeue_shared_queue", &[I(1)]),
                reads("proxy_dequeue_shared_queue", &[I(1)]),
            ],
        );
    let process = guest.start_with(ProcessOptions {
        workers: 2,
        vm_id: "vm".to_owned(),
        ..ProcessOptions::default()
    });
    assert_eq!(said(&process)[1..3], ["0 1", "0 1"]);
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true);
    assert_eq!(said(&process), ["proxy_on_request_headers 2 0 1", "0 0"]);
    assert_eq!(process.next_due(), Some(0));
    assert_eq!(process.settle(), 1);
    let lines = process.take_log();
    assert!(lines.iter().all(|line| line.vm == 2), "the second worker");
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["proxy_on_queue_ready 1 1", "0 @ work", "7 0"]);
    assert_eq!(process.next_due(), None);
}

#[test]
fn a_reader_that_writes_to_its_own_queue_does_not_hold_time_up() {
    let process = Guest::new()
        .on(
            "proxy_on_configure",
            &[
                call("proxy_register_shared_queue", &[S(b"q"), R(0)]),
                call("proxy_enqueue_shared_queue", &[I(1), S(b"x")]),
            ],
        )
        .on(
            "proxy_on_queue_ready",
            &[call("proxy_enqueue_shared_queue", &[I(1), S(b"x")])],
        )
        .start();
    process.advance(1_000);
    let told = said(&process).len();
    assert!((1..100_000).contains(&told), "{told}");
    assert_eq!(process.common().now.get(), 1_000);
}
