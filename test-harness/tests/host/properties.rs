//! Properties: which there are in which phase, and what a guest sets.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Process, Surroundings};

use crate::probe::{BAD, Call, Guest, I, R, S, call, compare, in_root, reads, said, split};

fn get(path: &[u8]) -> Call<'_> {
    reads("proxy_get_property", &[S(path)])
}

fn set<'a>(path: &'a [u8], value: &'a [u8]) -> Call<'a> {
    call("proxy_set_property", &[S(path), S(value)])
}

fn number(value: u64) -> String {
    let text = String::from_utf8_lossy(&value.to_le_bytes()).into_owned();
    let line = format!("0 @ {text}");
    line.trim_end_matches(['\0', ' ']).to_owned()
}

#[test]
fn a_root_knows_its_plugin_and_nothing_of_any_request() {
    in_root(&[
        (get(b""), "3 0"),
        (get(b"plugin_name"), "0 @ plugin"),
        (get(b"plugin_root_id"), "0 @ root"),
        (get(b"plugin_vm_id"), "0 @ vm"),
        (get(b"request"), "1 0"),
        (get(b"request\0path"), "1 0"),
        (get(b"source\0address"), "1 0"),
        (get(b"xds\0cluster_name"), "1 0"),
        (get(b"connection_id"), "1 0"),
        (get(b"filter_state"), "1 0"),
        (get(b"nope"), "1 0"),
        (set(b"k", b"v"), "1 0"),
        (get(b"k"), "1 0"),
        (call("proxy_get_property", &[BAD, I(20), R(0), R(1)]), "6 0"),
        (
            call("proxy_get_property", &[S(b"plugin_name"), BAD, R(1)]),
            "6 0",
        ),
        (call("proxy_set_property", &[S(b"k"), BAD, I(20)]), "6 0"),
    ]);
}

/// A request from its headers to its log; what the callback under test said.
fn drive(name: &'static str, table: &[(Call<'_>, &str)]) -> Process {
    let (calls, expected) = split(table);
    let process = Guest::new().on(name, &calls).start();
    process.set_now(7_000);
    let surroundings = Surroundings {
        source: "10.0.0.1:4242".to_owned(),
        cluster: Some("up".to_owned()),
        route: "rt".to_owned(),
        route_metadata: vec![("ns".to_owned(), "key".to_owned(), "val".to_owned())],
        ..Surroundings::default()
    };
    let stream = process.open(0, surroundings.properties());
    let asked = headers(&[
        (":path", "/p?q=1"),
        (":authority", "host"),
        (":method", "POST"),
        (":scheme", "http"),
        ("user-agent", "curl"),
        ("x-request-id", "id"),
        ("content-length", "5"),
        ("x-a", "v"),
    ]);
    process.request_headers(stream, asked, false);
    process.request_body(stream, b"hello", true);
    let answer = headers(&[(":status", "404"), ("x-b", "w")]);
    process.response_headers(stream, answer, false);
    process.response_body(stream, b"abc", true);
    process.set_now(9_000);
    process.close(stream);
    let lines = said(&process);
    let at = lines.iter().position(|line| line.starts_with(name));
    let at = at.expect("the callback") + 1;
    compare(&lines[at..at + table.len()], &expected, &calls);
    process
}

const OF_HEADERS: [(&[u8], &str); 9] = [
    (b"request\0path", "0 @ /p?q=1"),
    (b"request\0url_path", "0 @ /p"),
    (b"request\0query", "0 @ q=1"),
    (b"request\0host", "0 @ host"),
    (b"request\0scheme", "0 @ http"),
    (b"request\0method", "0 @ POST"),
    (b"request\0useragent", "0 @ curl"),
    (b"request\0id", "0 @ id"),
    (b"request\0headers\0X-A", "0 @ v"),
];

#[test]
fn a_request_is_known_by_its_headers_and_its_surroundings() {
    let mut table: Vec<(Call<'_>, &str)> =
        OF_HEADERS.map(|(path, value)| (get(path), value)).to_vec();
    let (five, port, two) = (number(5), number(4242), number(2));
    table.extend([
        (get(b"request"), "3 0"),
        (get(b"request\0"), "3 0"),
        (get(b"\0request"), "1 0"),
        (get(b"request\0nope"), "1 0"),
        (get(b"request\0referer"), "1 0"),
        (get(b"request\0protocol"), "0 @ HTTP/1.1"),
        (get(b"request\0size"), five.as_str()),
        (get(b"request\0duration"), "1 0"),
        (get(b"response\0code"), "1 0"),
        (get(b"response\0code_details"), "1 0"),
        (get(b"response\0flags"), "0 @"),
        (get(b"response\0size"), "0 @"),
        (get(b"response\0grpc_status"), "1 0"),
        (get(b"source\0address"), "0 @ 10.0.0.1:4242"),
        (get(b"source\0port"), port.as_str()),
        (get(b"connection\0mtls"), "0 @"),
        (get(b"connection\0requested_server_name"), "0 0"),
        (get(b"connection\0tls_version"), "1 0"),
        (get(b"connection\0id"), "0 @"),
        (get(b"metadata"), "0 0"),
        (get(b"upstream\0address"), "1 0"),
        (get(b"xds\0cluster_name"), "0 @ up"),
        (get(b"xds\0route_name"), "0 @ rt"),
        (get(b"xds\0listener_direction"), two.as_str()),
        (
            get(b"xds\0route_metadata\0filter_metadata\0ns\0key"),
            "0 @ val",
        ),
        (get(b"cluster_name"), "1 0"),
        (get(b"node\0id"), "1 0"),
        (get(b"plugin_name"), "0 0"),
        (get(b"filter_state"), "3 0"),
    ]);
    drive("proxy_on_request_headers", &table);
}

#[test]
fn what_comes_from_headers_goes_with_them_and_is_back_in_the_log() {
    let gone: Vec<(Call<'_>, &str)> = OF_HEADERS.map(|(path, _)| (get(path), "1 0")).to_vec();
    drive("proxy_on_request_body", &gone);
    let (code, five, three, took) = (number(404), number(5), number(3), number(2_000));
    let mut table = gone.clone();
    table.extend([
        (get(b"request\0size"), five.as_str()),
        (get(b"request\0headers"), "0 @"),
        (get(b"response\0code"), code.as_str()),
        (get(b"response\0code_details"), "0 @ via_upstream"),
        (get(b"response\0headers\0x-b"), "0 @ w"),
        (get(b"response\0trailers\0x-b"), "1 0"),
        (get(b"xds\0cluster_name"), "0 @ up"),
    ]);
    drive("proxy_on_response_headers", &table);
    let mut table: Vec<(Call<'_>, &str)> =
        OF_HEADERS.map(|(path, value)| (get(path), value)).to_vec();
    let (twelve, total) = (number(12), number(5 + 94));
    table.extend([
        (get(b"request\0duration"), took.as_str()),
        (get(b"request\0total_size"), total.as_str()),
        (get(b"response\0size"), three.as_str()),
        (get(b"response\0grpc_status"), twelve.as_str()),
        (get(b"response\0headers\0x-b"), "0 @ w"),
    ]);
    drive("proxy_on_log", &table);
    drive("proxy_on_done", &gone);
}

#[test]
fn what_a_guest_sets_is_read_under_its_whole_name() {
    drive(
        "proxy_on_request_headers",
        &[
            (set(b"k", b"one"), "0 0"),
            (get(b"k"), "0 @ one"),
            (set(b"k", b"two"), "0 0"),
            (get(b"k"), "0 @ two"),
            (get(b"filter_state\0wasm.k"), "0 @ two"),
            (get(b"wasm.k"), "1 0"),
            (get(b"k\0x"), "1 0"),
            (set(b"a\0b", b"v"), "0 0"),
            (get(b"a\0b"), "1 0"),
            (set(b"", b"v"), "0 0"),
            (set(b"request", b"v"), "0 0"),
            (get(b"request\0method"), "0 @ POST"),
            (get(b"request"), "3 0"),
        ],
    );
    drive(
        "proxy_on_log",
        &[(set(b"late", b"v"), "0 0"), (get(b"late"), "0 @ v")],
    );
}
