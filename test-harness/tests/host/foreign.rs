//! Foreign functions: Envoy's own with their statuses, and one of the test's own.

use std::rc::Rc;

use seawall_harness::abi::stream::headers;

use crate::probe::{AT, BAD, Call, Guest, I, R, S, call, compare, in_root, reads, said, split};

const CALL: &str = "proxy_call_foreign_function";

fn foreign<'a>(name: &'a [u8], argument: &'a [u8]) -> Call<'a> {
    reads(CALL, &[S(name), S(argument)])
}

#[test]
fn envoys_own_functions_have_its_statuses() {
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(b"hello hello hello", 6);
    in_root(&[
        (foreign(b"nope", b""), "1 0"),
        (call(CALL, &[BAD, I(20), S(b""), AT[0], AT[1]]), "6 0"),
        (
            call(CALL, &[S(b"compress"), BAD, I(20), AT[0], AT[1]]),
            "6 0",
        ),
        (call(CALL, &[S(b"compress"), S(b"aaaa"), BAD, AT[1]]), "6 0"),
        (call(CALL, &[S(b"compress"), S(b"aaaa"), I(0), I(0)]), "0 0"),
        (foreign(b"uncompress", &packed), "0 @ hello hello hello"),
        (foreign(b"uncompress", b"nonsense"), "3 0"),
        (foreign(b"uncompress", b""), "3 0"),
        (foreign(b"sign", b""), "2 0"),
        (foreign(b"verify_signature", b"\xff\xff"), "2 0"),
        (foreign(b"clear_route_cache", b""), "0 0"),
        (
            foreign(b"declare_property", b"\x0a\x02d1\x10\x01\x28\x01"),
            "0 0",
        ),
        (foreign(b"declare_property", b"\x0a\x02d1\x10\x01"), "2 0"),
        (foreign(b"declare_property", b"\xff\xff"), "2 0"),
        (foreign(b"declare_property", b""), "0 0"),
        (
            foreign(b"set_envoy_filter_state", b"\x0a\x04nope\x12\x01v"),
            "1 0",
        ),
        (foreign(b"set_envoy_filter_state", b"\xff\xff"), "2 0"),
        (
            foreign(
                b"set_envoy_filter_state",
                b"\x0a\x17envoy.tcp_proxy.cluster\x12\x01v",
            ),
            "1 0",
        ),
        (
            foreign(
                b"expr_create",
                b"1 + 1 == 2 && plugin_name.startsWith('plug')",
            ),
            "0 @",
        ),
        (foreign(b"expr_create", b"1 +"), "2 0"),
        (foreign(b"expr_create", b"nothing.there"), "0 @ \u{1}"),
        (foreign(b"expr_evaluate", b"\0\0\0\0"), "0 @ \u{1}"),
        (foreign(b"expr_evaluate", b"\x01\0\0\0"), "10 0"),
        (foreign(b"expr_evaluate", b"\x09\0\0\0"), "1 0"),
        (foreign(b"expr_evaluate", b"\x09"), "2 0"),
        (foreign(b"expr_delete", b"\0\0\0\0"), "0 0"),
        (foreign(b"expr_evaluate", b"\0\0\0\0"), "1 0"),
        (foreign(b"expr_delete", b"\x07\0\0\0"), "0 0"),
        (foreign(b"expr_delete", b"\0"), "2 0"),
    ]);
}

#[test]
fn a_guest_that_wants_the_size_alone_gets_it() {
    let sizes = [call(CALL, &[S(b"compress"), S(&[b'a'; 1000]), I(0), R(0)])];
    let process = Guest::new().on("proxy_on_request_headers", &sizes).start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true);
    let lines = said(&process);
    let size: u32 = lines[1]["0 ".len()..].trim().parse().expect("a size");
    assert!((1..100).contains(&size), "{lines:?}");
}

#[test]
fn on_a_stream_they_act_on_that_stream() {
    let state = b"\x0a\x17envoy.tcp_proxy.cluster\x12\x02up";
    let table = [
        (foreign(b"set_envoy_filter_state", state), "0 0"),
        (
            reads(
                "proxy_get_property",
                &[S(b"filter_state\0envoy.tcp_proxy.cluster")],
            ),
            "0 @ up",
        ),
        (foreign(b"clear_route_cache", b""), "0 0"),
        (
            foreign(b"expr_create", b"request.headers['x-a'] + '!'"),
            "0 @",
        ),
        (foreign(b"expr_evaluate", b"\0\0\0\0"), "0 @ v!"),
        (
            foreign(
                b"expr_create",
                b"request.path in ['/a', '/'] ? 'yes' : 'no'",
            ),
            "0 @ \u{1}",
        ),
        (foreign(b"expr_evaluate", b"\x01\0\0\0"), "0 @ yes"),
        // Declared by the root: it can be set once.
        (call("proxy_set_property", &[S(b"once"), S(b"1")]), "0 0"),
        (call("proxy_set_property", &[S(b"once"), S(b"2")]), "2 0"),
        (reads("proxy_get_property", &[S(b"once")]), "0 @ 1"),
    ];
    let (calls, expected) = split(&table);
    let declare = [foreign(b"declare_property", b"\x0a\x04once\x10\x01")];
    let process = Guest::new()
        .on("proxy_on_configure", &declare)
        .on("proxy_on_request_headers", &calls)
        .start();
    let stream = process.open(0, Default::default());
    process.request_headers(stream, headers(&[(":path", "/"), ("x-a", "v")]), true);
    compare(&said(&process)[1..], &expected, &calls);
    assert!(process.take_route_cleared(stream));
}

#[test]
fn a_test_adds_its_own() {
    let table = [
        (foreign(b"shout", b"hey"), "0 @ HEY"),
        (foreign(b"fail", b""), "10 0"),
    ];
    let (calls, expected) = split(&table);
    let process = Guest::new().on("proxy_on_request_headers", &calls).start();
    let mut functions = process.common().foreign.borrow_mut();
    functions.insert(
        "shout".to_owned(),
        Rc::new(|_, bytes| Ok(bytes.to_ascii_uppercase())),
    );
    functions.insert("fail".to_owned(), Rc::new(|_, _| Err(10)));
    drop(functions);
    let stream = process.open(0, Default::default());
    process.request_headers(stream, Vec::new(), true);
    compare(&said(&process)[1..], &expected, &calls);
}
