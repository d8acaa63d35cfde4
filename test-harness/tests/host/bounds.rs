//! What has a state of its own, how many of them there may be, and what never looks like a failure.

use std::collections::BTreeMap;

use seawall_harness::abi::stream::headers;
use seawall_harness::worker::{Flow, Process};

use crate::filter::{advance, end, process, properties, traps};

/// Two failures in a row open it, for good.
const QUICK: &str =
    r#""breaker":{"consecutive":2,"open":{"for":"60s","up_to":"60s"},"hosts":{"grace":"0s"}}"#;

fn configuration(scope: &str, rest: &str) -> String {
    format!(r#"{{"version":1,"policies":{{"default":{{{scope}{QUICK}}}}}{rest}}}"#)
}

/// One request to a cluster, by a route, for an authority; whether it went.
fn ask(process: &Process, cluster: &str, route: &str, authority: &str, status: &str) -> bool {
    let mut properties = properties();
    properties.insert("xds\0cluster_name".to_owned(), cluster.as_bytes().to_vec());
    properties.insert("xds\0route_name".to_owned(), route.as_bytes().to_vec());
    let stream = process.open(0, properties);
    let request = headers(&[
        (":method", "GET"),
        (":authority", authority),
        (":path", "/"),
    ]);
    let went = process.request_headers(stream, request, true) == Flow::Continue;
    if went {
        end(process, stream, status);
    } else {
        process.close(stream);
    }
    went
}

/// Makes it fail twice, and says whether it is refused then.
fn opens(process: &Process, cluster: &str, route: &str, authority: &str) -> bool {
    ask(process, cluster, route, authority, "503");
    ask(process, cluster, route, authority, "503");
    !ask(process, cluster, route, authority, "200")
}

fn records(process: &Process) -> usize {
    process
        .common()
        .shared
        .borrow()
        .keys()
        .filter(|key| key.starts_with("seawall/v1/"))
        .count()
}

fn counted(process: &Process, name: &str) -> u64 {
    process.tick();
    process
        .common()
        .metrics
        .borrow()
        .values()
        .get(name)
        .copied()
        .unwrap_or(0)
}

#[test]
fn scope_says_whether_routes_share_a_state() {
    let shared = process(1, &configuration("", ""));
    assert!(opens(&shared, "c", "a", ""));
    assert!(
        !ask(&shared, "c", "b", "", "200"),
        "one state for the cluster"
    );

    let apart = process(1, &configuration(r#""scope":"route","#, ""));
    assert!(opens(&apart, "c", "a", ""));
    assert!(ask(&apart, "c", "b", "", "200"), "a state for each route");
    assert!(!ask(&apart, "c", "a", "", "200"));
}

#[test]
fn a_bounded_number_of_authorities_have_a_state_and_the_others_pass() {
    let rest = r#","upstreams":[{"cluster":"PassthroughCluster","policy":"default","key":"authority","max_keys":2}]"#;
    let process = process(1, &configuration("", rest));
    for (authority, expected) in [
        ("a", true),
        ("b", true),
        ("c", false),
        ("d", false),
        ("a", true),
    ] {
        assert_eq!(
            opens(&process, "PassthroughCluster", "", authority),
            expected,
            "{authority}"
        );
    }
    assert_eq!(records(&process), 2);
    assert!(counted(&process, "seawall_requests_over_limit") >= 6);
    assert!(
        !opens(&process, "BlackHoleCluster", "", "a"),
        "not named, so left alone"
    );
}

/// One request for an authority and its attempt behind the router.
fn ask_and_attempt(process: &Process, worker: usize, authority: &str) {
    let mut properties = properties();
    let cluster = b"PassthroughCluster".to_vec();
    properties.insert("xds\0cluster_name".to_owned(), cluster);
    let asked = [
        (":method", "GET"),
        (":authority", authority),
        (":path", "/"),
    ];
    let stream = process.open(worker, properties.clone());
    process.request_headers(stream, headers(&asked), true);
    let count = 1_u64.to_le_bytes().to_vec();
    properties.insert("upstream\0request_attempt_count".to_owned(), count);
    let attempt = process.open_attempt(stream, properties);
    process.request_headers(attempt, headers(&asked), true);
    process.response_headers(attempt, headers(&[(":status", "200")]), true);
    process.close(attempt);
    end(process, stream, "200");
}

#[test]
fn authorities_are_counted_over_all_workers_both_positions_and_updates_and_leave_the_others_room() {
    let policies = |more: &str| {
        let rest = r#","limits":{"upstreams":60},"upstreams":[{"cluster":"PassthroughCluster","policy":"default","key":"authority","max_keys":3}]"#;
        configuration(more, rest)
    };
    let retries = policies(r#""retries":{},"#);
    let process = process(2, &retries);
    let flood = |round: usize| {
        for number in 0..50 {
            ask_and_attempt(&process, number, &format!("host-{round}-{number}"));
        }
        assert_eq!(records(&process), 3, "round {round}");
    };
    flood(0);
    let refused = counted(&process, "seawall_requests_over_limit");
    assert_eq!(refused, 47, "each once");
    for (round, update) in [policies(""), retries].iter().enumerate() {
        process.reconfigure(update.as_bytes()).expect("taken");
        process.drop_old_roots();
        flood(round + 1);
    }
    assert!(
        opens(&process, "c", "", ""),
        "a cluster of its own has a state"
    );
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn one_authority_has_one_state_however_it_is_written() {
    let rest = r#","upstreams":[{"cluster":"PassthroughCluster","policy":"default","key":"authority","max_keys":9}]"#;
    let process = process(1, &configuration("", rest));
    let refused = |authority| !ask(&process, "PassthroughCluster", "", authority, "200");
    assert!(opens(&process, "PassthroughCluster", "", "shop.example"));
    assert!(refused("Shop.Example") && refused("shop.example.") && refused("SHOP.EXAMPLE."));
    assert!(!refused("shop.example:8080"));
    assert_eq!(records(&process), 2);
}

#[test]
fn a_bounded_number_of_upstreams_have_a_state_over_all_workers_and_the_others_pass() {
    let process = process(2, &configuration("", r#","limits":{"upstreams":10}"#));
    for number in 0..500 {
        let cluster = format!("cluster-{number}");
        assert_eq!(opens(&process, &cluster, "", ""), number < 10, "{cluster}");
    }
    assert_eq!(records(&process), 10);
    assert_eq!(counted(&process, "seawall_upstreams"), 10);
    let series = process.common().metrics.borrow().values().len();
    assert!(series < 200, "{series} series");
    assert!(
        !opens(&process, &"x".repeat(2_000), "", ""),
        "a name that is no key"
    );
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn open_streams_that_take_their_time_are_no_failures_and_get_no_total() {
    let policy = r#"{"version":1,"policies":{"default":{"timeout":{"total":"1s"},"breaker":{"minimum_calls":5}}}}"#;
    let process = process(2, policy);
    let mut open = Vec::new();
    for (number, header) in [
        ("upgrade", "websocket"),
        ("accept", "text/event-stream"),
        ("content-type", "application/grpc"),
    ]
    .iter()
    .cycle()
    .take(60)
    .enumerate()
    {
        let stream = process.open(number, properties());
        let request = headers(&[(":method", "GET"), (":path", "/"), *header]);
        assert_eq!(
            process.request_headers(stream, request, false),
            Flow::Continue
        );
        let limited = process
            .header_map(stream, 0)
            .iter()
            .any(|(name, _)| name.starts_with(b"x-envoy"));
        assert!(!limited, "{header:?}");
        open.push((stream, header.0));
    }
    advance(&process, 10_000);
    for (stream, kind) in &open {
        if *kind != "content-type" {
            process.response_headers(*stream, headers(&[(":status", "200")]), false);
        }
    }
    advance(&process, 60_000);
    for (stream, _) in open {
        process.set_property(stream, "response\0flags", 0x4000_u64.to_le_bytes().to_vec());
        process.close(stream);
    }
    process.tick();
    let metrics: BTreeMap<_, _> = process.common().metrics.borrow().values().clone();
    let sum = |name: &str| -> u64 {
        metrics
            .iter()
            .filter(|(key, _)| key.contains(name))
            .map(|(_, value)| value)
            .sum()
    };
    assert_eq!(
        (sum("outcome=success"), sum("outcome=ignored")),
        (40, 20),
        "{metrics:#?}"
    );
    assert_eq!(
        (sum("seawall_transitions"), sum("decision=refused")),
        (0, 0)
    );
}
