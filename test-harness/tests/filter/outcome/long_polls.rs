//! Requests that a policy marks as long polls: their silence is no slow call, and how long they take is no latency.

use seawall_harness::abi::stream::{headers, value};
use seawall_harness::process::{Flow, Process, StreamId};

use crate::support::{advance, end, process, properties, traps};

fn policy(keys: &str) -> String {
    format!(
        r#"{{"version":1,"policies":{{"default":{{{keys}"breaker":{{"hosts":{{"grace":"0s"}},"slow_call":{{
            "long_poll":[{{"path":"/poll"}},{{"route":"watch"}}]}}}}}}}}}}"#
    )
}

fn ask(process: &Process, path: &str, route: &str) -> Option<StreamId> {
    let mut properties = properties();
    properties.insert("xds\0route_name".to_owned(), route.as_bytes().to_vec());
    let stream = process.open(0, properties);
    let request = headers(&[(":method", "GET"), (":path", path)]);
    match process.request_headers(stream, request, true) {
        Flow::Continue => Some(stream),
        Flow::Pause | Flow::Reply(_) => {
            process.close(stream);
            None
        }
    }
}

/// Requests that are answered after four seconds; whether all of them were let in.
fn slow_ones(process: &Process, path: &str, route: &str) -> bool {
    for _ in 0..4 {
        let streams: Vec<_> = (0..10).map(|_| ask(process, path, route)).collect();
        for _ in 0..10 {
            advance(process, 400);
            process.tick();
        }
        for stream in streams {
            let Some(stream) = stream else { return false };
            end(process, stream, "200");
        }
    }
    true
}

#[test]
fn a_marked_path_and_a_marked_route_are_never_slow_and_others_are() {
    for (path, route, lets_in) in [
        ("/poll?since=4", "", true),
        ("/other", "watch", true),
        ("/polls", "watches", false),
    ] {
        let process = process(2, &policy(""));
        assert_eq!(slow_ones(&process, path, route), lets_in, "{path} {route}");
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn a_marked_request_that_fails_has_failed_and_one_that_a_limit_ends_says_nothing() {
    for (status, flags, opens) in [("503", 0, true), ("504", 0x4_u64, false)] {
        let process = process(2, &policy(""));
        let mut went = 0;
        while went < 40
            && let Some(stream) = ask(&process, "/poll", "")
        {
            advance(&process, 10);
            let details = match flags {
                0 => "via_upstream",
                _ => "response_timeout",
            };
            let details = details.as_bytes().to_vec();
            process.set_property(stream, "response\0flags", flags.to_le_bytes().to_vec());
            process.set_property(stream, "response\0code_details", details);
            process.response_headers(stream, headers(&[(":status", status)]), true);
            process.close(stream);
            went += 1;
        }
        assert_eq!(went < 40, opens, "{status}: {went} went");
    }
}

#[test]
fn what_follows_latency_neither_learns_from_marked_requests_nor_bounds_them() {
    let keys = r#""timeout":{"adaptive":{"min":"1ms","max":"10s","minimum_samples":20}},"#;
    let process = process(1, &policy(keys));
    let limit = |path: &str| {
        let stream = ask(&process, path, "").expect("it goes");
        let sent = process.header_map(stream, 0);
        end(&process, stream, "200");
        value(&sent, "x-envoy-upstream-rq-timeout-ms")
    };
    let answered = |path: &str, millis: u64| {
        let stream = ask(&process, path, "").expect("it goes");
        advance(&process, millis);
        end(&process, stream, "200");
    };
    for _ in 0..30 {
        answered("/poll", 1_500);
    }
    advance(&process, 400);
    process.tick();
    assert_eq!(limit("/"), None, "no samples");
    for _ in 0..30 {
        answered("/", 10);
    }
    advance(&process, 400);
    process.tick();
    let found: u64 = limit("/").expect("a limit").parse().expect("a number");
    assert!((15..60).contains(&found), "{found}");
    assert_eq!(limit("/poll"), None);
}
