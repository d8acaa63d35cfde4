//! What has a state of its own, how many of them there may be, and what never looks like a failure.

use std::collections::BTreeMap;

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

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
    for spelling in [
        "Shop.Example",
        "shop.example.",
        "SHOP.EXAMPLE.",
        "shop.example:80",
        "shop.example:443",
        "shop.example.:80",
        "shop.example:",
        "user@shop.example",
        "user:secret@shop.example.",
        "%73hop%2Eexample",
    ] {
        assert!(refused(spelling), "{spelling}");
    }
    assert!(!refused("shop.example:8080"));
    assert_eq!(records(&process), 2);
}

#[test]
fn authorities_that_are_too_long_are_governed_together() {
    let rest = r#","upstreams":[{"cluster":"PassthroughCluster","policy":"default","key":"authority","max_keys":2}]"#;
    let process = process(1, &configuration("", rest));
    let long = |letter: &str| letter.repeat(1_000);
    assert!(opens(&process, "PassthroughCluster", "", &long("a")));
    for letter in ["b", "c"] {
        assert!(!ask(
            &process,
            "PassthroughCluster",
            "",
            &long(letter),
            "200"
        ));
    }
    for authority in ["a", "b"] {
        let opened = opens(&process, "PassthroughCluster", "", authority);
        assert!(
            opened,
            "{authority}: those that are not have slots of their own"
        );
    }
    assert_eq!(records(&process), 3);
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn junk_takes_neither_the_states_of_clusters_nor_those_of_authorities_for_ever() {
    let rest = r#","limits":{"upstreams":3},"upstreams":[{"cluster":"PassthroughCluster","policy":"default","key":"authority","max_keys":5}]"#;
    let process = process(2, &configuration("", rest));
    let step = |seconds: u64| {
        advance(&process, seconds * 1_000);
        process.tick();
    };
    let junk = |round: usize| {
        for number in 0..50 {
            let authority = format!("junk-{round}-{number}");
            ask(&process, "PassthroughCluster", "", &authority, "200");
        }
    };
    assert!(opens(&process, "PassthroughCluster", "", "first"));
    junk(0);
    for cluster in ["a", "b", "c"] {
        assert!(opens(&process, cluster, "", ""), "{cluster} has a state");
    }
    // What is asked for keeps its state, whatever else comes.
    for round in 1..30 {
        step(3);
        let went = ask(&process, "PassthroughCluster", "", "first", "200");
        // Open for 60 s at least; for how much longer is chance.
        assert!(!went || round * 3 >= 60, "round {round}");
        junk(round);
    }
    step(11);
    assert!(opens(&process, "PassthroughCluster", "", "second"));
    let keys = process.common().shared.borrow().keys().count();
    assert!(keys < 20, "{keys} keys");
    let series = process.common().metrics.borrow().values().len();
    assert!(series < 150, "{series} series");
    assert_eq!(traps(&process), Vec::<String>::new());
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
fn a_cluster_that_stands_in_is_asked_under_the_key_of_its_own_traffic() {
    let whole = |scope: &str, key: &str| {
        format!(
            r#"{{"version":1,"policies":{{
                "default":{{{QUICK},"fallback":[{{"cluster":"backup"}}]}},"backup":{{{scope}{QUICK}}}}},
            "upstreams":[{{"cluster":"backup","policy":"backup"{key}}}]}}"#
        )
    };
    for (scope, key) in [("", r#","key":"authority""#), (r#""scope":"route","#, "")] {
        let process = process(1, &whole(scope, key));
        assert!(opens(&process, "backup", "shop", "shop"));
        for _ in 0..2 {
            ask(&process, "main", "other", "other", "503");
        }
        assert!(
            ask(&process, "main", "other", "other", "200"),
            "it goes to backup"
        );
        assert!(
            !ask(&process, "main", "shop", "shop", "200"),
            "that is open for it"
        );
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}

#[test]
fn a_damaged_list_of_records_is_counted_anew() {
    let process = process(2, &configuration("", r#","limits":{"upstreams":10}"#));
    let upstreams = |from: usize| {
        let names = (from..from + 10).map(|number| format!("cluster-{number}"));
        names.filter(|name| opens(&process, name, "", "")).count()
    };
    assert_eq!(upstreams(0), 10);
    for damage in [&[0xff, 0xff, 0xff, 0x7f][..], b"", b"rubbish"] {
        let list = "seawall/v1-records";
        let written = process.common().shared.borrow_mut().swap(list, damage, 0);
        assert_eq!(written, Ok(()));
        (0..32).for_each(|_| process.tick());
        assert_eq!(counted(&process, "seawall_upstreams"), 10);
        assert_eq!(upstreams(100), 0, "there is no room");
    }
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
