//! Header maps: statuses in each phase, and what a change makes of them.

use seawall_harness::abi::stream::{headers, serialise, value};
use seawall_harness::process::Process;

use crate::probe::{BAD, Call, Guest, I, R, S, call, compare, in_root, reads, said, split};

fn size<'a>(map: i32) -> Call<'a> {
    call("proxy_get_header_map_size", &[I(map), R(0)])
}

fn pairs<'a>(map: i32) -> Call<'a> {
    reads("proxy_get_header_map_pairs", &[I(map)])
}

fn get(map: i32, key: &[u8]) -> Call<'_> {
    reads("proxy_get_header_map_value", &[I(map), S(key)])
}

fn add<'a>(map: i32, key: &'a [u8], value: &'a [u8]) -> Call<'a> {
    call("proxy_add_header_map_value", &[I(map), S(key), S(value)])
}

fn replace<'a>(map: i32, key: &'a [u8], value: &'a [u8]) -> Call<'a> {
    let parts = [I(map), S(key), S(value)];
    call("proxy_replace_header_map_value", &parts)
}

fn remove(map: i32, key: &[u8]) -> Call<'_> {
    call("proxy_remove_header_map_value", &[I(map), S(key)])
}

fn set(map: i32, bytes: &[u8]) -> Call<'_> {
    call("proxy_set_header_map_pairs", &[I(map), S(bytes)])
}

/// What every map that is out of reach says.
fn out_of_reach<'a>(map: i32) -> Vec<(Call<'a>, &'static str)> {
    vec![
        (size(map), "2 0"),
        (pairs(map), "0 0"),
        (get(map, b"x"), "2 0"),
        (add(map, b"x", b"y"), "2 0"),
        (replace(map, b"x", b"y"), "2 0"),
        (remove(map, b"x"), "2 0"),
        (set(map, b""), "2 0"),
    ]
}

/// A request with headers, a body, an answer and its end; what the callback under test said.
fn drive(name: &'static str, table: &[(Call<'_>, &str)]) -> Process {
    let (calls, expected) = split(table);
    let process = Guest::new().on(name, &calls).start();
    let stream = process.open(0, Default::default());
    let asked = headers(&[(":path", "/"), ("x-a", "1"), ("x-a", "2")]);
    process.request_headers(stream, asked, false);
    process.request_body(stream, b"body", true);
    let answer = headers(&[(":status", "200"), ("x-b", "3")]);
    process.response_headers(stream, answer, false);
    process.response_body(stream, b"", true);
    process.close(stream);
    let lines = said(&process);
    let at = lines.iter().position(|line| line.starts_with(name));
    let at = at.expect("the callback") + 1;
    compare(&lines[at..at + table.len()], &expected, &calls);
    process
}

#[test]
fn no_map_is_in_reach_of_a_root_and_some_are_none() {
    let mut table: Vec<_> = (0..=7).flat_map(out_of_reach).collect();
    for map in [8, 99, -1] {
        table.push((pairs(map), "2 0"));
        table.push((get(map, b"x"), "2 0"));
        table.push((size(map), "2 0"));
    }
    table.push((
        call(
            "proxy_get_header_map_value",
            &[I(0), BAD, I(20), R(0), R(1)],
        ),
        "6 0",
    ));
    table.push((
        call("proxy_set_header_map_pairs", &[I(0), BAD, I(20)]),
        "6 0",
    ));
    table.push((
        call("proxy_add_header_map_value", &[I(0), S(b"x"), BAD, I(20)]),
        "6 0",
    ));
    table.push((
        call("proxy_remove_header_map_value", &[I(0), BAD, I(20)]),
        "6 0",
    ));
    in_root(&table);
}

#[test]
fn the_headers_of_the_request_are_read_and_changed_in_their_own_callback() {
    let back = serialise(&headers(&[
        (":path", "/"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("B", ""),
    ]));
    let mut table = vec![
        (size(0), "0 14"),
        (get(0, b"X-A"), "0 @ 1"),
        (get(0, b"x-absent"), "1 0"),
        (call("proxy_get_header_map_size", &[I(0), BAD]), "6 0"),
        (
            call("proxy_get_header_map_pairs", &[I(0), BAD, R(1)]),
            "6 0",
        ),
        (
            call("proxy_get_header_map_value", &[I(0), S(b"x-a"), BAD, R(1)]),
            "6 0",
        ),
        (add(0, b"x-a", b"9"), "0 0"),
        (replace(0, b"X-A", b"8"), "0 0"),
        (get(0, b"x-a"), "0 @ 8"),
        (size(0), "0 10"),
        (remove(0, b"x-a"), "0 0"),
        (remove(0, b"x-a"), "0 0"),
        (get(0, b"x-a"), "1 0"),
        // What cannot be read is no pairs at all.
        (set(0, b"\xff\xff\xff\xff\xff"), "0 0"),
        (size(0), "0 0"),
        (pairs(0), "0 0"),
        (set(0, &back), "0 0"),
        (size(0), "0 15"),
        (get(0, b"b"), "0 0"),
        (add(0, b"Host", b"h"), "0 0"),
        (get(0, b":authority"), "0 @ h"),
        (add(0, b"accept", b"one"), "0 0"),
        (add(0, b"accept", b"two"), "0 0"),
        (get(0, b"accept"), "0 @ one,two"),
    ];
    table.extend(out_of_reach(1));
    table.extend(out_of_reach(2));
    table.extend(out_of_reach(3));
    drive("proxy_on_request_headers", &table);
}

#[test]
fn a_body_that_ends_without_trailers_can_be_given_some() {
    let mut table = out_of_reach(0);
    table.push((get(1, b"t"), "2 0"));
    table.push((size(1), "0 0"));
    table.push((get(1, b"t"), "1 0"));
    table.push((add(1, b"t", b"v"), "0 0"));
    table.push((get(1, b"t"), "0 @ v"));
    drive("proxy_on_request_body", &table);
    let add = [add(3, b"t", b"v")];
    let process = Guest::new().on("proxy_on_response_body", &add).start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, headers(&[]), true);
    process.response_headers(stream, headers(&[(":status", "200")]), false);
    process.response_body(stream, b"x", false);
    process.response_body(stream, b"", true);
    let trailers = process.header_map(stream, 3);
    assert_eq!(value(&trailers, "t").as_deref(), Some("v"));
    assert_eq!(
        said(&process)[1..],
        ["2 0", "proxy_on_response_body 2 0 1", "0 0"]
    );
}

#[test]
fn the_answer_has_its_own_maps_and_the_log_reads_three_of_the_four() {
    let mut table = out_of_reach(0);
    table.push((get(2, b"x-b"), "0 @ 3"));
    table.push((add(2, b"x-b", b"4"), "0 0"));
    drive("proxy_on_response_headers", &table);
    let nothing = |map| {
        [
            (size(map), "2 0"),
            (get(map, b"x"), "1 0"),
            (add(map, b"x", b""), "2 0"),
        ]
    };
    let mut table = vec![(get(0, b"x-a"), "0 @ 1"), (get(2, b"x-b"), "0 @ 3")];
    for map in [0, 1, 2, 3, 4, 6] {
        table.extend(nothing(map));
    }
    drive("proxy_on_log", &table);
    let table: Vec<_> = (0..=3).flat_map(out_of_reach).collect();
    drive("proxy_on_done", &table);
}

#[test]
fn a_change_of_the_request_lets_the_route_be_chosen_anew() {
    for (calls, cleared) in [
        (vec![get(0, b"x-a"), add(2, b"x", b"y")], false),
        (vec![add(0, b"x", b"y")], true),
        (vec![remove(0, b"absent")], true),
    ] {
        let process = Guest::new().on("proxy_on_request_headers", &calls).start();
        let stream = process.open(0, Default::default());
        process.request_headers(stream, headers(&[("x-a", "1")]), true);
        assert_eq!(process.take_route_cleared(stream), cleared);
        assert!(!process.take_route_cleared(stream));
    }
}
