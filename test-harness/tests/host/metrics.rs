//! Metrics of three kinds: numbers, values and statuses.

use crate::probe::{BAD, Guest, I, L, R, S, call, in_root, said};

#[test]
fn every_definition_has_its_own_number_and_every_kind_its_statuses() {
    let (define, add, record, get) = (
        "proxy_define_metric",
        "proxy_increment_metric",
        "proxy_record_metric",
        "proxy_get_metric",
    );
    in_root(&[
        (call(define, &[I(0), S(b"c"), R(0)]), "0 4"),
        (call(define, &[I(1), S(b"g"), R(0)]), "0 5"),
        (call(define, &[I(2), S(b"h"), R(0)]), "0 6"),
        (call(define, &[I(0), S(b"c"), R(0)]), "0 8"),
        (call(define, &[I(1), S(b"c"), R(0)]), "0 9"),
        (call(define, &[I(3), S(b"x"), R(0)]), "2 0"),
        (call(define, &[I(0), BAD, I(20), R(0)]), "6 0"),
        (call(define, &[I(0), S(b"c"), BAD]), "6 0"),
        (call(add, &[I(4), L(3)]), "0 0"),
        (call(add, &[I(4), L(0)]), "2 0"),
        (call(add, &[I(4), L(-1)]), "2 0"),
        (call(add, &[I(5), L(5)]), "0 0"),
        (call(add, &[I(5), L(-2)]), "0 0"),
        (call(add, &[I(6), L(1)]), "2 0"),
        (call(add, &[I(400), L(1)]), "1 0"),
        (call(add, &[I(401), L(1)]), "1 0"),
        (call(add, &[I(402), L(1)]), "2 0"),
        (call(add, &[I(7), L(1)]), "2 0"),
        (call(record, &[I(4), L(10)]), "0 0"),
        (call(record, &[I(6), L(10)]), "0 0"),
        (call(record, &[I(400), L(1)]), "1 0"),
        (call(record, &[I(402), L(1)]), "1 0"),
        (call(record, &[I(7), L(1)]), "1 0"),
        (call(get, &[I(4), R(0)]), "0 13"),
        (call(get, &[I(8), R(0)]), "0 13"),
        (call(get, &[I(9), R(0)]), "0 0"),
        (call(get, &[I(5), R(0)]), "0 3"),
        (call(get, &[I(6), R(0)]), "2 0"),
        (call(get, &[I(7), R(0)]), "2 0"),
        (call(get, &[I(400), R(0)]), "1 0"),
        (call(get, &[I(4), BAD]), "6 0"),
        (call(add, &[I(5), L(-26)]), "0 0"),
        (call(get, &[I(5), R(0)]), "0 4294967273"),
    ]);
}

#[test]
fn values_are_one_for_all_vms_and_a_histogram_keeps_what_it_took() {
    let process = Guest::new()
        .on(
            "proxy_on_vm_start",
            &[
                call("proxy_define_metric", &[I(0), S(b"starts"), R(0)]),
                call("proxy_define_metric", &[I(2), S(b"took"), R(0)]),
                call("proxy_increment_metric", &[I(4), L(1)]),
                call("proxy_record_metric", &[I(6), L(7)]),
                call("proxy_record_metric", &[I(6), L(3)]),
            ],
        )
        .start();
    said(&process);
    let metrics = process.common().metrics.borrow();
    assert_eq!(metrics.values()["starts"], 3, "canary, main thread, worker");
    let took = metrics.histogram("took").expect("a histogram");
    assert_eq!((took.count, took.sum, took.min, took.max), (6, 30, 3, 7));
    assert_eq!(metrics.values()["took"], 6);
}
