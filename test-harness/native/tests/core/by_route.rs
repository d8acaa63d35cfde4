//! `retries.router: route`: which requests have a header for Envoy's router.

use seawall_native::{Request, Worker};
use seawall_policy::environment::facts::StreamFact;
use serde_json::{Value, json};

/// The headers for the router of the second request of such a kind, the first having shown the upstream position.
fn told(retries: &Value, request: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    told_of(retries, request, 2)
}

/// The same of an inbound GET.
fn inbound(retries: &Value) -> Vec<(&'static str, String)> {
    told_of(retries, &[(":method", "GET")], 1)
}

fn told_of(
    retries: &Value,
    request: &[(&str, &str)],
    direction: u64,
) -> Vec<(&'static str, String)> {
    let configuration = json!({
        "version": 1,
        "trust": {"addresses": ["10.0.0.9"]},
        "policies": {"p": {"retries": retries, "breaker": {"mode": "off"}}},
        "upstreams": [{"cluster": "*", "policy": "p"}],
    });
    let process = super::process();
    let mut worker = Worker::new(&process, &configuration.to_string(), 1).expect("valid");
    let mut found = Vec::new();
    for _ in 0..2 {
        let mut lines = vec![(":path", "/"), (":authority", "shop")];
        lines.extend(request);
        let mut request = Request::new(&process, "shop", &lines);
        let peer = b"10.0.0.9:1234".to_vec();
        let known = &request.known;
        known
            .borrow_mut()
            .stream
            .insert(StreamFact::PeerAddress, peer);
        let direction = direction.to_le_bytes().to_vec();
        known
            .borrow_mut()
            .stream
            .insert(StreamFact::Direction, direction);
        assert!(request.send(&mut worker, true));
        let mut attempt = request.attempt(1);
        assert!(attempt.send(&mut worker, true));
        found = NAMES
            .into_iter()
            .filter_map(|name| Some((name, request.known.borrow().request.text(name)?)))
            .collect();
        attempt.respond(&mut worker, 200, &[]);
        attempt.done(&mut worker);
        request.respond(&mut worker, 200, &[]);
        request.end(&mut worker);
    }
    found
}

const NAMES: [&str; 6] = [
    "x-envoy-max-retries",
    "x-envoy-retry-on",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-hedge-on-per-try-timeout",
];

#[test]
fn a_request_that_may_have_all_attempts_has_no_header_and_others_are_forbidden_theirs() {
    let route = json!({"attempts": 3, "router": "route"});
    let none = vec![("x-envoy-max-retries", "0".to_owned())];
    let key = ("idempotency-key", "1");
    for (request, expected) in [
        (vec![(":method", "GET")], vec![]),
        (vec![(":method", "PUT")], vec![]),
        (vec![(":method", "POST"), key], vec![]),
        (vec![(":method", "POST")], none.clone()),
        (
            vec![(":method", "GET"), ("content-length", "2000000")],
            none.clone(),
        ),
        (vec![(":method", "GET"), ("x-seawall-attempt", "2")], none),
    ] {
        assert_eq!(told(&route, &request), expected, "{request:?}");
    }
}

#[test]
fn inbound_the_routes_retries_are_taken_back() {
    for (retries, expected) in [
        (
            json!({"router": "route"}),
            vec![("x-envoy-max-retries", "0".to_owned())],
        ),
        (json!({"router": "headers"}), vec![]),
    ] {
        assert_eq!(inbound(&retries), expected, "{retries}");
    }
}

#[test]
fn without_it_or_in_shadow_all_is_as_ever() {
    let get = [(":method", "GET")];
    let by_headers = told(&json!({"attempts": 3}), &get);
    assert_eq!(
        told(&json!({"attempts": 3, "router": "headers"}), &get),
        by_headers
    );
    let names: Vec<&str> = by_headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, NAMES[..3]);
    let shadow = json!({"attempts": 3, "router": "route", "mode": "shadow"});
    assert_eq!(told(&shadow, &[(":method", "POST")]), []);
}
