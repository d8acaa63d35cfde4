//! Permits of a half-open breaker: counted over all workers, and free again when who held them is dead.

use crate::support::{BREAKER, advance, ask, end, process, traps, trip};

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

/// A breaker beside a bulkhead of three slots.
const BOTH: &str = r#"{"version":1,"policies":{"default":{"bulkhead":{"max_concurrent":3},"breaker":{
    "minimum_calls":5,"consecutive":0,"slow_call":{"rate":0},"ramp":"0s","hosts":{"grace":"0s"},
    "open":{"for":"1s","up_to":"1s","jitter":0},"half_open":{"permits":3,"wait":"60s"}}}}}"#;

#[test]
fn after_all_workers_died_the_first_request_of_a_fresh_vm_finds_permits_and_slots_free() {
    // Who watches: the main thread's VM, or one of a worker that never held anything.
    for observer in [0, 4] {
        let process = process(4, BOTH);
        trip(&process);
        advance(&process, 1_000);
        let held: Vec<_> = (0..3).filter_map(|worker| ask(&process, worker)).collect();
        assert_eq!((held.len(), ask(&process, 1)), (3, None));
        process.tick();
        (0..3).for_each(|worker| process.kill(worker));
        for _ in 0..4 {
            advance(&process, 400);
            process.tick_vm(observer);
        }
        advance(&process, 400);
        let taken: Vec<_> = (0..6).filter_map(|_| ask(&process, 3)).collect();
        assert_eq!(taken.len(), 3, "observer {observer}");
        for stream in taken {
            end(&process, stream, "200");
        }
        assert!(ask(&process, 3).is_some(), "three good verdicts close it");
        assert_eq!(traps(&process), Vec::<String>::new());
    }
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
