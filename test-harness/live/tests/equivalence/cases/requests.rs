//! Requests and answers as Envoy frames and joins them.

use seawall_harness::host::{Bytes, Request, Rule};

use crate::group::Group;

const ALL: &str = r#"(drop (call $pairs (i32.const MAP) (i32.const 256) (i32.const 260)))
    (call $number (i32.load (i32.load (i32.const 256))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_are_framed_as_envoy_frames_them() -> anyhow::Result<()> {
    let mut requests = Vec::new();
    for method in [
        "HEAD", "DELETE", "OPTIONS", "PUT", "POST", "PATCH", "TRACE", "PURGE", "BREW", "get",
        "M-SEARCH", "FOO", "XYZ", "REPORT",
    ] {
        requests.push(Request::new(method, "/"));
        if method != "TRACE" {
            requests.push(Request {
                body: "body".to_owned(),
                ..Request::new(method, "/")
            });
        }
    }
    let sees = (
        "proxy_on_request_headers",
        r#"(call $number (local.get 1)) (call $number (local.get 2)) (call $look (i32.const 0) $":method")
        (call $look (i32.const 0) $"content-length") (i32.const 0)"#,
    );
    let answers = (
        "proxy_on_response_headers",
        r#"(call $number (local.get 1)) (call $number (local.get 2)) (call $look (i32.const 2) $"content-length") (i32.const 0)"#,
    );
    let logs = (
        "proxy_on_log",
        r#"(call $look (i32.const 2) $":status") (call $know $"response\00code_details")
        (call $look (i32.const 0) $":path") (call $look (i32.const 0) $":method")
        (drop (call $property $"response\00flags" (i32.const 256) (i32.const 260)))
        (call $number (i32.load (i32.load (i32.const 256))))"#,
    );
    let to_head = r#"(drop (call $replace (i32.const 0) $":method" $"HEAD")) (i32.const 0)"#;
    let to_get = r#"(drop (call $replace (i32.const 0) $":method" $"GET")) (i32.const 0)"#;
    let to_post = r#"(drop (call $replace (i32.const 0) $":method" $"POST")) (i32.const 0)"#;
    let lengthless = r#"(drop (call $remove (i32.const 2) $"content-length")) (i32.const 0)"#;
    let rules = || vec![Rule::answer(200, "answer")];
    let statuses = [204, 304, 206].map(|status| Rule {
        body: String::new(),
        ..Rule::answer(status, "").at(&format!("/{status}"))
    });
    Group::new()
        .part("all", &[sees, answers, logs], requests, rules())
        .part(
            "to-head",
            &[("proxy_on_request_headers", to_head), answers],
            vec![Request::get("/")],
            rules(),
        )
        .part(
            "to-get",
            &[("proxy_on_request_headers", to_get), answers],
            vec![Request::new("HEAD", "/"), Request::post("/", "x")],
            rules(),
        )
        .part(
            "to-post",
            &[("proxy_on_request_headers", to_post), answers],
            vec![Request::get("/")],
            rules(),
        )
        .part(
            "lengthless",
            &[("proxy_on_response_headers", lengthless)],
            vec![Request::get("/"), Request::new("HEAD", "/")],
            rules(),
        )
        .part(
            "statuses",
            &[answers],
            ["/204", "/304", "/206"].map(Request::get).to_vec(),
            statuses.to_vec(),
        )
        .check()
        .await
}

/// Headers that Envoy may keep once.
const NAMES: [&str; 94] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-message",
    "grpc-status",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-status",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "traceparent",
    "tracestate",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-b3-traceid",
    "x-client-trace-id",
    "x-custom",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-overloaded",
    "x-envoy-ratelimited",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-ot-span-context",
    "x-real-ip",
    "x-request-id",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_come_twice_are_joined_where_envoy_joins_them() -> anyhow::Result<()> {
    let mut group = Group::new();
    // Envoy takes 100 headers at most.
    for (number, names) in NAMES.chunks(40).enumerate() {
        let says = |map: u32| {
            let own = ["x-request-id", "date", "server"];
            let shown = names.iter().filter(|name| !own.contains(name));
            let look = shown.map(|name| format!(r#"(call $look (i32.const {map}) $"{name}")"#));
            ALL.replace("MAP", &map.to_string()) + &look.collect::<String>() + "(i32.const 0)"
        };
        let adds = |map: u32| {
            let add = |name: &&str| {
                ["c", "d"]
                    .map(|value| {
                        format!(r#"(drop (call $add (i32.const {map}) $"{name}" $"{value}"))"#)
                    })
                    .concat()
            };
            names
                .iter()
                .filter(|name| **name != "x-request-id")
                .map(add)
                .collect::<String>()
                + &says(map)
        };
        let twice = |kept: fn(&str) -> bool| -> Vec<(String, String)> {
            let pair = |name: &&str| ["a", "b"].map(|value| ((*name).to_owned(), value.to_owned()));
            names
                .iter()
                .filter(|name| kept(name))
                .flat_map(pair)
                .collect()
        };
        let request = Request {
            headers: twice(|name| !["te", "expect", "x-request-id", "keep-alive"].contains(&name)),
            ..Request::get("/")
        };
        let rule = Rule {
            headers: twice(|_| true),
            ..Rule::answer(200, "answer")
        };
        let came = [
            ("proxy_on_request_headers", &*says(0)),
            ("proxy_on_response_headers", &says(2)),
        ];
        let added = [
            ("proxy_on_request_headers", &*adds(0)),
            ("proxy_on_response_headers", &adds(2)),
        ];
        group = group
            .part(&format!("came-{number}"), &came, vec![request], vec![rule])
            .part(
                &format!("added-{number}"),
                &added,
                vec![Request::get("/")],
                Vec::new(),
            );
    }
    let host = r#"(drop (call $add (i32.const 0) $"host" $"other")) (call $look (i32.const 0) $":authority")
        (call $look (i32.const 0) $"host") (call $know $"request\00host")
        (call $know $"request\00headers\00host") (call $know $"request\00headers\00:authority") (i32.const 0)"#;
    group
        .part(
            "host",
            &[("proxy_on_request_headers", host)],
            vec![Request::get("/")],
            Vec::new(),
        )
        .check()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_the_upstream() -> anyhow::Result<()> {
    let paths = [
        "address",
        "port",
        "local_address",
        "transport_failure_reason",
        "request_attempt_count",
        "cx_pool_ready_duration",
        "tls_version",
        "subject_local_certificate",
        "uri_san_peer_certificate",
        "num_endpoints",
        "nothing",
    ];
    let know = |path: &str, show: bool| {
        let size = "(call $number (i32.load (i32.const 260)))";
        let show = if show { size } else { "" };
        format!(
            r#"(call $number (call $property $"{path}" (i32.const 256) (i32.const 260))) {show}"#
        )
    };
    let mut all: String = paths
        .iter()
        .map(|path| {
            know(
                &format!("upstream\\00{path}"),
                !["address", "local_address"].contains(path),
            )
        })
        .collect();
    for path in [
        "upstream",
        "xds\\00upstream_host_metadata",
        "xds\\00cluster_metadata",
        "xds\\00route_metadata",
        "xds\\00virtual_host_metadata",
        "xds\\00listener_metadata",
        "xds\\00node\\00id",
        "xds\\00node\\00cluster",
        "node",
        "node\\00id",
        "cluster_metadata",
        "route_metadata",
        "route_name",
        "listener_direction",
        "upstream_host_metadata",
        "listener_metadata",
        "xds\\00upstream_host_locality_metadata",
        "connection\\00termination_details",
        "connection\\00transport_failure_reason",
        "request\\00duration",
        "response\\00backend_latency",
        "response\\00size",
        "metadata",
        "metadata\\00filter_metadata",
    ] {
        all += &know(path, true);
    }
    let phase = format!("{all} (i32.const 0)");
    let callbacks = [
        ("proxy_on_request_headers", &*phase),
        ("proxy_on_response_headers", &phase),
        ("proxy_on_log", &all),
    ];
    let reset = Rule {
        reset: true,
        ..Rule::default()
    };
    Group::new()
        .part(
            "answered",
            &callbacks,
            vec![Request::get("/")],
            vec![Rule::answer(200, "answer")],
        )
        .part("reset", &callbacks, vec![Request::get("/")], vec![reset])
        .check()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_bodies_are_any_bytes() -> anyhow::Result<()> {
    let read = |buffer: u32| {
        format!(
            r#"(call $number (call $buffer (i32.const {buffer}) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260)))
            (call $number (i32.load (i32.const 260)))
            (if (local.get 1) (then (call $number (i32.load8_u (i32.load (i32.const 256)))))) (i32.const 0)"#
        )
    };
    let look = |map: u32| {
        format!(
            r#"(call $number (call $get (i32.const {map}) $"x-bytes" (i32.const 256) (i32.const 260)))
            (call $number (i32.load (i32.const 260))) (call $number (i32.load8_u (i32.load (i32.const 256)))) (i32.const 0)"#
        )
    };
    let rule = Rule {
        body_base64: Some(Bytes(vec![0xfe, 0, 0x80])),
        headers_base64: vec![("x-bytes".to_owned(), Bytes(vec![0xe4, b'a']))],
        ..Rule::default()
    };
    let request = Request::post("/", "")
        .bytes(&[0xff, 0, 1, 0xc3])
        .header_bytes("x-bytes", &[0xfc, 0xff]);
    let callbacks = [
        ("proxy_on_request_headers", &*look(0)),
        ("proxy_on_request_body", &read(0)),
        ("proxy_on_response_headers", &look(2)),
        ("proxy_on_response_body", &read(1)),
    ];
    Group::new()
        .part("bytes", &callbacks, vec![request], vec![rule])
        .check()
        .await
}
