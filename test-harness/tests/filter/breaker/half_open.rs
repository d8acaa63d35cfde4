//! Half-open with the shipped filter: an upstream that is well is let in again, however seldom it is asked and however long it
//! takes, whoever else asks.

use std::rc::Rc;

use seawall_harness::abi::stream::headers;
use seawall_harness::abi::upstreams::{Answers, Cluster, HttpCall, HttpOutcome, HttpResponse};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{ask, end, process, properties, traps};

const MILLI: u64 = 1_000_000;
const DEFAULT: &str = r#"{"version":1,"policies":{"default":{}}}"#;

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
