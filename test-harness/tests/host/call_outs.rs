//! A guest's own HTTP calls: numbers and statuses, what comes back, when, and what of it can be read.

use std::rc::Rc;

use seawall_harness::abi::callouts::CallOut;
use seawall_harness::abi::stream::{HeaderMap, headers, serialise, value};
use seawall_harness::abi::upstreams::{Answers, Cluster, HttpCall, HttpOutcome, HttpResponse};
use seawall_harness::process::Process;

use crate::probe::{BAD, Call, Guest, I, R, S, call, compare, reads, said, split};

const MILLI: u64 = 1_000_000;

fn asked() -> Vec<u8> {
    let asked = [(":method", "GET"), (":path", "/"), (":authority", "a")];
    serialise(&headers(&asked))
}

fn without(name: &str) -> Vec<u8> {
    let all = [(":method", "GET"), (":path", "/"), (":authority", "a")];
    let rest: Vec<_> = all.into_iter().filter(|(key, _)| *key != name).collect();
    serialise(&headers(&rest))
}

fn http<'a>(cluster: &'a [u8], asked: &'a [u8], millis: i32) -> Call<'a> {
    let parts = [S(cluster), S(asked), S(b""), S(b""), I(millis), R(0)];
    call("proxy_http_call", &parts)
}

fn clusters(process: &Process) {
    process.set_cluster("empty", Cluster::Empty);
    process.set_cluster("held", Cluster::Held);
    let later = |call: &HttpCall| {
        let path = value(&call.headers, ":path").unwrap_or_default();
        (
            30 * MILLI,
            HttpOutcome::Response(HttpResponse::new(200, &path)),
        )
    };
    process.set_cluster("up", Cluster::Answered(Rc::new(Answers(later))));
    let refuses = Answers(|_: &HttpCall| (MILLI, HttpOutcome::Refused));
    process.set_cluster("dead", Cluster::Answered(Rc::new(refuses)));
    let breaks = Answers(|_: &HttpCall| (2 * MILLI, HttpOutcome::Broken));
    process.set_cluster("breaks", Cluster::Answered(Rc::new(breaks)));
    let never = Answers(|_: &HttpCall| (0, HttpOutcome::Never));
    process.set_cluster("never", Cluster::Answered(Rc::new(never)));
}

/// A guest that makes these calls for a request and reads all it can of what comes.
fn guest(calls: &[Call<'_>]) -> Process {
    let process = Guest::new()
        .on("proxy_on_request_headers", calls)
        .on(
            "proxy_on_http_call_response",
            &[
                reads("proxy_get_header_map_value", &[I(6), S(b":status")]),
                reads("proxy_get_buffer_bytes", &[I(4), I(0), I(100)]),
                reads("proxy_get_header_map_value", &[I(7), S(b"t")]),
                reads("proxy_get_status", &[R(2)]),
            ],
        )
        .on("proxy_on_delete", &[])
        .start();
    clusters(&process);
    process
}

fn ask(process: &Process) -> Vec<String> {
    let stream = process.open(0, Default::default());
    process.request_headers(stream, HeaderMap::new(), true);
    process.close(stream);
    said(process)
}

#[test]
fn what_a_call_lacks_is_said_at_once_and_a_number_is_used_up_once_it_goes_out() {
    let (good, no_path, no_method, no_host) = (
        asked(),
        without(":path"),
        without(":method"),
        without(":authority"),
    );
    let host = serialise(&headers(&[
        (":method", "GET"),
        (":path", "/"),
        ("Host", "a"),
    ]));
    let parts = [S(b"up"), S(&good), S(b""), S(b""), I(1), BAD];
    let table = [
        (http(b"nobody", &good, 9), "2 0"),
        (http(b"up", &no_path, 9), "2 0"),
        (http(b"up", &no_method, 9), "2 0"),
        (http(b"up", &no_host, 9), "2 0"),
        (http(b"up", b"\xff\xff\xff\xff\xff", 9), "2 0"),
        (http(b"up", &good, -1), "2 0"),
        (call("proxy_http_call", &parts), "6 0"),
        (
            call(
                "proxy_http_call",
                &[S(b"up"), BAD, I(20), S(b""), S(b""), I(1), R(0)],
            ),
            "6 0",
        ),
        (http(b"empty", &good, 9), "10 0"),
        (http(b"up", &good, 9), "0 8"),
        (http(b"up", &host, 0), "0 12"),
    ];
    let (calls, expected) = split(&table);
    let lines = ask(&guest(&calls));
    compare(&lines[1..=table.len()], &expected, &calls);
}

#[test]
fn answers_come_in_the_order_of_their_time_to_the_root_though_the_stream_is_gone() {
    let good = asked();
    let process = guest(&[
        http(b"up", &good, 1_000),
        http(b"never", &good, 20),
        http(b"breaks", &good, 1_000),
        http(b"dead", &good, 0),
    ]);
    let lines = ask(&process);
    assert_eq!(lines[1..5], ["0 4", "0 8", "0 12", "0 16"]);
    assert_eq!(lines[5], "proxy_on_delete 2");
    assert_eq!(process.next_due(), Some(MILLI));
    process.advance(30 * MILLI);
    let refused = "upstream connect error or disconnect/reset before headers. reset reason: \
                   remote connection failure";
    let expected = [
        "proxy_on_http_call_response 1 16 3 97 0",
        "0 @ 503",
        &format!("0 @ {refused}"),
        "2 0",
        "0 0",
        "proxy_on_http_call_response 1 12 0 0 0",
        "2 0",
        "1 0",
        "2 0",
        "0 @ reset",
        "proxy_on_http_call_response 1 8 3 24 0",
        "0 @ 504",
        "0 @ upstream request timeout",
        "2 0",
        "0 0",
        "proxy_on_http_call_response 1 4 2 1 0",
        "0 @ 200",
        "0 @ /",
        "2 0",
        "0 0",
    ];
    let lines: Vec<String> = said(&process)
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect();
    let length = refused.len().to_string();
    let expected: Vec<String> = expected
        .iter()
        .map(|line| line.replace(" 97 ", &format!(" {length} ")))
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(process.next_due(), None);
}

#[test]
fn a_test_answers_by_hand_out_of_order_and_sees_what_was_asked() {
    let good = asked();
    let parts = [S(b"held"), S(&good), S(b"body"), S(b""), I(50), R(0)];
    let process = guest(&[call("proxy_http_call", &parts), http(b"held", &good, 0)]);
    ask(&process);
    let calls = process.call_outs();
    let [(first, CallOut::Http(asked)), (second, _)] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert_eq!((first.vm(), first.number(), second.number()), (1, 4, 8));
    assert_eq!(asked.body, b"body");
    assert_eq!(
        value(&asked.headers, "content-length").as_deref(),
        Some("4")
    );
    assert_eq!(asked.timeout, Some(50 * MILLI));
    let mut answer = HttpResponse::new(204, "");
    answer.trailers = headers(&[("t", "trailer")]);
    assert!(process.answer(*second, HttpOutcome::Response(answer)));
    assert!(!process.answer(*second, HttpOutcome::Broken), "only once");
    let lines = said(&process);
    assert_eq!(lines[0], "proxy_on_http_call_response 1 8 2 0 1");
    assert_eq!(lines[3], "0 @ trailer");
    process.advance(49 * MILLI);
    assert_eq!(said(&process), [""; 0]);
    process.advance(50 * MILLI);
    assert_eq!(said(&process)[1], "0 @ 504");
}

#[test]
fn the_end_of_a_root_or_of_its_vm_cancels_its_calls() {
    let good = asked();
    let process = guest(&[http(b"up", &good, 0)]);
    ask(&process);
    process.reconfigure(b"new").expect("taken");
    process.drop_old_roots();
    said(&process);
    process.advance(100 * MILLI);
    assert_eq!(said(&process), [""; 0]);
    ask(&process);
    process.kill(0);
    process.advance(200 * MILLI);
    assert_eq!(said(&process), [""; 0]);
    assert_eq!(process.next_due(), None);
}

#[test]
fn what_was_answered_is_out_of_reach_outside_of_its_callback() {
    let table = [
        (reads("proxy_get_header_map_pairs", &[I(6)]), "0 0"),
        (
            reads("proxy_get_header_map_value", &[I(6), S(b":status")]),
            "2 0",
        ),
        (call("proxy_get_header_map_size", &[I(6), R(0)]), "2 0"),
        (
            call("proxy_add_header_map_value", &[I(6), S(b"a"), S(b"b")]),
            "2 0",
        ),
        (reads("proxy_get_buffer_bytes", &[I(4), I(0), I(9)]), "1 0"),
        (call("proxy_get_buffer_status", &[I(4), R(0), R(1)]), "1 0"),
        (
            call("proxy_set_buffer_bytes", &[I(4), I(0), I(0), S(b"x")]),
            "1 0",
        ),
    ];
    let (calls, expected) = split(&table);
    let lines = ask(&guest(&calls));
    compare(&lines[1..=table.len()], &expected, &calls);
}
