//! Guests, written in WebAssembly's text with two conveniences: every function of the interface has a short name, and
//! `$"text"` stands for a pointer and a size, as does `$pairs"name=value;name=value"` for headers as the interface has them.

use seawall_harness::abi::stream::serialise;

/// Names, functions of the interface, and their parameters; all give a status.
const IMPORTS: [(&str, &str, &str); 32] = [
    ("log", "log", "i32 i32 i32"),
    ("time", "get_current_time_nanoseconds", "i32"),
    ("tick", "set_tick_period_milliseconds", "i32"),
    ("done", "done", ""),
    ("effective", "set_effective_context", "i32"),
    ("status", "get_status", "i32 i32 i32"),
    ("buffer", "get_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("set_buffer", "set_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("buffer_status", "get_buffer_status", "i32 i32 i32"),
    ("size", "get_header_map_size", "i32 i32"),
    ("pairs", "get_header_map_pairs", "i32 i32 i32"),
    ("set_pairs", "set_header_map_pairs", "i32 i32 i32"),
    ("get", "get_header_map_value", "i32 i32 i32 i32 i32"),
    ("add", "add_header_map_value", "i32 i32 i32 i32 i32"),
    ("replace", "replace_header_map_value", "i32 i32 i32 i32 i32"),
    ("remove", "remove_header_map_value", "i32 i32 i32"),
    ("continue", "continue_stream", "i32"),
    ("close", "close_stream", "i32"),
    (
        "reply",
        "send_local_response",
        "i32 i32 i32 i32 i32 i32 i32 i32",
    ),
    (
        "http_call",
        "http_call",
        "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32",
    ),
    ("set_shared", "set_shared_data", "i32 i32 i32 i32 i32"),
    ("get_shared", "get_shared_data", "i32 i32 i32 i32 i32"),
    ("register", "register_shared_queue", "i32 i32 i32"),
    ("resolve", "resolve_shared_queue", "i32 i32 i32 i32 i32"),
    ("enqueue", "enqueue_shared_queue", "i32 i32 i32"),
    ("dequeue", "dequeue_shared_queue", "i32 i32 i32"),
    ("define", "define_metric", "i32 i32 i32 i32"),
    ("record", "record_metric", "i32 i64"),
    ("increment", "increment_metric", "i32 i64"),
    ("metric", "get_metric", "i32 i32"),
    ("property", "get_property", "i32 i32 i32 i32"),
    ("set_property", "set_property", "i32 i32 i32 i32"),
];

/// Callbacks and their shapes.
pub(crate) const CALLBACKS: [(&str, &str); 18] = [
    ("_initialize", ""),
    ("_start", ""),
    ("main", "(param i32 i32) (result i32)"),
    ("proxy_on_vm_start", "(param i32 i32) (result i32)"),
    ("proxy_on_configure", "(param i32 i32) (result i32)"),
    ("proxy_on_tick", "(param i32)"),
    ("proxy_on_queue_ready", "(param i32 i32)"),
    (
        "proxy_on_request_headers",
        "(param i32 i32 i32) (result i32)",
    ),
    ("proxy_on_request_body", "(param i32 i32 i32) (result i32)"),
    ("proxy_on_request_trailers", "(param i32 i32) (result i32)"),
    (
        "proxy_on_response_headers",
        "(param i32 i32 i32) (result i32)",
    ),
    ("proxy_on_response_body", "(param i32 i32 i32) (result i32)"),
    ("proxy_on_response_trailers", "(param i32 i32) (result i32)"),
    ("proxy_on_http_call_response", "(param i32 i32 i32 i32 i32)"),
    ("proxy_on_context_create", "(param i32 i32)"),
    ("proxy_on_log", "(param i32)"),
    ("proxy_on_done", "(param i32) (result i32)"),
    ("proxy_on_delete", "(param i32)"),
];

/// What a callback does that a guest says nothing of: it lets everything go on.
pub(crate) fn silent(name: &str) -> Option<&'static str> {
    match name {
        "proxy_on_context_create" | "proxy_on_log" | "proxy_on_delete" => Some(""),
        "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_done" => Some("(i32.const 1)"),
        name if name.starts_with("proxy_on_request") || name.starts_with("proxy_on_response") => {
            Some("(i32.const 0)")
        }
        _ => None,
    }
}

/// Helpers: what the host handed over stands at 256 (pointer) and 260 (size).
const HELPERS: &str = r#"
    (global $next (mut i32) (i32.const 32768))
    (global $mine (mut i32) (i32.const 0))
    (global $count (mut i32) (i32.const 0))
    (func (export "malloc") (param i32) (result i32)
        (global.get $next)
        (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 0)) (i32.const 7)) (i32.const -8))))
    (func $say (param i32 i32) (drop (call $log (i32.const 2) (local.get 0) (local.get 1))))
    (func $say_out (call $say (i32.load (i32.const 256)) (i32.load (i32.const 260))))
    (func $number (param $n i32) (local $at i32)
        (local.set $at (i32.const 300))
        (loop $digits
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
            (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
            (br_if $digits (local.get $n)))
        (call $say (local.get $at) (i32.sub (i32.const 300) (local.get $at))))
    (func $look (param $map i32) (param $key i32) (param $size i32)
        (call $say_if (call $get (local.get $map) (local.get $key) (local.get $size) (i32.const 256) (i32.const 260))))
    (func $know (param $path i32) (param $size i32)
        (call $say_if (call $property (local.get $path) (local.get $size) (i32.const 256) (i32.const 260))))
    (func $say_if (param $status i32)
        (if (local.get $status) (then (call $number (local.get $status))) (else (call $say_out))))
"#;

/// What a module before 0.2.0 could call instead of going on by a side's number.
const OLD_IMPORTS: [(&str, &str, &str); 4] = [
    ("configuration", "get_configuration", "i32 i32"),
    ("continue_request", "continue_request", ""),
    ("continue_response", "continue_response", ""),
    ("clear_route", "clear_route_cache", ""),
];

/// A module of these callbacks; those not named let everything go on. `more` stands beside them.
pub(crate) fn module(more: &str, callbacks: &[(&str, &str)]) -> Vec<u8> {
    assembled("0_2_1", &IMPORTS, more, callbacks, |_, shape| shape)
}

/// The same for version 0.1.0, whose headers come without their end.
pub(crate) fn old_module(more: &str, callbacks: &[(&str, &str)]) -> Vec<u8> {
    let newer = ["continue", "close"];
    let imports = IMPORTS.iter().filter(|(name, ..)| !newer.contains(name));
    let imports: Vec<_> = imports.chain(&OLD_IMPORTS).copied().collect();
    assembled(
        "0_1_0",
        &imports,
        more,
        callbacks,
        |name, shape| match name.ends_with("_headers") {
            true => "(param i32 i32) (result i32)",
            false => shape,
        },
    )
}

fn assembled(
    version: &str,
    imports: &[(&str, &str, &str)],
    more: &str,
    callbacks: &[(&str, &str)],
    shaped: fn(&str, &'static str) -> &'static str,
) -> Vec<u8> {
    let mut text = "(module\n".to_owned();
    for (name, function, parameters) in imports {
        text += &format!(
            "(import \"env\" \"proxy_{function}\" (func ${name} (param {parameters}) (result i32)))\n"
        );
    }
    text += &format!(
        "(memory (export \"memory\") 4)\n(func (export \"proxy_abi_version_{version}\"))\n"
    );
    text += HELPERS;
    text += more;
    for (name, shape) in CALLBACKS {
        let given = callbacks.iter().find(|(known, _)| *known == name);
        let body = given.map(|(_, body)| *body).or_else(|| silent(name));
        if let Some(body) = body {
            let shape = shaped(name, shape);
            text += &format!("(func (export \"{name}\") {shape} {body})\n");
        }
    }
    let (mut text, data) = with_texts(&text);
    text += &data;
    text.push(')');
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Puts a pointer and a size in the place of each `$"text"`, and gives the data they point to.
fn with_texts(text: &str) -> (String, String) {
    let (mut out, mut data, mut at) = (String::new(), String::new(), 2048);
    let mut rest = text;
    while let Some((before, after)) = next(rest) {
        let (inner, after) = after.split_once('"').expect("an end of the text");
        let (before, inner, size) = match before.strip_suffix("$pairs") {
            Some(before) => {
                let bytes = pairs(inner);
                let shown = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
                (before, shown, bytes.len())
            }
            // Each escape is a backslash and two digits for one byte.
            None => (
                before,
                inner.to_owned(),
                inner.len() - 2 * inner.matches('\\').count(),
            ),
        };
        out += &format!("{before}(i32.const {at}) (i32.const {size})");
        data += &format!("(data (i32.const {at}) \"{inner}\")\n");
        at += size;
        rest = after;
    }
    (out + rest, data)
}

/// The text before the next `$"` or `$pairs"`, with the mark of the latter, and the text after it.
fn next(text: &str) -> Option<(&str, &str)> {
    let plain = text.find("$\"");
    let pairs = text.find("$pairs\"");
    match (plain, pairs) {
        (plain, Some(pairs)) if plain.is_none_or(|plain| pairs < plain) => {
            let end = pairs + "$pairs".len();
            Some((&text[..end], &text[end + 1..]))
        }
        (Some(plain), _) => Some((&text[..plain], &text[plain + 2..])),
        (None, _) => None,
    }
}

fn pairs(text: &str) -> Vec<u8> {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    serialise(&pairs.collect())
}
