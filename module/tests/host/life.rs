//! Loading, configurations, panics, idle threads.

use crate::envoy::{self, Config, request};

/// 20 at a time, no more.
const BULKHEAD: &str = r#"{"version":1,"policies":{"default":{"bulkhead":{"max_concurrent":20}}}}"#;

#[test]
fn the_module_says_which_abi_it_speaks() {
    assert_eq!(envoy::load(), "v0.1.0");
}

#[test]
fn a_configuration_that_is_wrong_is_refused() {
    for wrong in [
        "",
        "{",
        "[]",
        r#"{"version":2}"#,
        r#"{"version":1,"policies":{"default":{"breakr":{}}}}"#,
    ] {
        assert!(Config::load("seawall", wrong).is_none(), "{wrong}");
    }
    let not_text = "\u{0}\u{1}";
    assert!(Config::load(not_text, not_text).is_none());
}

/// The host claims more header lines than any memory holds: what makes room for them panics.
#[test]
fn a_panic_passes_the_request_is_counted_and_leaves_nothing_held() {
    envoy::load();
    let config = Config::load("panics", BULKHEAD).unwrap();
    let mut good = config.stream(request("panics"));
    assert_eq!(good.request_headers(true), 0);
    for _ in 0..100 {
        let mut stream = config.stream(request("panics"));
        stream.known().claims = Some(usize::MAX);
        assert_eq!(stream.request_headers(true), 0, "passes");
        stream.known().claims = None;
        assert_eq!(stream.respond("200"), 0);
    }
    assert_eq!(good.respond("200"), 0);
    drop(good);
    config.until("the panics are counted", || {
        envoy::sum(&["seawall_host_errors", "call=panic"]) >= 100
    });
    config.until("all twenty slots can be had", || {
        let held: Vec<_> = (0..20).map(|_| config.stream(request("panics"))).collect();
        held.iter().all(|stream| stream.request_headers(true) == 0)
    });
}

#[test]
fn what_an_idle_thread_has_counted_is_told_without_another_request() {
    envoy::load();
    let config = Config::load("idle", BULKHEAD).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..50 {
                let mut stream = config.stream(request("idle"));
                assert_eq!(stream.request_headers(true), 0);
                stream.respond("200");
                stream.complete();
            }
            let counted = ["seawall_decisions", "upstream=idle", "decision=admitted"];
            config.until("fifty are told", || envoy::sum(&counted) == 50);
        });
    });
}

/// A thread that has a stream does its own tick, when that stream wakes it.
#[test]
fn a_thread_with_a_stream_is_woken_by_it() {
    envoy::load();
    let config = Config::load("woken", BULKHEAD).unwrap();
    let stream = config.stream(request("woken"));
    assert_eq!(stream.request_headers(true), 0);
    let held = ["seawall_in_flight", "upstream=woken"];
    config.until("the slot is shown", || {
        stream.run_woken();
        envoy::sum(&held) == 1
    });
    drop(stream);
    config.until("it is given back", || envoy::sum(&held) == 0);
}

#[test]
fn a_configuration_that_goes_takes_its_schedulers_along() {
    envoy::load();
    for round in 0..50 {
        let config = Config::load("goes", BULKHEAD).unwrap();
        let second = Config::load("goes", BULKHEAD).unwrap();
        let stream = config.stream(request("goes"));
        assert_eq!(stream.request_headers(true), 0);
        drop(stream);
        // Places of one configuration are one: the other still stands.
        drop(config);
        let stream = second.stream(request("goes"));
        assert_eq!(stream.request_headers(true), 0, "{round}");
    }
    assert!(envoy::schedulers() < 50, "{}", envoy::schedulers());
}

/// Envoy 1.39 does so where a failure is replaced.
#[test]
fn a_stream_that_ends_while_its_reply_is_sent_is_left_alone_from_then_on() {
    envoy::load();
    let policy = r#"{"version":1,"policies":{"default":{"breaker":{"mode":"off"},"bulkhead":{"max_concurrent":1},"fallback":[{"static":{"body":"sorry"}}]}}}"#;
    let config = Config::load("dies", policy).unwrap();
    let held = config.stream(request("dies"));
    assert_eq!(held.request_headers(true), 0);
    for _ in 0..100 {
        // A refusal, and a failure that is replaced.
        let mut refused = config.stream(request("dies"));
        refused.known().dies_with_reply = true;
        assert_eq!(refused.request_headers(true), 4, "it stays");
        let mut failed = config.stream(request("other"));
        failed.known().dies_with_reply = true;
        assert_eq!(failed.request_headers(true), 0);
        assert_eq!(failed.respond("503"), 4, "it stays");
        assert_eq!(failed.known().replied, Some(200));
    }
    drop(held);
    config.until("all slots are given back", || {
        envoy::sum(&["seawall_in_flight", "upstream=dies"]) == 0
            && envoy::sum(&["seawall_in_flight", "upstream=other"]) == 0
    });
}
