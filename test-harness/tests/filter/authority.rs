//! Which authorities have a state of their own, and how many there may be.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::Process;

use crate::support::authorities::{ask, configuration, counted, opens, records};
use crate::support::{advance, end, process, properties, traps};

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
