//! Requests whose body is not complete: how many places they hold, and when they give them back.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{end, process, properties, traps};

fn policy(keys: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"default":{{"breaker":{{"mode":"off"}},{keys}}}}}}}"#)
}

/// A request on this connection; its reason if it was refused.
fn ask(
    process: &Process,
    worker: usize,
    connection: u64,
    path: &str,
    whole: bool,
) -> Result<StreamId, String> {
    let mut properties = properties();
    let id = connection.to_le_bytes().to_vec();
    properties.insert("connection\0id".to_owned(), id);
    let stream = process.open(worker, properties);
    let method = if whole { "GET" } else { "POST" };
    let request = headers(&[(":method", method), (":path", path)]);
    match process.request_headers(stream, request, whole) {
        Flow::Continue => Ok(stream),
        Flow::Pause => panic!("nothing waits"),
        Flow::Reply(reply) => {
            process.close(stream);
            let mut headers = reply.headers.iter();
            let reason = headers.find(|(name, _)| name == b"x-seawall-reason");
            Err(String::from_utf8_lossy(&reason.expect("a reason").1).into_owned())
        }
    }
}

#[track_caller]
fn refused(asked: Result<StreamId, String>) {
    assert_eq!(asked.map(drop), Err("unfinished".to_owned()));
}

#[test]
fn unfinished_requests_hold_their_share_over_all_workers_until_the_body_is_complete() {
    for keys in [
        r#""bulkhead":{"max_concurrent":20}"#,
        r#""shedding":{"limit":"fixed","max":20,"load_over":0}"#,
        r#""shedding":{"load_over":0}"#,
        r#""bulkhead":{"max_concurrent":20,"per":{"header":"x-tenant"}}"#,
        r#""bulkhead":{"max_concurrent":20},"shedding":{"mode":"shadow","limit":"fixed","max":40}"#,
    ] {
        let process = process(3, &policy(keys));
        let mut open: Vec<_> = (0..10)
            .map(|number| ask(&process, number % 3, number as u64, "/", false).expect("passes"))
            .collect();
        for worker in 0..3 {
            refused(ask(&process, worker, 99, "/", false));
            end(
                &process,
                ask(&process, worker, 99, "/", true).expect("whole"),
                "200",
            );
        }
        // Complete by its body, by its trailers, by its end.
        process.request_body(open[0], b"x", false);
        refused(ask(&process, 0, 99, "/", false));
        process.request_body(open[0], b"y", true);
        open.push(ask(&process, 1, 100, "/", false).expect("one was complete"));
        refused(ask(&process, 0, 99, "/", false));
        process.request_trailers(open[1], headers(&[("a", "b")]));
        open.push(ask(&process, 2, 101, "/", false).expect("another one was"));
        refused(ask(&process, 0, 99, "/", false));
        end(&process, open.swap_remove(2), "200");
        open.push(ask(&process, 0, 102, "/", false).expect("one has ended"));
        refused(ask(&process, 0, 99, "/", false));
        open.into_iter()
            .for_each(|stream| end(&process, stream, "200"));
        let again: Vec<_> = (0..10)
            .map(|number| {
                ask(&process, number % 3, number as u64, "/", false).expect("all gave back")
            })
            .collect();
        again.into_iter().for_each(|stream| process.close(stream));
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn one_connection_has_a_quarter_beside_others_and_all_alone() {
    let process = process(2, &policy(r#""bulkhead":{"max_concurrent":24}"#));
    let lone: Vec<_> = (0..12)
        .map(|_| ask(&process, 0, 1, "/", false).expect("alone"))
        .collect();
    refused(ask(&process, 0, 1, "/", false));
    refused(ask(&process, 0, 2, "/", false));
    for stream in lone.into_iter().skip(2) {
        end(&process, stream, "200");
    }
    // Two are left; it may have a third, and then others come first.
    ask(&process, 0, 1, "/", false).expect("its quarter");
    refused(ask(&process, 0, 1, "/", false));
    for connection in 2..11 {
        ask(&process, 1, connection, "/", false).expect("others");
    }
    refused(ask(&process, 1, 11, "/", false));
}

#[test]
fn with_a_hundred_percent_and_for_tunnels_nothing_is_bounded() {
    let all = process(
        1,
        &policy(r#""bulkhead":{"max_concurrent":4,"unfinished":100}"#),
    );
    for _ in 0..4 {
        ask(&all, 0, 1, "/", false).expect("as many as there are places");
    }
    assert_eq!(
        ask(&all, 0, 1, "/", false).map(drop),
        Err("bulkhead_full".to_owned())
    );
    let tunnels = process(1, &policy(r#""bulkhead":{"max_concurrent":4}"#));
    for number in 0..4 {
        let stream = ask(&tunnels, 0, number, "/ws", false).expect("switched ones do not count");
        tunnels.response_headers(stream, headers(&[(":status", "101")]), false);
    }
    assert_eq!(
        ask(&tunnels, 0, 9, "/ws", false).map(drop),
        Err("bulkhead_full".to_owned())
    );
}

#[test]
fn exempt_requests_are_not_counted_and_there_are_ten_in_a_second() {
    let keys = r#""bulkhead":{"max_concurrent":1},"shedding":{"limit":"fixed","max":1,"load_over":0},
        "exempt":[{"path":"/healthz"},{"path":"/live/*"}]"#;
    let process = process(1, &policy(keys));
    let one = ask(&process, 0, 1, "/", true).expect("the only place");
    for number in 0..10 {
        let path = if number % 2 == 0 {
            "/healthz?a"
        } else {
            "/live/x"
        };
        ask(&process, 0, 1, path, number % 3 > 0).expect("exempt");
    }
    assert!(
        ask(&process, 0, 1, "/healthz", true).is_err(),
        "one too many"
    );
    end(&process, one, "200");
    end(
        &process,
        ask(&process, 0, 1, "/", true).expect("none of them holds it"),
        "200",
    );
    crate::support::advance(&process, 1_000);
    let one = ask(&process, 0, 1, "/", true).expect("free");
    ask(&process, 0, 1, "/healthz", true).expect("again");
    assert!(ask(&process, 0, 1, "/health", true).is_err());
    end(&process, one, "200");
}
