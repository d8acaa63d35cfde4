//! One state over all threads, exactly.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::envoy::{self, Config, request};

const THREADS: usize = 4;

#[test]
fn four_threads_never_hold_more_slots_than_there_are_and_can_hold_all() {
    const SLOTS: usize = 16;
    envoy::load();
    let policy = r#"{"version":1,"policies":{"default":{"bulkhead":{"max_concurrent":16}}}}"#;
    let config = Config::load("slots", policy).unwrap();
    let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..500 {
                    let streams: Vec<_> = (0..SLOTS)
                        .map(|_| config.stream(request("slots")))
                        .collect();
                    let mut admitted = 0;
                    for stream in &streams {
                        if stream.request_headers(true) == 0 {
                            admitted += 1;
                            most.fetch_max(
                                held.fetch_add(1, Ordering::AcqRel) + 1,
                                Ordering::AcqRel,
                            );
                        }
                    }
                    held.fetch_sub(admitted, Ordering::AcqRel);
                    drop(streams);
                }
            });
        }
    });
    let most = most.load(Ordering::Acquire);
    assert!((SLOTS / 2..=SLOTS).contains(&most), "{most}");
    // What the threads kept in advance comes back with their ticks.
    config.until("all slots can be had, and no more", || {
        let all: Vec<_> = (0..=SLOTS)
            .map(|_| config.stream(request("slots")))
            .collect();
        let statuses = all.iter().map(|stream| stream.request_headers(true));
        let admitted = statuses.filter(|status| *status == 0).count();
        assert!(admitted <= SLOTS, "{admitted}");
        admitted == SLOTS
    });
}

#[test]
fn failures_that_four_threads_see_open_one_breaker_for_all() {
    envoy::load();
    let policy = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"enforce"}}}}"#;
    let config = Config::load("breaker", policy).unwrap();
    let barrier = Barrier::new(THREADS);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..25 {
                    let mut stream = config.stream(request("breaker"));
                    if stream.request_headers(true) == 0 {
                        stream.respond("503");
                        stream.complete();
                    }
                }
                barrier.wait();
                let mut stream = config.stream(request("breaker"));
                if stream.request_headers(true) != 0 {
                    assert_eq!(stream.known().replied, Some(503));
                    refused.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
    });
    assert_eq!(refused.load(Ordering::Acquire), THREADS);
    config.until("one transition is told", || {
        envoy::sum(&["seawall_transitions", "upstream=breaker", "to=open"]) == 1
    });
}
