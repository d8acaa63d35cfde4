//! The three lanes: the same routes to the same hosts, each with clusters of its own, since limits belong to clusters.

use std::path::Path;

use serde_json::{Value, json};

use crate::envoy::bootstrap::{self, Cluster, Listener, Route};
use crate::upstream::Upstream;

/// The lanes, which are also the names of their listeners.
pub(super) const NAMES: [&str; 3] = ["bare", "native", "seawall"];
const PARTS: [&str; 3] = ["users", "orders", "recommendations"];

/// The bootstrap of the demo's Envoy.
pub(super) fn bootstrap(wasm: &Path, upstreams: &[Upstream]) -> Value {
    let mut listeners = Vec::new();
    let mut clusters = Vec::new();
    for lane in NAMES {
        let native = lane == "native";
        let routes = PARTS.iter().map(|part| Route {
            prefix: format!("/{part}"),
            cluster: format!("{lane}-{part}"),
            policy: None,
            action: if native {
                retries()
            } else {
                json!({"timeout": "4s"})
            },
        });
        listeners.push(Listener {
            name: lane.to_owned(),
            policy: (lane == "seawall").then(policy),
            routes: routes.collect(),
            filters: if native { shedding() } else { Vec::new() },
            ..Listener::default()
        });
        for (part, upstream) in PARTS.iter().zip(upstreams) {
            clusters.push(Cluster {
                name: format!("{lane}-{part}"),
                hosts: vec![upstream.address()],
                more: if native { limits() } else { Value::Null },
                http2: false,
            });
        }
    }
    bootstrap::bootstrap(wasm, &listeners, &clusters)
}

fn policy() -> Value {
    json!({
        "version": 1,
        "policies": {
            "default": {
                "timeout": {"total": "1s"},
                "breaker": {
                    "failure_rate": 40, "slow_call": {"over": "500ms", "rate": 50}, "minimum_calls": 10,
                    "window": {"over": "5s"}, "open": {"for": "2s", "up_to": "4s", "jitter": 10},
                    "half_open": {"permits": 5, "wait": "5s"}, "ramp": "2s"
                }
            },
            "optional": {
                "extends": "default",
                "fallback": [{"static": {"content_type": "application/json", "body": "{\"items\":[]}"}}]
            }
        },
        "upstreams": [{"cluster": "*-recommendations", "policy": "optional"}]
    })
}

/// Envoy's own: one retry with a limit for each try, and a total.
fn retries() -> Value {
    json!({
        "timeout": "2.5s",
        "retry_policy": {"retry_on": "5xx,reset,connect-failure", "num_retries": 1, "per_try_timeout": "1s"}
    })
}

/// Envoy's own: a sick host is ejected, retries have a budget. The panic threshold stays at its default: with every host
/// ejected Envoy uses them all the same, which serves users better here than a 503 for each page (598 failed pages against 879).
fn limits() -> Value {
    json!({
        "outlier_detection": {
            "consecutive_5xx": 5, "consecutive_gateway_failure": 5, "interval": "1s", "base_ejection_time": "3s",
            "max_ejection_time": "6s", "max_ejection_percent": 100
        },
        "circuit_breakers": {"thresholds": [{
            "max_connections": 1_024, "max_pending_requests": 1_024, "max_requests": 1_024,
            "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}
        }]}
    })
}

/// Envoy's own: admission control by success rate, and adaptive concurrency by latency. Both see a whole listener, so
/// the threshold lies where one optional part of three may fail.
fn shedding() -> Vec<Value> {
    vec![
        json!({
            "name": "envoy.filters.http.admission_control",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl",
                "enabled": {"default_value": true, "runtime_key": "admission_control.enabled"},
                "sampling_window": "10s",
                "sr_threshold": {"default_value": {"value": 60.0}, "runtime_key": "admission_control.sr_threshold"},
                "aggression": {"default_value": 1.5, "runtime_key": "admission_control.aggression"},
                "rps_threshold": {"default_value": 5, "runtime_key": "admission_control.rps"},
                "success_criteria": {"http_criteria": {"http_success_status": [{"start": 100, "end": 500}]}}
            }
        }),
        json!({
            "name": "envoy.filters.http.adaptive_concurrency",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
                "gradient_controller_config": {
                    "sample_aggregate_percentile": {"value": 90},
                    "concurrency_limit_params": {"max_concurrency_limit": 1_000, "concurrency_update_interval": "0.5s"},
                    "min_rtt_calc_params": {
                        "jitter": {"value": 10}, "interval": "30s", "request_count": 50, "min_concurrency": 20
                    }
                },
                "enabled": {"default_value": true, "runtime_key": "adaptive_concurrency.enabled"}
            }
        }),
    ]
}
