//! A guest's own gRPC calls and streams.

use std::rc::Rc;

use seawall_harness::abi::callouts::CallOut;
use seawall_harness::abi::stream::{HeaderMap, headers};
use seawall_harness::abi::upstreams::{Cluster, GrpcCall, GrpcEvent, GrpcOutcome, Upstream};
use seawall_harness::process::Process;

use crate::probe::{BAD, Call, Guest, I, R, S, call, compare, reads, said, split};

const MILLI: u64 = 1_000_000;

/// Answers calls with their own message, and each message of a stream with itself; a last one ends it.
struct Echo;

impl Upstream for Echo {
    fn grpc(&self, call: &GrpcCall) -> (u64, GrpcOutcome) {
        let outcome = match call.method.as_str() {
            "Fail" => GrpcOutcome::Status(5, "no such thing".to_owned()),
            "Never" => GrpcOutcome::Never,
            _ => GrpcOutcome::Message(call.message.clone()),
        };
        (MILLI, outcome)
    }

    fn opened(&self, _: &GrpcCall) -> Vec<(u64, GrpcEvent)> {
        vec![(MILLI, GrpcEvent::InitialMetadata(headers(&[("i", "1")])))]
    }

    fn sent(&self, _: &GrpcCall, message: &[u8], end: bool) -> Vec<(u64, GrpcEvent)> {
        let mut events = vec![(2 * MILLI, GrpcEvent::Message(message.to_vec()))];
        if end {
            let trailing = headers(&[("t", "2"), ("u", "3")]);
            events.push((3 * MILLI, GrpcEvent::TrailingMetadata(trailing)));
            events.push((3 * MILLI, GrpcEvent::Close(0, String::new())));
        }
        events
    }
}

fn unary<'a>(service: &'a [u8], method: &'a [u8], millis: i32) -> Call<'a> {
    let parts = [
        S(service),
        S(b"svc"),
        S(method),
        S(b""),
        S(b"hello"),
        I(millis),
        R(0),
    ];
    call("proxy_grpc_call", &parts)
}

fn stream(service: &[u8]) -> Call<'_> {
    let parts = [S(service), S(b"svc"), S(b"Echo"), S(b""), R(0)];
    call("proxy_grpc_stream", &parts)
}

fn send(id: i32, message: &[u8], end: i32) -> Call<'_> {
    call("proxy_grpc_send", &[I(id), S(message), I(end)])
}

fn guest(calls: &[Call<'_>]) -> Process {
    let process = Guest::new()
        .on("proxy_on_request_headers", calls)
        .on(
            "proxy_on_grpc_receive_initial_metadata",
            &[reads("proxy_get_header_map_value", &[I(4), S(b"i")])],
        )
        .on(
            "proxy_on_grpc_receive",
            &[reads("proxy_get_buffer_bytes", &[I(5), I(0), I(99)])],
        )
        .on(
            "proxy_on_grpc_receive_trailing_metadata",
            &[reads("proxy_get_header_map_value", &[I(5), S(b"t")])],
        )
        .on("proxy_on_grpc_close", &[reads("proxy_get_status", &[R(2)])])
        .start();
    process.set_cluster("up", Cluster::Answered(Rc::new(Echo)));
    process.set_cluster("empty", Cluster::Empty);
    process.set_cluster("held", Cluster::Held);
    process
}

fn ask(process: &Process) -> Vec<String> {
    let request = process.open(0, Default::default());
    process.request_headers(request, HeaderMap::new(), true);
    process.close(request);
    said(process)
}

#[test]
fn statuses_of_calls_and_streams() {
    // Envoy's message for a service: the cluster "up", and one that is not there.
    let (message, absent) = (b"\x0a\x04\x0a\x02up", b"\x0a\x04\x0a\x02no");
    let bad_place = [S(b"up"), S(b"svc"), S(b"m"), S(b""), BAD];
    let table = [
        (unary(b"nobody", b"m", 9), "4 0"),
        (unary(b"up", b"m", 9), "0 5"),
        (unary(message, b"m", 9), "0 9"),
        (unary(absent, b"m", 9), "10 0"),
        (unary(b"empty", b"m", 9), "10 0"),
        (stream(b"nobody"), "4 0"),
        (stream(b"up"), "0 6"),
        (call("proxy_grpc_stream", &bad_place), "6 0"),
        (
            call(
                "proxy_grpc_stream",
                &[BAD, I(20), S(b"s"), S(b"m"), S(b""), R(0)],
            ),
            "6 0",
        ),
        (call("proxy_grpc_send", &[I(6), BAD, I(20), I(0)]), "6 0"),
        (send(4, b"m", 0), "2 0"),
        (send(5, b"m", 0), "2 0"),
        (send(7, b"m", 0), "2 0"),
        (send(402, b"m", 0), "1 0"),
        (call("proxy_grpc_close", &[I(4)]), "2 0"),
        (call("proxy_grpc_cancel", &[I(7)]), "2 0"),
        (call("proxy_grpc_close", &[I(401)]), "1 0"),
        (call("proxy_grpc_cancel", &[I(401)]), "1 0"),
        (call("proxy_grpc_close", &[I(402)]), "1 0"),
        (call("proxy_grpc_cancel", &[I(402)]), "1 0"),
        (call("proxy_grpc_close", &[I(5)]), "0 0"),
        (call("proxy_grpc_cancel", &[I(5)]), "1 0"),
        (send(6, b"m", 0), "0 0"),
        (call("proxy_grpc_close", &[I(6)]), "0 0"),
        (call("proxy_grpc_cancel", &[I(6)]), "0 0"),
        (call("proxy_grpc_cancel", &[I(6)]), "1 0"),
    ];
    let (calls, expected) = split(&table);
    let lines = ask(&guest(&calls));
    compare(&lines[1..=table.len()], &expected, &calls);
}

#[test]
fn a_call_gets_a_message_or_a_status_and_a_time_out_is_status_14() {
    let process = guest(&[
        unary(b"up", b"Echo", 100),
        unary(b"up", b"Fail", 100),
        unary(b"up", b"Never", 20),
    ]);
    ask(&process);
    process.advance(50 * MILLI);
    assert_eq!(
        said(&process),
        [
            "proxy_on_grpc_receive 1 5 5",
            "0 @ hello",
            "proxy_on_grpc_close 1 9 5",
            "0 @ no such thing",
            "proxy_on_grpc_close 1 13 14",
            "0 @ upstream request timeout{response_timeout}",
        ]
    );
    assert!(process.call_outs().is_empty());
}

#[test]
fn a_stream_has_metadata_messages_and_an_end() {
    let process = guest(&[stream(b"up"), send(6, b"one", 0), send(6, b"two", 1)]);
    assert_eq!(ask(&process)[1..], ["0 6", "0 0", "0 0"]);
    let calls = process.call_outs();
    let [(_, CallOut::Stream(_, sent))] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    let expected = [(b"one".to_vec(), false), (b"two".to_vec(), true)];
    assert_eq!(*sent, expected);
    process.advance(10 * MILLI);
    assert_eq!(
        said(&process),
        [
            "proxy_on_grpc_receive_initial_metadata 1 6 1",
            "0 @ 1",
            "proxy_on_grpc_receive 1 6 3",
            "0 @ one",
            "proxy_on_grpc_receive 1 6 3",
            "0 @ two",
            "proxy_on_grpc_receive_trailing_metadata 1 6 2",
            "0 @ 2",
            "proxy_on_grpc_close 1 6 0",
            "0 0",
        ]
    );
}

#[test]
fn a_stream_is_driven_by_hand_and_a_cancelled_one_is_silent() {
    let process = guest(&[
        stream(b"held"),
        stream(b"held"),
        call("proxy_grpc_cancel", &[I(10)]),
    ]);
    ask(&process);
    let calls = process.call_outs();
    let [(id, _)] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert!(process.stream_event(*id, GrpcEvent::Message(b"x".to_vec())));
    assert!(process.stream_event(*id, GrpcEvent::Close(13, "broken".to_owned())));
    assert!(!process.stream_event(*id, GrpcEvent::Message(b"y".to_vec())));
    assert_eq!(
        said(&process),
        [
            "proxy_on_grpc_receive 1 6 1",
            "0 @ x",
            "proxy_on_grpc_close 1 6 13",
            "0 @ broken",
        ]
    );
}
