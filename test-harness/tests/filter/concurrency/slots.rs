//! A bulkhead: how many requests are in flight, over all workers, and who is refused.

use seawall_harness::abi::stream::headers;

use crate::support::in_flight::{Asked, ask, gauge, policy, refused, tick, went};
use crate::support::{advance, end, process, traps};

#[test]
fn a_bulkhead_holds_over_all_workers_and_a_place_comes_back_with_the_end() {
    let process = process(3, &policy(r#""bulkhead":{"max_concurrent":3}"#));
    let streams: Vec<_> = (0..3)
        .map(|worker| went(ask(&process, worker, &[])))
        .collect();
    for worker in 0..3 {
        assert_eq!(ask(&process, worker, &[]), refused("bulkhead_full"));
    }
    tick(&process, 1);
    assert_eq!(gauge(&process, "seawall_in_flight"), Some(3));
    end(&process, streams[1], "200");
    let next = went(ask(&process, 0, &[]));
    assert_eq!(ask(&process, 1, &[]), refused("bulkhead_full"));
    for stream in [streams[0], streams[2], next] {
        end(&process, stream, "500");
    }
    tick(&process, 1);
    assert_eq!(gauge(&process, "seawall_in_flight"), Some(0));
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_stream_that_stays_open_gives_its_place_back_at_the_headers_where_the_policy_says_so() {
    for (until, after) in [("headers", 0), ("end", 1)] {
        let keys = format!(r#""bulkhead":{{"max_concurrent":1,"until":"{until}"}}"#);
        let process = process(1, &policy(&keys));
        let stream = went(ask(&process, 0, &[]));
        process.response_headers(stream, headers(&[(":status", "200")]), false);
        tick(&process, 1);
        assert_eq!(gauge(&process, "seawall_in_flight"), Some(after), "{until}");
        process.close(stream);
        tick(&process, 1);
        assert_eq!(gauge(&process, "seawall_in_flight"), Some(0), "{until}");
    }
}

#[test]
fn the_places_of_a_dead_vm_are_free_again_after_four_ticks_and_those_of_a_living_one_are_not() {
    let process = process(2, &policy(r#""bulkhead":{"max_concurrent":4}"#));
    for _ in 0..3 {
        went(ask(&process, 0, &[]));
    }
    let living = went(ask(&process, 1, &[]));
    assert_eq!(ask(&process, 1, &[]), refused("bulkhead_full"));
    process.kill(0);
    for _ in 0..4 {
        assert_eq!(ask(&process, 1, &[]), refused("bulkhead_full"));
        advance(&process, 500);
        process.tick_vm(2);
    }
    let streams: Vec<_> = (0..3).map(|_| went(ask(&process, 1, &[]))).collect();
    assert_eq!(ask(&process, 1, &[]), refused("bulkhead_full"));
    for stream in streams.into_iter().chain([living]) {
        end(&process, stream, "200");
    }
}

#[test]
fn a_tenant_that_floods_takes_none_of_anothers_places() {
    let keys = r#""bulkhead":{"max_concurrent":2,"per":{"header":"x-tenant","max_keys":50}}"#;
    let process = process(2, &policy(keys));
    let of = |worker, tenant: &str| ask(&process, worker, &[("x-tenant", tenant)]);
    let mut held = Vec::new();
    for number in 0..20 {
        match of(number % 2, "flood") {
            Asked::Went(stream) => held.push(stream),
            full => assert_eq!(full, refused("bulkhead_full")),
        }
    }
    assert_eq!(held.len(), 2);
    for tenant in ["a", "b", "c"] {
        for worker in 0..2 {
            held.push(went(of(worker, tenant)));
        }
        assert_eq!(of(0, tenant), refused("bulkhead_full"));
    }
    tick(&process, 1);
    assert_eq!(gauge(&process, "seawall_in_flight"), Some(8));
    held.into_iter()
        .for_each(|stream| end(&process, stream, "200"));
    tick(&process, 1);
    assert_eq!(gauge(&process, "seawall_in_flight"), Some(0));
}

#[test]
fn a_shadow_bulkhead_refuses_nobody_and_says_whom_it_would() {
    let keys = r#""bulkhead":{"mode":"shadow","max_concurrent":1}"#;
    let process = process(2, &policy(keys));
    let streams: Vec<_> = (0..3)
        .map(|number| went(ask(&process, number, &[])))
        .collect();
    streams
        .into_iter()
        .for_each(|stream| end(&process, stream, "200"));
    tick(&process, 1);
    let marked = "seawall_decisions..policy=default..upstream=upstream..decision=shadow_refused..reason=bulkhead_full";
    assert_eq!(gauge(&process, marked), Some(2));
    let fine = "seawall_shadow_outcomes..policy=default..upstream=upstream..outcome=success";
    assert_eq!(gauge(&process, fine), Some(2));
}

#[test]
fn a_request_without_a_place_gives_its_probe_back() {
    let keys = r#"{"version":1,"policies":{"default":{"bulkhead":{"max_concurrent":1},"breaker":{
        "minimum_calls":5,"consecutive":0,"slow_call":{"rate":0},"ramp":"0s","hosts":{"grace":"0s"},
        "open":{"for":"1s","up_to":"1s","jitter":0},"half_open":{"permits":2}}}}}"#;
    let process = process(2, keys);
    for _ in 0..5 {
        end(&process, went(ask(&process, 0, &[])), "503");
    }
    assert_eq!(ask(&process, 1, &[]), refused("breaker_open"));
    advance(&process, 1_000);
    let probe = went(ask(&process, 0, &[]));
    for _ in 0..9 {
        assert_eq!(ask(&process, 1, &[]), refused("bulkhead_full"));
    }
    end(&process, probe, "200");
    end(&process, went(ask(&process, 1, &[])), "200");
    assert!(matches!(ask(&process, 0, &[]), Asked::Went(_)), "closed");
}
