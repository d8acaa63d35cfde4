//! What the filter costs a request, counted and not timed: fuel and host calls are the same on every machine.

mod baseline;

use std::collections::BTreeMap;

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

use crate::support::in_flight::tick;
use crate::support::{BREAKER, advance, ask, end, process, properties};

const REQUESTS: u64 = 1_000;

#[test]
fn a_failure_of_long_ago_costs_nothing() {
    let process = process(
        1,
        &BREAKER.replace(r#""hosts":{"grace":"0s"}"#, r#""hosts":{"grace":"5s"}"#),
    );
    let properties = || {
        let calls = process.common().calls.borrow();
        calls.get("proxy_get_property").copied().unwrap_or(0)
    };
    let cost = |status| {
        let before = properties();
        let stream = ask(&process, 0).expect("passes");
        end(&process, stream, status);
        properties() - before
    };
    // The first request to a cluster asks for more.
    cost("200");
    let well = cost("200");
    cost("503");
    let soon_after: u64 = (0..20).map(|_| cost("200")).sum();
    assert!(
        soon_after > 20 * well,
        "the hosts of answers are looked at while failures are about"
    );
    advance(&process, 11_000);
    cost("200");
    let later: u64 = (0..32).map(|_| cost("200")).sum();
    assert!(later <= 32 * well + 2, "only the sample is left: {later}");
}

#[test]
fn a_vm_that_had_no_request_writes_nothing_at_its_ticks() {
    let process = process(1, BREAKER);
    let writes = || {
        let calls = process.common().calls.borrow();
        calls.get("proxy_set_shared_data").copied().unwrap_or(0)
    };
    let begun = writes();
    tick(&process, 20);
    assert_eq!(writes(), begun);
    let stream = ask(&process, 0).expect("passes");
    end(&process, stream, "200");
    tick(&process, 1);
    assert!(writes() > begun, "it is listed, as it may take leases");
}

#[test]
fn a_hundred_policies_are_read_for_little_fuel() {
    let policy = r#"{"timeout":{"total":"3s","per_try":"1s"},"outcomes":{"failure":{"status":["5xx"],"grpc":[14]}},
        "breaker":{"failure_rate":40,"slow_call":{"over":"300ms"},"open":{"for":"5s"},"ramp":"5s"},
        "retries":{"attempts":3,"on":["5xx","reset"]},"bulkhead":{"max_concurrent":100},"shedding":{"max":200},
        "fallback":[{"on":["open"],"static":{"status":503,"body":"{{reason}}"}}]}"#;
    let whole: Vec<String> = (0..100)
        .map(|number| format!("\"p{number}\":{policy}"))
        .collect();
    let whole = format!(r#"{{"version":1,"policies":{{{}}}}}"#, whole.join(","));
    let cost = |text: &str| process(1, text).fuel();
    let fuel = cost(&whole).saturating_sub(cost(r#"{"version":1,"policies":{"p":{}}}"#));
    println!("a hundred policies, {} bytes: {fuel} fuel", whole.len());
    assert!(fuel <= 24_000_000, "{fuel} fuel");
}

/// What one request costs on average: fuel and host calls, after the first.
fn average(process: &Process, request: impl Fn()) -> (u64, BTreeMap<&'static str, u64>) {
    request();
    let (fuel, before) = (process.fuel(), process.common().calls.borrow().clone());
    for _ in 0..REQUESTS {
        request();
    }
    let fuel = (process.fuel() - fuel) / REQUESTS;
    let calls = process.common().calls.borrow();
    let made = |(name, count): (&&'static str, &u64)| {
        (*name, (count - before.get(name).unwrap_or(&0)) / REQUESTS)
    };
    let calls = calls.iter().map(made).filter(|(_, count)| *count > 0);
    (fuel, calls.collect())
}

#[test]
fn a_good_request_costs_ten_host_calls_and_little_fuel() {
    let process = process(1, BREAKER);
    let (fuel, calls) = average(&process, || {
        let stream = ask(&process, 0).expect("passes");
        end(&process, stream, "200");
    });
    let all: u64 = calls.values().sum();
    println!("a good request: {fuel} fuel, {all} host calls: {calls:?}");
    assert!(all <= 10, "{all} host calls: {calls:?}");
    assert!(fuel <= 18_000, "{fuel} fuel");
}

#[test]
fn a_request_costs_little_more_among_ten_thousand_others() {
    let process = process(1, BREAKER);
    let good = || {
        let stream = ask(&process, 0).expect("passes");
        end(&process, stream, "200");
    };
    let (alone, _) = average(&process, good);
    let others: Vec<_> = (0..10_000).map(|_| ask(&process, 0)).collect();
    let (among, _) = average(&process, good);
    println!("a good request among ten thousand: {among} fuel, alone {alone}");
    assert!(others.iter().all(Option::is_some));
    assert!(among <= alone + 2_000, "{among} fuel, alone {alone}");
}

/// A 4xx may be Envoy's own, which is no success of the upstream.
#[test]
fn an_answer_that_looks_bad_costs_one_look_at_who_gave_it_where_nothing_is_retried() {
    let process = process(1, BREAKER);
    let (_, calls) = average(&process, || {
        let stream = ask(&process, 0).expect("passes");
        end(&process, stream, "404");
    });
    assert_eq!(calls.values().sum::<u64>(), 11, "{calls:?}");
}

#[test]
fn who_the_peer_is_is_asked_only_where_marks_are_believed() {
    let trusting = BREAKER.replace(
        r#"{"version":1"#,
        r#"{"version":1,"trust":{"addresses":["10.0.0.0/8"]}"#,
    );
    let properties = |process: &Process| {
        let (_, calls) = average(process, || {
            let stream = ask(process, 0).expect("passes");
            end(process, stream, "200");
        });
        calls["proxy_get_property"]
    };
    let (plain, trusting) = (process(1, BREAKER), process(1, &trusting));
    assert_eq!(properties(&trusting), properties(&plain));
}

#[test]
fn retries_cost_a_good_request_so_much_in_both_positions_together() {
    let with_retries = BREAKER.replace(r#"{"breaker""#, r#"{"retries":{},"breaker""#);
    let process = process(1, &with_retries);
    let (fuel, calls) = average(&process, || {
        let request = ask(&process, 0).expect("passes");
        let mut known = properties();
        let path = "upstream\0request_attempt_count".to_owned();
        known.insert(path, 1_u64.to_le_bytes().to_vec());
        let attempt = process.open_attempt(request, known);
        let asked = headers(&[(":method", "GET"), (":path", "/")]);
        process.request_headers(attempt, asked, true);
        process.response_headers(attempt, headers(&[(":status", "200")]), true);
        process.close(attempt);
        end(&process, request, "200");
    });
    let all: u64 = calls.values().sum();
    println!("a good request with retries: {fuel} fuel, {all} host calls: {calls:?}");
    assert!(all <= 15, "{all} host calls: {calls:?}");
    assert!(fuel <= 27_500, "{fuel} fuel");
}

#[test]
fn a_tick_with_nothing_to_do_asks_the_clock_and_who_else_is_there_and_gives_a_sign_once_however_many_upstreams_there_are()
 {
    let process = process(
        1,
        &BREAKER.replace(r#"{"breaker""#, r#"{"retries":{},"breaker""#),
    );
    for number in 0..50 {
        let mut known = properties();
        let cluster = format!("upstream-{number}").into_bytes();
        known.insert("xds\0cluster_name".to_owned(), cluster);
        let request = process.open(0, known);
        let asked = headers(&[(":method", "GET"), (":path", "/")]);
        assert_eq!(
            process.request_headers(request, asked, true),
            Flow::Continue
        );
        end(&process, request, "200");
    }
    process.tick_vm(1);
    let made = || process.common().calls.borrow().clone();
    let before = made();
    process.tick_vm(1);
    let grown = |(name, count): (&'static str, u64)| (name, count - before.get(name).unwrap_or(&0));
    let calls: Vec<_> = made()
        .into_iter()
        .map(grown)
        .filter(|(_, count)| *count > 0)
        .collect();
    // Which configurations use the policy, and which VMs live, this one among them.
    let expected = [
        ("clock_time_get", 1),
        ("proxy_get_shared_data", 2),
        ("proxy_set_shared_data", 1),
    ];
    assert_eq!(calls, expected);
}
