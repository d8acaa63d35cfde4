//! Bulkhead and shedding in one policy: each counts and refuses as it is told, whatever the other does. And what a request
//! teaches about its upstream's load, when that enters and when not.

use std::collections::BTreeSet;

use seawall_harness::abi::stream::{headers, value};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{advance, end, process, properties, traps};

/// A policy without a breaker.
fn policy(keys: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"default":{{"breaker":{{"mode":"off"}},{keys}}}}}}}"#)
}

/// What a refused request is told: why, and when to come again.
type Refused = (String, String);

fn ask(process: &Process, more: &[(&str, &str)]) -> Result<StreamId, Refused> {
    let stream = process.open(0, properties());
    let mut request = vec![(":method", "GET"), (":path", "/")];
    request.extend(more);
    match process.request_headers(stream, headers(&request), true) {
        Flow::Continue => Ok(stream),
        Flow::Pause => panic!("nothing waits"),
        Flow::Reply(reply) => {
            process.close(stream);
            let told = |name| value(&reply.headers, name).unwrap_or_default();
            Err((told("x-seawall-reason"), told("retry-after")))
        }
    }
}

/// As many as go, and why the next one does not.
fn as_many_as_go(process: &Process, more: &[(&str, &str)]) -> (Vec<StreamId>, String) {
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        match ask(process, more) {
            Ok(stream) => streams.push(stream),
            Err((reason, _)) => return (streams, reason),
        }
    }
    panic!("nothing bounds it")
}

fn counted(process: &Process, part: &str) -> u64 {
    let metrics = process.common().metrics.borrow();
    let all = metrics.values().iter();
    let named = all.filter(|(name, _)| name.contains(part));
    named.map(|(_, value)| *value).sum()
}

fn tick(process: &Process) {
    advance(process, 500);
    process.tick();
}

#[test]
fn what_is_tried_in_shadow_takes_nothing_from_what_is_enforced() {
    let fixed = |mode: &str, max: u32| {
        format!(r#""shedding":{{"mode":"{mode}","limit":"fixed","max":{max},"load_over":0}}"#)
    };
    let bulkhead = |mode: &str, max: u32, more: &str| {
        format!(r#""bulkhead":{{"mode":"{mode}","max_concurrent":{max}{more}}}"#)
    };
    let per = r#","per":{"header":"x-tenant"}"#;
    // Of a limit of ten, what says nothing may fill nine.
    for (keys, most, reason, marks) in [
        (
            [bulkhead("enforce", 30, ""), fixed("shadow", 10)],
            30,
            "bulkhead_full",
            "shed_limit",
        ),
        (
            [bulkhead("shadow", 10, ""), fixed("enforce", 40)],
            36,
            "shed_limit",
            "bulkhead_full",
        ),
        (
            [bulkhead("enforce", 30, per), fixed("shadow", 10)],
            30,
            "bulkhead_full",
            "shed_limit",
        ),
        (
            [bulkhead("shadow", 10, per), fixed("enforce", 40)],
            36,
            "shed_limit",
            "bulkhead_full",
        ),
        (
            [bulkhead("enforce", 9, ""), fixed("enforce", 40)],
            9,
            "bulkhead_full",
            "none",
        ),
        (
            [bulkhead("enforce", 99, ""), fixed("enforce", 40)],
            36,
            "shed_limit",
            "none",
        ),
    ] {
        let process = process(2, &policy(&keys.join(",")));
        let (streams, why) = as_many_as_go(&process, &[("x-tenant", "a")]);
        assert_eq!((streams.len(), why.as_str()), (most, reason), "{keys:?}");
        tick(&process);
        let marked = counted(
            &process,
            &format!("decision=shadow_refused..reason={marks}"),
        );
        let earnest = if marks == "shed_limit" { 9 } else { 10 };
        let expected = if marks == "none" { 0 } else { most - earnest };
        assert_eq!(marked, expected as u64, "{keys:?}");
        assert_eq!(
            counted(&process, "seawall_in_flight"),
            most as u64,
            "{keys:?}"
        );
        streams
            .into_iter()
            .for_each(|stream| end(&process, stream, "200"));
        // What is held in advance goes back with the second tick.
        (0..2).for_each(|_| tick(&process));
        assert_eq!(counted(&process, "seawall_in_flight"), 0, "{keys:?}");
        assert_eq!(
            as_many_as_go(&process, &[("x-tenant", "a")]).0.len(),
            most,
            "{keys:?}"
        );
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn each_holds_its_places_for_as_long_as_it_is_told() {
    let keys = r#""bulkhead":{"max_concurrent":3,"until":"headers"},
        "shedding":{"limit":"fixed","max":10,"load_over":0}"#;
    let process = process(1, &policy(keys));
    let mut streaming = Vec::new();
    for expected in [3, 3, 3] {
        let (streams, reason) = as_many_as_go(&process, &[]);
        assert_eq!(
            (streams.len(), reason.as_str()),
            (expected, "bulkhead_full")
        );
        for stream in &streams {
            process.response_headers(*stream, headers(&[(":status", "200")]), false);
        }
        streaming.extend(streams);
    }
    let (none, reason) = as_many_as_go(&process, &[]);
    assert_eq!((none.len(), reason.as_str()), (0, "shed_limit"));
    streaming
        .into_iter()
        .for_each(|stream| process.close(stream));
    assert_eq!(as_many_as_go(&process, &[]).0.len(), 3);
}

#[test]
fn a_breaker_sees_what_shedding_in_shadow_lets_through() {
    let process = process(
        1,
        r#"{"version":1,"policies":{"default":{"breaker":{"consecutive":5,"hosts":{"grace":"0s"}},
        "shedding":{"mode":"shadow","limit":"fixed","max":1,"load_over":0}}}}"#,
    );
    let held = ask(&process, &[]).expect("it goes");
    for _ in 0..5 {
        let marked = ask(&process, &[]).expect("nobody is shed");
        end(&process, marked, "503");
    }
    let (reason, _) = ask(&process, &[]).expect_err("it is open");
    assert_eq!(reason, "breaker_open");
    end(&process, held, "200");
    tick(&process);
    let outcomes = "seawall_shadow_outcomes..policy=default..upstream=upstream..outcome=failure";
    assert_eq!(counted(&process, outcomes), 5);
}

/// A report of the upstream's load.
const BUSY: (&str, &str) = ("endpoint-load-metrics", "TEXT cpu_utilization=0.95");

fn answer(process: &Process, stream: StreamId, report: bool) {
    process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
    let mut answer = vec![(":status", "200"), ("grpc-status", "0")];
    answer.extend(report.then_some(BUSY));
    process.response_headers(stream, headers(&answer), true);
    process.close(stream);
}

/// An upstream that said for four seconds that it has too much to do.
fn busy(keys: &str) -> Process {
    let process = process(1, &policy(keys));
    for round in 0..40 {
        advance(&process, 100);
        let id = format!("r{round}");
        let stream = ask(&process, &[("x-request-id", &id)]);
        if let Ok(stream) = stream {
            answer(&process, stream, true);
        }
    }
    process
}

/// How many of a thousand are refused for the upstream's load, and when they are told to come again.
fn shed(process: &Process) -> (u32, BTreeSet<String>) {
    let mut times = BTreeSet::new();
    let mut refused = 0;
    for number in 0..1_000 {
        let id = format!("q{number}");
        match ask(process, &[("x-request-id", &id)]) {
            Ok(stream) => answer(process, stream, false),
            Err((reason, again)) => {
                assert_eq!(reason, "shed_load");
                refused += 1;
                times.insert(again);
            }
        }
    }
    (refused, times)
}

#[test]
fn who_is_shed_by_load_is_not_who_is_enforced_and_comes_again_at_different_times() {
    let policy = |mode: &str| {
        format!(
            r#""shedding":{{{mode},"limit":"none","load_over":50,"priorities":{{"default":"sheddable"}}}}"#
        )
    };
    let all = busy(&policy(r#""mode":"enforce""#));
    let tenth = busy(&policy(r#""enforce":"10%""#));
    // Reports lose their force: until a third or so is shed.
    let shed_of_all = loop {
        let (refused, times) = shed(&all);
        assert_eq!(times.len(), 4, "{refused} of 1,000: {times:?}");
        if refused < 400 {
            break refused;
        }
        advance(&all, 100);
        advance(&tenth, 100);
    };
    let (refused, times) = shed(&tenth);
    println!("{shed_of_all} of 1,000 are shed, {refused} where a tenth is enforced");
    assert!(shed_of_all > 200, "{shed_of_all}");
    assert!(refused > 5 && 5 * refused < shed_of_all, "{refused}");
    assert!(times.len() > 1, "{times:?}");
}

/// A gRPC request.
const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[test]
fn a_report_in_the_trailers_counts_whenever_the_place_went_back() {
    for until in ["headers", "end"] {
        let process = process(
            1,
            &policy(&format!(
                r#""shedding":{{"limit":"none","load_over":50,"until":"{until}","priorities":{{"default":"sheddable"}}}}"#
            )),
        );
        for round in 0..40 {
            advance(&process, 100);
            let id = format!("r{round}");
            let Ok(stream) = ask(&process, &[("x-request-id", &id), GRPC]) else {
                continue;
            };
            process.response_headers(stream, headers(&[(":status", "200"), GRPC]), false);
            process.response_trailers(stream, headers(&[("grpc-status", "0"), BUSY]));
            process.close(stream);
        }
        let ids = (0..100).map(|number| format!("q{number}"));
        let shed = ids.filter(|id| ask(&process, &[("x-request-id", id)]).is_err());
        let shed = shed.count();
        // Who is shed is drawn at random.
        assert!(shed > 80, "{until}: {shed} of 100");
    }
}

/// The limit that a tick shows.
fn limit(process: &Process) -> u64 {
    tick(process);
    counted(process, "seawall_limit")
}

/// Latencies without a queue, until the limit has grown to its most.
fn grown(more: &str) -> Process {
    let shedding = r#""shedding":{"limit":"adaptive","min":2,"initial":20,"max":60,"load_over":0}"#;
    let process = process(1, &policy(&format!("{more}{shedding}")));
    for _ in 0..100 {
        let streams = as_many_as_go(&process, &[GRPC]).0;
        advance(&process, 20);
        streams
            .into_iter()
            .for_each(|stream| answer(&process, stream, false));
    }
    assert_eq!(limit(&process), 60);
    process
}

#[test]
fn what_a_time_out_by_the_callers_limit_says_is_heard() {
    let process = grown(r#""timeout":{"total":"10s"},"#);
    // The upstream becomes so slow that more than 25 at once are all too late.
    for _ in 0..60 {
        let waiting = as_many_as_go(&process, &[GRPC, ("grpc-timeout", "500m")]).0;
        let millis = 20 * waiting.len() as u64;
        advance(&process, millis.min(500));
        for stream in waiting {
            if millis < 500 {
                answer(&process, stream, false);
                continue;
            }
            let timed_out = 0x4_u64.to_le_bytes().to_vec();
            process.set_property(stream, "response\0flags", timed_out);
            let details = b"response_timeout".to_vec();
            process.set_property(stream, "response\0code_details", details);
            process.response_headers(stream, headers(&[(":status", "504")]), true);
            process.close(stream);
        }
    }
    let limit = limit(&process);
    assert!(limit < 30, "{limit}");
}

#[test]
fn too_much_to_do_is_heard_in_trailers_too() {
    for (status, falls) in [("0", false), ("8", true)] {
        let process = grown("");
        for _ in 0..40 {
            let streams = as_many_as_go(&process, &[GRPC]).0;
            advance(&process, 20);
            for stream in streams {
                process.response_headers(stream, headers(&[(":status", "200"), GRPC]), false);
                process.response_trailers(stream, headers(&[("grpc-status", status)]));
                process.close(stream);
            }
        }
        let limit = limit(&process);
        assert_eq!(limit < 10, falls, "{status}: {limit}");
    }
}

#[test]
fn what_headers_teach_is_heard_while_the_body_passes_and_not_long_after() {
    // Headers that take twenty times as long as before, and bodies of two seconds.
    for (chunks, falls) in [(true, true), (false, false)] {
        let process = grown("");
        let mut lowest = u64::MAX;
        for _ in 0..5 {
            let streams = as_many_as_go(&process, &[]).0;
            advance(&process, 400);
            for stream in &streams {
                process.response_headers(*stream, headers(&[(":status", "200")]), false);
            }
            advance(&process, 200);
            if chunks {
                for stream in &streams {
                    process.response_body(*stream, b"more", false);
                }
            }
            advance(&process, 2_000);
            streams.into_iter().for_each(|stream| process.close(stream));
            lowest = lowest.min(limit(&process));
        }
        assert_eq!(lowest < 60, falls, "chunks {chunks}: {lowest}");
    }
}

#[test]
fn a_limit_that_was_lowered_shows_as_it_is() {
    let process = grown("");
    let lower = r#""shedding":{"limit":"adaptive","min":2,"max":30,"load_over":0}"#;
    process
        .reconfigure(policy(lower).as_bytes())
        .expect("it is accepted");
    let stream = ask(&process, &[]).expect("it goes");
    assert_eq!(limit(&process), 30);
    end(&process, stream, "200");
}

#[test]
fn what_is_learned_costs_no_more_than_it_must() {
    for (until, end) in [("headers", false), ("end", true)] {
        let process = process(
            1,
            &policy(&format!(
                r#""shedding":{{"limit":"adaptive","load_over":80,"until":"{until}"}}"#
            )),
        );
        let calls = |name: &str| {
            let calls = process.common().calls.borrow();
            calls.get(name).copied().unwrap_or_default()
        };
        let ask_once = || {
            let stream = ask(&process, &[GRPC]).expect("it goes");
            let mut answer = vec![(":status", "200"), GRPC, BUSY];
            answer.extend(end.then_some(("grpc-status", "0")));
            process.response_headers(stream, headers(&answer), end);
            if !end {
                process.response_trailers(stream, headers(&[("grpc-status", "0")]));
            }
            process.close(stream);
        };
        ask_once();
        let counted = || {
            let names = [
                "proxy_set_shared_data",
                "proxy_get_header_map_value",
                "proxy_get_header_map_pairs",
            ];
            names.map(calls)
        };
        let before = counted();
        (0..10).for_each(|_| ask_once());
        let after = counted();
        // The slot is held in advance, and what was learned is written at its end; of reports at one time one is written.
        assert_eq!(after[0] - before[0], 10, "{until}");
        // A status of gRPC; and, where there are trailers, two forms of a report.
        let looked = if end { 1 } else { 3 };
        assert_eq!(after[1] - before[1], 10 * looked, "{until}");
        // The request's headers and the answer's, whose status and reports are among them.
        assert_eq!(after[2] - before[2], 20, "{until}");
    }
}
