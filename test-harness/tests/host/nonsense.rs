//! Guests that call everything with anything: the host answers with statuses, and it and the guest live on.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seawall_harness::abi::stream::headers;
use seawall_harness::abi::upstreams::Cluster;
use seawall_harness::process::{Closed, FailurePolicy, ProcessOptions};

use crate::probe::{Arg, Call, Guest, I, L, R, S, call};

/// Each function and what it takes: `i` a number, `s` bytes, `l` a long number, `r` a place.
const FUNCTIONS: [(&str, &str); 50] = [
    ("proxy_log", "is"),
    ("proxy_get_log_level", "r"),
    ("proxy_get_current_time_nanoseconds", "r"),
    ("proxy_set_tick_period_milliseconds", "i"),
    ("proxy_done", ""),
    ("proxy_set_effective_context", "i"),
    ("proxy_get_status", "rrr"),
    ("proxy_get_buffer_bytes", "iiirr"),
    ("proxy_set_buffer_bytes", "iiis"),
    ("proxy_get_buffer_status", "irr"),
    ("proxy_get_header_map_size", "ir"),
    ("proxy_get_header_map_pairs", "irr"),
    ("proxy_set_header_map_pairs", "is"),
    ("proxy_get_header_map_value", "isrr"),
    ("proxy_add_header_map_value", "iss"),
    ("proxy_replace_header_map_value", "iss"),
    ("proxy_remove_header_map_value", "is"),
    ("proxy_continue_stream", "i"),
    ("proxy_close_stream", "i"),
    ("proxy_send_local_response", "isssi"),
    ("proxy_http_call", "ssssir"),
    ("proxy_grpc_call", "sssssir"),
    ("proxy_grpc_stream", "ssssr"),
    ("proxy_grpc_send", "isi"),
    ("proxy_grpc_cancel", "i"),
    ("proxy_grpc_close", "i"),
    ("proxy_set_shared_data", "ssi"),
    ("proxy_get_shared_data", "srrr"),
    ("proxy_register_shared_queue", "sr"),
    ("proxy_resolve_shared_queue", "ssr"),
    ("proxy_enqueue_shared_queue", "is"),
    ("proxy_dequeue_shared_queue", "irr"),
    ("proxy_define_metric", "isr"),
    ("proxy_record_metric", "il"),
    ("proxy_increment_metric", "il"),
    ("proxy_get_metric", "ir"),
    ("proxy_get_property", "srr"),
    ("proxy_set_property", "ss"),
    ("proxy_call_foreign_function", "ssrr"),
    ("fd_write", "iiir"),
    ("fd_fdstat_get", "ir"),
    ("fd_seek", "ilir"),
    ("clock_time_get", "ilr"),
    ("random_get", "ri"),
    ("environ_get", "rr"),
    ("environ_sizes_get", "rr"),
    ("args_sizes_get", "rr"),
    ("poll_oneoff", "iiir"),
    ("fd_prestat_get", "ir"),
    ("sched_yield", ""),
];

const NUMBERS: [i32; 15] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    131_071,
    131_072,
    -1,
    i32::MAX,
    i32::MIN,
];
const BYTES: [&[u8]; 14] = [
    b"",
    b"x",
    b"up",
    b"held",
    b":path",
    b"request\0headers",
    b"response\0trailers\0",
    b"\0\0",
    b"\xff\xfe",
    b"\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"expr_create",
    b"uncompress",
    b"\x0a\x04\x0a\x02up",
];

fn any<'a>(random: &mut ChaCha8Rng, shape: &str) -> Vec<Arg<'a>> {
    let mut arguments = Vec::new();
    for kind in shape.chars() {
        let number = NUMBERS[random.random_range(0..NUMBERS.len())];
        // A call now and then points anywhere.
        let wild = random.random_range(0..8) == 0;
        match kind {
            's' if wild => arguments.extend([I(number), I(number)]),
            's' => arguments.push(S(BYTES[random.random_range(0..BYTES.len())])),
            'l' => arguments.push(L(i64::from(number) << 31)),
            'r' if !wild => arguments.push(R(random.random_range(0..3))),
            _ => arguments.push(I(number)),
        }
    }
    arguments
}

#[test]
fn no_call_with_any_argument_in_any_phase_ends_the_guest_or_the_host() {
    const SEED: u64 = 17;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    for round in 0..40 {
        let mut calls = || -> Vec<Call<'_>> {
            let some = (0..40).map(|_| {
                let (name, shape) = FUNCTIONS[random.random_range(0..FUNCTIONS.len())];
                call(name, &any(&mut random, shape))
            });
            some.collect()
        };
        let mut guest = Guest::new();
        for name in [
            "proxy_on_vm_start",
            "proxy_on_configure",
            "proxy_on_tick",
            "proxy_on_request_headers",
            "proxy_on_request_body",
            "proxy_on_response_headers",
            "proxy_on_response_body",
            "proxy_on_log",
            "proxy_on_done",
            "proxy_on_http_call_response",
            "proxy_on_grpc_close",
            "proxy_on_queue_ready",
            "proxy_on_downstream_data",
        ] {
            guest = guest.on(name, &calls());
        }
        let process = guest.start_with(ProcessOptions {
            failure_policy: FailurePolicy::Closed,
            seed: SEED,
            ..ProcessOptions::default()
        });
        process.set_cluster("up", Cluster::Empty);
        process.set_cluster("held", Cluster::Held);
        for at in 1..4 {
            let stream = process.open(0, Default::default());
            process.request_headers(stream, headers(&[(":path", "/"), ("x", "1")]), false);
            process.request_body(stream, b"body", true);
            process.response_headers(stream, headers(&[(":status", "200")]), false);
            process.response_body(stream, b"body", true);
            process.close(stream);
            let (connection, _) = process.connect(0, Default::default());
            process.downstream_data(connection, b"data", true);
            process.close_downstream(connection, Closed::Local);
            // A queue whose reader writes to it is ready for ever: a tick does not wait for it.
            process.set_now(at * 1_000_000_000);
            process.tick();
        }
        let trapped: Vec<_> = process
            .take_log()
            .into_iter()
            .filter(|line| line.level == 5 && line.text.contains("trapped"))
            .collect();
        assert_eq!(trapped, [], "round {round} of seed {SEED}");
    }
}
