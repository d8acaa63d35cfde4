//! A policy in which all is off: what it leaves alone, and what it does all the same.

use seawall_native::{Process, Request, Worker};
use seawall_policy::time::Span;
use serde_json::{Value, json};
use std::rc::Rc;

use super::process;

/// More than one in so many later requests that are looked at.
const CLUSTERS: usize = 16;

fn worker(process: &Rc<Process>, breaker: &Value, seed: u64) -> Worker {
    let whole = json!({"version": 1, "policies": {"default": {"breaker": breaker}}});
    Worker::new(process, &whole.to_string(), seed).expect("a valid configuration")
}

fn request(process: &Rc<Process>, cluster: &str, more: &[(&str, &str)]) -> Request {
    let mut lines = vec![(":method", "GET"), (":path", "/"), (":authority", "shop")];
    lines.extend(more);
    Request::new(process, cluster, &lines)
}

fn header(request: &Request, name: &str) -> Option<String> {
    let known = request.known.borrow();
    let found = known
        .request
        .lines()
        .iter()
        .find(|(key, _)| *key == name.as_bytes());
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn callers_are_held_to_the_deadlines_that_they_bring() {
    let process = process();
    let mut worker = worker(&process, &json!({"mode": "off"}), 1);
    let limit = "x-envoy-upstream-rq-timeout-ms";
    for number in 0..300 {
        for (more, expected) in [
            (
                &[("x-envoy-expected-rq-timeout-ms", "100")][..],
                Some("100"),
            ),
            (
                &[
                    ("content-type", "application/grpc"),
                    ("grpc-timeout", "100m"),
                ],
                Some("100"),
            ),
            (&[], None),
        ] {
            let mut call = request(&process, "shop", more);
            assert!(call.send(&mut worker, true));
            assert_eq!(
                header(&call, limit).as_deref(),
                expected,
                "{number}: {more:?}"
            );
            call.respond(&mut worker, 200, &[]);
            call.end(&mut worker);
        }
    }
}

#[test]
fn own_headers_of_strangers_are_taken_off_however_many_requests_came_before() {
    let process = process();
    let mut worker = worker(&process, &json!({"mode": "off"}), 1);
    for number in 0..600 {
        let mut call = request(&process, "shop", &[("x-seawall-attempt", "2")]);
        assert!(call.send(&mut worker, true));
        assert_eq!(header(&call, "x-seawall-attempt"), None, "{number}");
        call.end(&mut worker);
    }
}

#[test]
fn what_was_open_before_begins_closed_when_it_is_switched_on_again_whoever_takes_turns() {
    let process = process();
    let on = json!({"hosts": {"grace": "0s"}, "open": {"for": "60s", "up_to": "60s", "jitter": 0}, "ramp": "0s"});
    let names: Vec<String> = (0..CLUSTERS).map(|number| format!("c{number}")).collect();
    let mut first = worker(&process, &on, 1);
    for name in &names {
        while request(&process, name, &[]).whole(&mut first, 503) {}
    }
    first.done();
    // A configuration that is older than the record's changes nothing in it.
    process.pass(Span::secs(3));
    let mut off = worker(&process, &json!({"mode": "off"}), 2);
    for _ in 0..20 {
        for name in &names {
            assert!(request(&process, name, &[]).whole(&mut off, 200));
        }
        process.pass(Span::millis(400));
        off.tick();
    }
    off.done();
    process.pass(Span::millis(100));
    let mut again = worker(&process, &on, 3);
    for name in &names {
        assert!(
            request(&process, name, &[]).whole(&mut again, 200),
            "{name}"
        );
    }
}
