//! Bulkhead and shedding: how many requests are in flight, over all workers, and who is refused.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};

use crate::filter::{advance, end, process, properties, traps};

/// A policy without a breaker.
fn policy(keys: &str) -> String {
    format!(
        r#"{{"version":1,"trust":{{"addresses":["10.9.0.0/16"]}},
        "policies":{{"default":{{"breaker":{{"mode":"off"}},{keys}}}}}}}"#
    )
}

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Asked {
    Went(StreamId),
    Refused { status: String, reason: String },
}

fn ask(process: &Process, worker: usize, more: &[(&str, &str)]) -> Asked {
    ask_from(process, worker, "10.9.0.1:1234", more)
}

fn ask_from(process: &Process, worker: usize, peer: &str, more: &[(&str, &str)]) -> Asked {
    let mut properties = properties();
    properties.insert("source\0address".to_owned(), peer.as_bytes().to_vec());
    let stream = process.open(worker, properties);
    let mut request = vec![(":method", "GET"), (":path", "/")];
    request.extend(more);
    match process.request_headers(stream, headers(&request), true) {
        Flow::Continue => Asked::Went(stream),
        Flow::Pause => panic!("nothing waits"),
        Flow::Reply(reply) => {
            process.close(stream);
            let value = |name: &str| {
                let found = reply.headers.iter().find(|(key, _)| key == name.as_bytes());
                found.map_or_else(String::new, |(_, value)| {
                    String::from_utf8_lossy(value).into_owned()
                })
            };
            Asked::Refused {
                status: reply.status.to_string(),
                reason: value("x-seawall-reason"),
            }
        }
    }
}

fn refused(reason: &str) -> Asked {
    Asked::Refused {
        status: "503".to_owned(),
        reason: reason.to_owned(),
    }
}

#[track_caller]
fn went(asked: Asked) -> StreamId {
    match asked {
        Asked::Went(stream) => stream,
        refused => panic!("{refused:?}"),
    }
}

fn gauge(process: &Process, name: &str) -> Option<u64> {
    let metrics = process.common().metrics.borrow().values().clone();
    let found = metrics
        .into_iter()
        .find(|(known, _)| known.starts_with(name));
    found.map(|(_, value)| value)
}

fn tick(process: &Process, times: u32) {
    for _ in 0..times {
        advance(process, 500);
        process.tick();
    }
}

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
fn the_least_important_are_refused_first_and_only_the_trusted_are_more_important() {
    let keys = r#""shedding":{"limit":"fixed","max":10,"load_over":0}"#;
    let process = process(2, &policy(keys));
    let of = |level: &str| ask(&process, 0, &[("x-seawall-priority", level)]);
    let mut streams: Vec<_> = (0..5).map(|_| went(of("sheddable"))).collect();
    assert_eq!(of("sheddable"), refused("shed_limit"));
    streams.extend((0..2).map(|_| went(of("sheddable_plus"))));
    assert_eq!(of("sheddable_plus"), refused("shed_limit"));
    // Who says nothing is critical; so is who is not trusted, whatever he says.
    streams.push(went(ask(&process, 1, &[])));
    let stranger = |level| ask_from(&process, 1, "192.0.2.1:1", &[("x-seawall-priority", level)]);
    streams.push(went(stranger("critical_plus")));
    assert_eq!(stranger("critical_plus"), refused("shed_limit"));
    assert_eq!(stranger("sheddable"), refused("shed_limit"));
    streams.push(went(of("critical_plus")));
    assert_eq!(of("critical_plus"), refused("shed_limit"));
    streams
        .into_iter()
        .for_each(|stream| end(&process, stream, "200"));
}

#[test]
fn the_upstreams_own_word_sheds_the_lowest_first_and_is_forgotten() {
    let keys = r#""shedding":{"limit":"none","load_over":50}"#;
    let process = process(2, &policy(keys));
    let answer = |stream| {
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        let report = headers(&[
            (":status", "200"),
            ("endpoint-load-metrics", "TEXT cpu_utilization=0.95"),
        ]);
        process.response_headers(stream, report, true);
        process.close(stream);
    };
    let of = |id: &str, level: &str| {
        let more = [("x-seawall-priority", level), ("x-request-id", id)];
        ask(&process, 1, &more)
    };
    for round in 0..40 {
        advance(&process, 100);
        answer(went(of(&format!("r{round}"), "critical_plus")));
    }
    let shed = |level: &str| {
        let ids = (0..100).map(|number| format!("q{number}"));
        ids.filter(|id| match of(id, level) {
            Asked::Went(stream) => {
                end(&process, stream, "200");
                false
            }
            full => {
                assert_eq!(full, refused("shed_load"));
                true
            }
        })
        .count()
    };
    assert!(shed("sheddable") > 90);
    assert_eq!(shed("critical_plus"), 0);
    advance(&process, 11_000);
    assert_eq!(shed("sheddable"), 0, "an old report says nothing");
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

#[test]
fn what_a_seawall_before_the_upstream_sheds_is_no_failure() {
    let keys = r#"{"version":1,"policies":{"default":{"breaker":{"consecutive":3,"hosts":{"grace":"0s"}}}}}"#;
    let process = process(1, keys);
    for _ in 0..30 {
        let stream = went(ask(&process, 0, &[]));
        process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
        let shed = headers(&[(":status", "503"), ("x-seawall-reason", "shed_limit")]);
        process.response_headers(stream, shed, true);
        process.close(stream);
    }
    assert!(matches!(ask(&process, 0, &[]), Asked::Went(_)));
}
