//! Headers that steer Envoy's router.
//!
//! Envoy itself takes them off a request only on an edge listener. What a client could steer with them, its time, its retries,
//! where it is counted, is Seawall's to say, so they are taken off wherever a request is governed. Their names stand in
//! Envoy's binary without their prefix, which the bootstrap can change (`header_prefix`); Seawall knows the usual one.

/// The prefix of Envoy's own headers.
pub const PREFIX: &str = "x-envoy";

/// What is taken off a governed request, in alphabetical order.
const STRIPPED: [&[u8]; 11] = [
    b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-max-retries",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-retry-on",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-stream-duration-ms",
];

/// Whether this header steers the router.
pub fn steers(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && STRIPPED.binary_search(&name).is_ok()
}

/// Names that stand in Envoy's binary like those of its headers and are not taken off, each with the reason. A test on
/// Envoy's binary fails for a name that is neither here nor taken off.
pub const HARMLESS: [(&str, &str); 52] = [
    ("attempt-count", "the router writes it over"),
    ("auth-failure-mode-allowed", AUTH),
    ("auth-headers-to-remove", AUTH),
    ("auth-partial-body", AUTH),
    ("cluster", RESPONSE),
    ("compression-status", RESPONSE),
    ("decorator-operation", TRACE),
    ("degraded", UPSTREAM),
    ("downstream-service-cluster", TOLD),
    ("downstream-service-node", TOLD),
    ("drop-overload", RESPONSE),
    (
        "expected-rq-timeout-ms",
        "the caller's deadline: it is read, and written anew",
    ),
    ("external-address", TOLD),
    ("fault-abort-grpc-request", FAULT),
    ("fault-abort-percentage", FAULT),
    ("fault-abort-request", FAULT),
    ("fault-abort-request-percentage", FAULT),
    ("fault-delay-request", FAULT),
    ("fault-delay-request-percentage", FAULT),
    ("fault-throughput-response", FAULT),
    ("fault-throughput-response-percentage", FAULT),
    ("force-trace", TRACE),
    ("immediate-health-check-fail", UPSTREAM),
    ("internal", TOLD),
    ("ip-tags", TOLD),
    ("is-timeout-retry", TOLD),
    ("local-overloaded", RESPONSE),
    ("not-forwarded", RESPONSE),
    ("oauth-failure-reason", TOLD),
    ("oauth-status", TOLD),
    (
        "original-dst-host",
        "chooses a host only where a cluster's use_http_header says so",
    ),
    ("original-host", TOLD),
    ("original-method", TOLD),
    ("original-path", TOLD),
    ("original-url", TOLD),
    ("overloaded", RESPONSE),
    ("peer-metadata", TOLD),
    ("ratelimited", RESPONSE),
    ("reverse-tunnel-cluster-id", TUNNEL),
    ("reverse-tunnel-connection-id", TUNNEL),
    ("reverse-tunnel-initiation-time", TUNNEL),
    ("reverse-tunnel-node-id", TUNNEL),
    ("reverse-tunnel-tenant-id", TUNNEL),
    ("reverse-tunnel-upstream-cluster-name", TUNNEL),
    ("reverse-tunnel-worker-id", TUNNEL),
    ("shadow", NO_HEADER),
    ("unconditional-drop-overload", RESPONSE),
    ("upstream-canary", RESPONSE),
    ("upstream-healthchecked-cluster", RESPONSE),
    ("upstream-host-address", RESPONSE),
    ("upstream-hostname", RESPONSE),
    ("upstream-service-time", RESPONSE),
];
const AUTH: &str = "between Envoy's authorization filter and its service";
const FAULT: &str = "read by Envoy's fault filter alone, where an operator set it up to do so";
const NO_HEADER: &str = "no header";
const RESPONSE: &str = "stands on responses: on a request Envoy reads it nowhere";
const TOLD: &str = "tells the upstream something: Envoy's router reads it nowhere";
const TRACE: &str = "about traces alone";
const TUNNEL: &str = "between Envoys that open a reverse tunnel";
const UPSTREAM: &str = "what an upstream says of its own host";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_that_steers_is_found_and_no_other() {
        assert!(STRIPPED.is_sorted() && HARMLESS.is_sorted());
        for name in STRIPPED {
            assert!(steers(name) && name.starts_with(PREFIX.as_bytes()));
        }
        for (name, reason) in HARMLESS {
            assert!(!steers(format!("{PREFIX}-{name}").as_bytes()), "{name}");
            assert!(!reason.is_empty());
        }
        for name in [
            "",
            "x-envoy",
            "x-envoy-",
            "x-envoy-retry-o",
            "x-envoy-retry-onn",
        ] {
            assert!(!steers(name.as_bytes()), "{name}");
        }
    }
}
