//! What hostile calls are made of.

/// Callbacks.
pub(super) const EXPORTS: [&str; 13] = [
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_log",
    "proxy_on_done",
    "proxy_on_delete",
];

/// Headers.
pub(super) const KEYS: [&str; 26] = [
    ":method",
    ":path",
    ":status",
    ":authority",
    "content-type",
    "content-length",
    "endpoint-load-metrics",
    "endpoint-load-metrics-bin",
    "grpc-timeout",
    "grpc-status",
    "grpc-retry-pushback-ms",
    "retry-after",
    "traceparent",
    "x-request-id",
    "x-left",
    "x-envoy-attempt-count",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-max-retries",
    "x-envoy-ratelimited",
    "x-seawall-attempt",
    "x-seawall-priority",
    "x-seawall-retry",
    "x-seawall-no-retry",
    "upgrade",
    "idempotency-key",
    "expect",
];
