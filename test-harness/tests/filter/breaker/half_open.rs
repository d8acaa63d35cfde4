//! Half-open with the shipped filter: an upstream that is well is let in again, however seldom it is asked and however long it
//! takes, whoever else asks.

use std::rc::Rc;

use seawall_harness::abi::stream::headers;
use seawall_harness::abi::upstreams::{Answers, Cluster, HttpCall, HttpOutcome, HttpResponse};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{ask, end, process, properties, traps, trip};

const MILLI: u64 = 1_000_000;
const DEFAULT: &str = r#"{"version":1,"policies":{"default":{}}}"#;

/// Open for a second, and then two probes.
const TWO_PROBES: &str = r#"{"version":1,"policies":{"default":{"breaker":{
    "minimum_calls":5,"consecutive":0,"slow_call":{"rate":0},"ramp":"0s","hosts":{"grace":"0s"},
    "open":{"for":"1s","up_to":"1s","jitter":0},"half_open":{"permits":2}}}}}"#;

/// Time passes, with its ticks.
fn pass(process: &Process, millis: u64) {
    process.advance(process.common().now.get() + millis * MILLI);
}

/// A burst of failures, and then the longest time that the breaker may stay open after one trip.
fn burst(process: &Process, workers: usize) {
    for number in 0..25 {
        if let Some(stream) = ask(process, number % workers) {
            end(process, stream, "503");
        }
        pass(process, 40);
    }
    assert!(ask(process, 0).is_none(), "it is open");
    pass(process, 10_000);
}

fn metric(process: &Process, part: &str) -> u64 {
    let metrics = process.common().metrics.borrow();
    let found = metrics
        .values()
        .iter()
        .filter(|(name, _)| name.contains(part));
    found.map(|(_, value)| *value).sum()
}

/// A request of a connection; `None` if it is refused.
fn ask_as(process: &Process, worker: usize, connection: u64, complete: bool) -> Option<StreamId> {
    let mut properties = properties();
    properties.insert(
        "connection\0id".to_owned(),
        connection.to_le_bytes().to_vec(),
    );
    let stream = process.open(worker, properties);
    let method = if complete { "GET" } else { "POST" };
    let request = headers(&[(":method", method), (":path", "/"), ("x-request-id", "r")]);
    match process.request_headers(stream, request, complete) {
        Flow::Continue => Some(stream),
        Flow::Pause | Flow::Reply(_) => {
            process.close(stream);
            None
        }
    }
}

#[test]
fn an_upstream_that_is_asked_seldom_is_let_in_again() {
    for workers in [1, 2, 8] {
        for gap in [500, 1_000, 10_000, 20_000, 30_000, 61_000, 600_000] {
            let process = process(workers, DEFAULT);
            burst(&process, workers);
            let mut refused = 0;
            let requests = 4 + 11_000 / gap;
            for number in 0..requests as usize {
                pass(&process, gap);
                match ask(&process, number % workers) {
                    Some(stream) => end(&process, stream, "200"),
                    // Only the ramp, which lasts ten seconds.
                    None => refused += 1,
                }
                if number < 2 {
                    assert_eq!(refused, 0, "each {gap} ms from {workers} workers");
                }
            }
            let (closed, again) = ("from=half_open..to=closed", "from=half_open..to=open");
            pass(&process, 1_000);
            assert_eq!(metric(&process, closed), 1, "each {gap} ms");
            assert_eq!(metric(&process, again), 0, "each {gap} ms");
            assert!(refused * gap <= 10_000, "{refused} refused, each {gap} ms");
            assert!(ask(&process, 0).is_some(), "each {gap} ms");
            assert_eq!(traps(&process), Vec::<String>::new());
        }
    }
}

#[test]
fn good_answers_that_take_long_count() {
    let slow = r#"{"version":1,"policies":{"default":{"breaker":{"slow_call":{"over":"18s"}}}}}"#;
    for takes in [5_000, 8_000, 17_500] {
        let process = process(2, slow);
        burst(&process, 2);
        let begin = process.common().now.get();
        let mut going: Vec<(u64, StreamId)> = Vec::new();
        while metric(&process, "from=half_open..to=closed") == 0 {
            let now = process.common().now.get();
            assert!(now < begin + 40_000 * MILLI, "{takes} ms");
            let (over, rest) = going.into_iter().partition(|(at, _)| *at <= now);
            going = rest;
            let over: Vec<_> = over;
            for (_, stream) in over {
                end(&process, stream, "200");
            }
            let worker = (now / MILLI / 1_000 % 2) as usize;
            going.extend(ask(&process, worker).map(|stream| (now + takes * MILLI, stream)));
            pass(&process, 1_000);
        }
        assert_eq!(metric(&process, "from=half_open..to=open"), 0, "{takes} ms");
    }
}

/// Ten connections whose clients abort after a second, or upload for ever, and ask again at once, beside 20 good
/// requests a second of five others.
#[test]
fn pollers_that_get_no_answer_do_not_keep_the_others_out() {
    for complete in [true, false] {
        let process = process(2, DEFAULT);
        burst(&process, 2);
        let begin = process.common().now.get();
        let mut going: Vec<(u64, u64, StreamId)> = Vec::new();
        while metric(&process, "from=half_open..to=closed") == 0 {
            let now = process.common().now.get();
            assert!(now < begin + 30_000 * MILLI, "complete: {complete}");
            let (over, rest) = going.into_iter().partition(|(at, ..)| *at <= now);
            going = rest;
            let over: Vec<_> = over;
            for (_, _, stream) in over {
                const CLIENT_GONE: u64 = 0x4000;
                let flags = CLIENT_GONE.to_le_bytes().to_vec();
                process.set_property(stream, "response\0flags", flags);
                process.close(stream);
            }
            for connection in 1..=10 {
                if going.iter().all(|(_, other, _)| *other != connection) {
                    let stream = ask_as(&process, connection as usize % 2, connection, complete);
                    going.extend(stream.map(|stream| (now + 1_000 * MILLI, connection, stream)));
                }
            }
            let connection = 100 + now / MILLI / 50 % 5;
            if let Some(stream) = ask_as(&process, connection as usize % 2, connection, true) {
                end(&process, stream, "200");
            }
            pass(&process, 50);
        }
        assert_eq!(metric(&process, "from=half_open..to=open"), 0);
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn requests_with_a_body_are_probes_where_no_others_come() {
    for gap in [50, 400, 30_000] {
        let process = process(2, DEFAULT);
        burst(&process, 2);
        let mut asked = 0;
        while metric(&process, "from=half_open..to=closed") == 0 {
            asked += 1;
            assert!(asked * gap <= 2_000 + 3 * gap, "each {gap} ms");
            pass(&process, gap);
            if let Some(stream) = ask_as(&process, asked as usize % 2, 7, false) {
                end(&process, stream, "200");
            }
        }
    }
}

#[test]
fn own_probes_begin_the_ramp_where_no_verdict_comes() {
    for (ramp, closes) in [("10s", 1), ("0s", 0)] {
        let policy = format!(
            r#"{{"version":1,"policies":{{"default":{{"breaker":{{"ramp":"{ramp}",
            "probe":{{"path":"/healthz","every":"2s"}}}}}}}}}}"#
        );
        let process = process(2, &policy);
        let answers = Answers(|_: &HttpCall| {
            (
                20 * MILLI,
                HttpOutcome::Response(HttpResponse::new(200, "")),
            )
        });
        process.set_cluster("upstream", Cluster::Answered(Rc::new(answers)));
        for _ in 0..25 {
            if let Some(stream) = ask(&process, 0) {
                end(&process, stream, "503");
            }
        }
        pass(&process, 5_000);
        let made = "from=open..to=half_open";
        assert_eq!(metric(&process, made), 1);
        // Requests come, and their clients go away.
        for _ in 0..15 {
            if let Some(stream) = ask(&process, 1) {
                const CLIENT_GONE: u64 = 0x4000;
                let flags = CLIENT_GONE.to_le_bytes().to_vec();
                process.set_property(stream, "response\0flags", flags);
                process.close(stream);
            }
            pass(&process, 1_000);
        }
        assert_eq!(metric(&process, "to=closed"), 0);
        pass(&process, 15_000);
        assert_eq!(
            metric(&process, "from=half_open..to=closed"),
            closes,
            "ramp {ramp}"
        );
        assert_eq!(metric(&process, "from=half_open..to=open"), 0);
        assert_eq!(
            metric(&process, "seawall_half_open_starved"),
            1,
            "ramp {ramp}"
        );
    }
}

/// Half-open since a second, so that requests with a body get permits.
fn half_open() -> Process {
    let process = process(2, TWO_PROBES);
    trip(&process);
    pass(&process, 2_200);
    process
}

/// A gRPC probe whose message is complete.
fn ask_grpc(process: &Process, worker: usize) -> StreamId {
    let stream = process.open(worker, properties());
    let request = [
        (":method", "POST"),
        (":path", "/pay.Charges/Create"),
        ("content-type", "application/grpc"),
        ("x-request-id", "r"),
    ];
    let flow = process.request_headers(stream, headers(&request), false);
    assert_eq!(flow, Flow::Continue, "it has a permit");
    process.request_body(stream, b"\0\0\0\0\0", true);
    process.set_property(stream, "response\0code_details", b"via_upstream".to_vec());
    stream
}

/// Headers that say nothing of how it will end.
fn begin_grpc(process: &Process, stream: StreamId) {
    let response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    process.response_headers(stream, response, false);
}

/// The trailers, with this status.
fn end_grpc(process: &Process, stream: StreamId, status: &str) {
    process.response_trailers(stream, headers(&[("grpc-status", status)]));
    process.close(stream);
}

/// How often half-open closed it, and how often it opened it again.
fn decided(process: &Process) -> [u64; 2] {
    ["closed", "open"].map(|to| metric(process, &format!("from=half_open..to={to}")))
}

#[test]
fn trailers_within_a_second_judge_a_grpc_probe_as_headers_do() {
    for in_trailers in [true, false] {
        for (statuses, fails) in [
            (["0", "0"], false),
            (["0", "14"], true),
            (["14", "0"], true),
            (["14", "14"], true),
        ] {
            let process = half_open();
            let probes = [0, 1].map(|worker| ask_grpc(&process, worker));
            if in_trailers {
                for probe in probes {
                    begin_grpc(&process, probe);
                }
                pass(&process, 900);
                assert_eq!(decided(&process), [0, 0], "nothing is counted yet");
            }
            for (probe, status) in probes.into_iter().zip(statuses) {
                if in_trailers {
                    end_grpc(&process, probe, status);
                } else {
                    let response = [
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", status),
                    ];
                    process.response_headers(probe, headers(&response), true);
                    process.close(probe);
                }
            }
            assert_eq!(ask(&process, 0).is_none(), fails, "{statuses:?}");
            pass(&process, 500);
            let expected = [u64::from(!fails), u64::from(fails)];
            assert_eq!(decided(&process), expected, "{statuses:?}");
            assert_eq!(traps(&process), Vec::<String>::new());
        }
    }
}

/// A probe whose headers came a second ago counts as good. A failure in its trailers then takes that back, as long as half-open is
/// not over.
#[test]
fn a_grpc_probe_that_fails_later_than_a_second_is_taken_back_while_others_are_out() {
    let outcome = |process: &Process, outcome: &str| {
        let labels = format!("policy=default..upstream=upstream..outcome={outcome}");
        metric(process, &format!("seawall_outcomes..{labels}"))
    };
    for (status, fails) in [("0", false), ("14", true)] {
        let process = half_open();
        let first = ask_grpc(&process, 0);
        begin_grpc(&process, first);
        pass(&process, 2_000);
        assert_eq!(outcome(&process, "success"), 1, "a tick has counted it");
        end_grpc(&process, first, status);
        assert_eq!(decided(&process), [0, 0]);
        let second = ask_grpc(&process, 1);
        begin_grpc(&process, second);
        end_grpc(&process, second, "0");
        assert_eq!(ask(&process, 0).is_none(), fails, "{status}");
        pass(&process, 500);
        let expected = [u64::from(!fails), u64::from(fails)];
        assert_eq!(decided(&process), expected, "{status}");
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn grpc_probes_that_fail_after_they_closed_the_breaker_change_only_metrics() {
    let process = half_open();
    let probes = [0, 1].map(|worker| ask_grpc(&process, worker));
    for probe in probes {
        begin_grpc(&process, probe);
    }
    pass(&process, 2_000);
    assert_eq!(decided(&process), [1, 0]);
    let failures = "seawall_outcomes..policy=default..upstream=upstream..outcome=failure";
    let before = metric(&process, failures);
    for probe in probes {
        end_grpc(&process, probe, "14");
    }
    for _ in 0..20 {
        let good = ask(&process, 1).expect("it stays closed");
        end(&process, good, "200");
    }
    pass(&process, 500);
    assert_eq!(metric(&process, failures), before + 2);
    assert_eq!(decided(&process), [1, 0]);
    assert_eq!(metric(&process, "from=closed..to=open"), 1, "at first");
    assert_eq!(traps(&process), Vec::<String>::new());
}
