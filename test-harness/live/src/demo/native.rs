//! What Envoy brings itself, as well as it can be set for this story.
//!
//! Shared with Seawall's lane, so that neither wins by it: the total time of a request, two attempts, and the answer that
//! stands in for the optional part. Everything else was chosen by what users got in the demo: fewest failed pages,
//! then fewest slow ones, then most good ones. docs/demo.md has the settings that were tried, and their figures.

use serde_json::{Value, json};

use super::shared::{NOTHING, OPTIONAL, PARTS, TOTAL};
use crate::envoy::custom_response;
use crate::load::STANDS_IN;

/// The native lane of an Envoy.
pub(super) struct Native {
    /// `retry_budget.budget_interval`, since 1.39.
    budget_interval: bool,
    /// `adaptive_concurrency`'s floor of its own, since 1.40.
    floor: bool,
}

impl Native {
    /// What an Envoy of this version has of it. Older ones take no field that they do not know.
    pub(super) fn of(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version: (u32, u32) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        Self {
            budget_interval: version >= (1, 39),
            floor: version >= (1, 40),
        }
    }

    /// A total and one retry. No limit for a single attempt, as on Seawall's lane: one of 1 s below a larger total made
    /// failed pages of slow ones.
    pub(super) fn action() -> Value {
        json!({
            "timeout": TOTAL,
            "retry_policy": {"retry_on": "5xx,reset,connect-failure", "num_retries": 1}
        })
    }

    /// Adaptive concurrency sees a listener and no cluster: one instance for each part, switched off on the other routes.
    /// `custom_response` stands last, so that those before it see its answer as the request's end.
    pub(super) fn filters(&self) -> Vec<Value> {
        let mut filters: Vec<Value> = PARTS
            .iter()
            .map(|part| self.adaptive_concurrency(part))
            .collect();
        filters.push(custom_response::filter());
        filters
    }

    /// The instances that are for other parts are off; the optional part has an answer that stands in for every error.
    pub(super) fn on_route(part: &str) -> Value {
        let mut filters = json!({});
        for other in PARTS.iter().filter(|other| **other != part) {
            filters[adaptive(other)] = json!({
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true
            });
        }
        if part == OPTIONAL {
            filters[custom_response::NAME] = stand_in();
        }
        filters
    }

    /// A sick host is ejected. The panic threshold stays at its default: with every host ejected Envoy uses them all the
    /// same, so that no page is degraded longer than it must be. Two requests at the same time are fifty times what the
    /// optional part needs, and bound how many pages are slow.
    pub(super) fn cluster(&self, part: &str) -> Value {
        let mut budget = json!({"budget_percent": {"value": 20}, "min_retry_concurrency": 3});
        if self.budget_interval {
            budget["budget_interval"] = json!("10s");
        }
        json!({
            "outlier_detection": {
                "consecutive_5xx": 8, "consecutive_gateway_failure": 8, "enforcing_consecutive_gateway_failure": 100,
                "interval": "0.5s", "base_ejection_time": "1s", "max_ejection_time": "2s", "max_ejection_percent": 100
            },
            "circuit_breakers": {"thresholds": [{
                "max_connections": 1_024, "max_pending_requests": 1_024,
                "max_requests": if part == OPTIONAL { 2 } else { 1_024 },
                "retry_budget": budget
            }]},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "http_filters": [admission_control(), {
                    "name": "envoy.filters.http.upstream_codec",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
                    }
                }]
            }}
        })
    }

    fn adaptive_concurrency(&self, part: &str) -> Value {
        let mut limit =
            json!({"max_concurrency_limit": 1_000, "concurrency_update_interval": "0.5s"});
        if self.floor {
            limit["min_concurrency_limit"] = json!(3);
        }
        json!({
            "name": adaptive(part),
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
                "gradient_controller_config": {
                    "sample_aggregate_percentile": {"value": 90},
                    "concurrency_limit_params": limit,
                    "min_rtt_calc_params": {
                        "jitter": {"value": 10}, "interval": "30s", "request_count": 50, "min_concurrency": 3
                    }
                },
                "enabled": {"default_value": true, "runtime_key": "adaptive_concurrency.enabled"}
            }
        })
    }
}

/// The name of a part's instance.
fn adaptive(part: &str) -> String {
    format!("adaptive_concurrency-{part}")
}

/// Fewer than two good attempts of five, as seen by each worker: with half of them wrong, retries serve users better than
/// refusals do. It stands with the cluster, so that each part is judged by itself.
fn admission_control() -> Value {
    json!({
        "name": "envoy.filters.http.admission_control",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl",
            "enabled": {"default_value": true, "runtime_key": "admission_control.enabled"},
            "sampling_window": "5s",
            "sr_threshold": {"default_value": {"value": 40.0}, "runtime_key": "admission_control.sr_threshold"},
            "aggression": {"default_value": 1.5, "runtime_key": "admission_control.aggression"},
            "rps_threshold": {"default_value": 1, "runtime_key": "admission_control.rps"},
            "max_rejection_probability": {
                "default_value": {"value": 95.0}, "runtime_key": "admission_control.max_rejection"
            },
            "success_criteria": {"http_criteria": {"http_success_status": [{"start": 100, "end": 500}]}}
        }
    })
}

/// The same answer that stands on Seawall's ladder.
fn stand_in() -> Value {
    let headers = [("content-type", "application/json"), (STANDS_IN, "static")];
    custom_response::on_route(200, &headers, Some(NOTHING))
}
