//! Buffers: which there are in which phase, bounds, and what can be changed.

use seawall_harness::process::{Flow, ProcessOptions};

use crate::probe::{BAD, Call, Guest, I, R, S, call, compare, in_root, reads, said, split};

fn status<'a>(buffer: i32) -> Call<'a> {
    call("proxy_get_buffer_status", &[I(buffer), R(0), R(1)])
}

fn get<'a>(buffer: i32, start: i32, most: i32) -> Call<'a> {
    reads("proxy_get_buffer_bytes", &[I(buffer), I(start), I(most)])
}

fn set(buffer: i32, start: i32, length: i32, bytes: &[u8]) -> Call<'_> {
    let parts = [I(buffer), I(start), I(length), S(bytes)];
    call("proxy_set_buffer_bytes", &parts)
}

#[test]
fn most_buffers_without_content_are_empty_and_some_are_not_there() {
    let mut table = Vec::new();
    for empty in [0, 1, 2, 3, 5] {
        table.push((status(empty), "0 0"));
        table.push((get(empty, 0, 100), "0 0"));
        table.push((set(empty, 0, 0, b"abc"), "2 0"));
    }
    table.extend([
        (status(4), "1 0"),
        (get(4, 0, 100), "1 0"),
        (set(4, 0, 0, b"abc"), "1 0"),
        (status(9), "2 0"),
        (get(9, 0, 100), "2 0"),
        (set(9, 0, 0, b"abc"), "2 0"),
        (status(6), "0 6"),
        (get(6, 0, 100), "0 @ vmconf"),
        (get(6, 2, 2), "0 @ co"),
        (get(6, 0, 0), "0 0"),
        (get(6, 6, 2), "0 0"),
        (get(6, 1, -1), "0 @ mconf"),
        (set(6, 0, 0, b"abc"), "2 0"),
        (
            call("proxy_get_buffer_bytes", &[I(6), I(0), I(2), BAD, R(1)]),
            "6 0",
        ),
        (call("proxy_get_buffer_status", &[I(6), BAD, R(1)]), "6 0"),
        (status(7), "0 8"),
        (get(7, 0, 100), "0 @ plugconf"),
        (set(7, 0, 0, b"abc"), "2 0"),
        // What was looked at last.
        (status(8), "0 8"),
        (get(8, 4, 100), "0 @ conf"),
        (set(8, 0, 0, b"abc"), "2 0"),
    ]);
    in_root(&table);
}

#[test]
fn the_plugins_configuration_is_there_when_its_root_is_made_and_when_it_is_taken() {
    let look = [get(7, 0, 100)];
    let guest = Guest::new()
        .on("proxy_on_context_create", &look)
        .on("proxy_on_vm_start", &look)
        .on("proxy_on_configure", &look)
        .on("proxy_on_request_headers", &look);
    let process = guest.start_with(ProcessOptions {
        configuration: b"p".to_vec(),
        ..ProcessOptions::default()
    });
    let lines = said(&process);
    assert_eq!([&lines[1], &lines[3], &lines[5]], ["0 @ p", "1 0", "0 @ p"]);
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true);
    assert_eq!(
        said(&process),
        [
            "proxy_on_context_create 2 1",
            "1 0",
            "proxy_on_request_headers 2 0 1",
            "1 0"
        ]
    );
}

#[test]
fn a_body_is_changed_at_its_ends_or_whole() {
    let table = [
        (status(0), "0 5"),
        (get(0, 1, 2), "0 @ el"),
        (get(0, 5, 2), "0 0"),
        (set(0, 1, 1, b"Z"), "2 0"),
        (set(0, 0, 2, b"Z"), "0 0"),
        (set(0, 0, 0, b"<<"), "0 0"),
        (set(0, 99, 0, b">>"), "0 0"),
        (get(0, 0, 99), "0 @ <<Zllo>>"),
        (
            call("proxy_set_buffer_bytes", &[I(0), I(0), I(0), BAD, I(20)]),
            "6 0",
        ),
        (set(0, 0, 99, b"all new"), "0 0"),
        (status(0), "0 7"),
        (status(1), "0 0"),
        (set(1, 0, 0, b"x"), "2 0"),
    ];
    let (calls, expected) = split(&table);
    let process = Guest::new().on("proxy_on_request_body", &calls).start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), false);
    assert_eq!(
        process.request_body(stream, b"hello", false),
        Flow::Continue
    );
    compare(&said(&process)[1..], &expected, &calls);
    assert_eq!(process.take_body(stream, 0), b"all new");
}

#[test]
fn what_waits_goes_on_when_a_guest_resumes_it_and_is_out_of_reach_then() {
    let resume = [
        call("proxy_continue_stream", &[I(0)]),
        status(0),
        set(0, 0, 0, b"late"),
    ];
    let process = Guest::new()
        .on_with("proxy_on_request_body", &[set(0, 99, 0, b"!")], 1)
        .on("proxy_on_response_trailers", &resume)
        .start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), false);
    assert_eq!(process.request_body(stream, b"one", false), Flow::Pause);
    assert_eq!(process.request_body(stream, b"two", true), Flow::Pause);
    assert_eq!(process.take_body(stream, 0), b"");
    said(&process);
    process.response_trailers(stream, Vec::new());
    assert_eq!(said(&process)[1..], ["0 0", "0 0", "2 0"]);
    assert_eq!(process.take_body(stream, 0), b"one!two!");
}
