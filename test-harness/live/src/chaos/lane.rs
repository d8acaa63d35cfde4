//! The Envoy of a lane: with the filter in both positions, or with what one would have without it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use seawall_harness::chaos::Against;
use seawall_harness::lanes::{ENVOY_LIMIT, Means, NAIVE_RETRIES, Other};
use serde_json::{Value, json};

use super::plan::Plan;
use crate::envoy::bootstrap::{Cluster, Listener, Route, bootstrap};
use crate::envoy::custom_response;

/// The name of the listener.
pub(super) const EDGE: &str = "edge";
/// Connections and requests of a cluster that is to have no limit.
const NO_LIMIT: u32 = 1_000_000;

/// Its bootstrap.
pub(super) fn of(
    wasm: &Path,
    against: &Against,
    plan: &Plan,
    route_timeout: Duration,
    means: &Means,
    hosts: Vec<SocketAddr>,
) -> anyhow::Result<Value> {
    let policy = match against {
        Against::Seawall(policy) => Some(serde_json::from_slice(policy).context("the policy")?),
        Against::Other(_) => None,
    };
    let own = matches!(against, Against::Other(Other::Envoy));
    let timeout = match own {
        true => Duration::from_nanos(means.route_timeout(nanos(route_timeout))),
        false => route_timeout,
    };
    // In any lane a retry that is ordered waits as Envoy's own do.
    let retry_policy = match against {
        Against::Seawall(_) => json!({"retry_back_off": {"base_interval": "0.025s"}}),
        Against::Other(Other::None) => Value::Null,
        Against::Other(Other::Naive) => {
            json!({"retry_on": "5xx,reset", "num_retries": NAIVE_RETRIES})
        }
        Against::Other(Other::Envoy) => json!({
            "retry_on": "5xx,reset",
            "num_retries": 1,
            "host_selection_retry_max_attempts": 5,
            "retry_host_predicate": [{
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                }
            }]
        }),
    };
    let mut action = json!({"timeout": seconds(timeout)});
    if !retry_policy.is_null() {
        action["retry_policy"] = retry_policy;
    }
    let stands_in = means.stands_in.filter(|_| own);
    let listener = Listener {
        name: EDGE.to_owned(),
        upstream: policy.is_some(),
        policy,
        routes: vec![Route {
            prefix: "/".to_owned(),
            cluster: plan.cluster.clone(),
            action,
            filters: stands_in.map_or(Value::Null, |status| {
                let degraded = [("x-seawall-degraded", "static")];
                json!({custom_response::NAME: custom_response::on_route(status, &degraded, None)})
            }),
            ..Route::default()
        }],
        filters: stands_in.map_or_else(Vec::new, |_| vec![custom_response::filter()]),
        ..Listener::default()
    };
    let mut more = json!({
        "lb_policy": "RANDOM",
        "connect_timeout": seconds(plan.connect),
        "circuit_breakers": {"thresholds": [{
            "max_connections": NO_LIMIT, "max_pending_requests": NO_LIMIT, "max_requests": NO_LIMIT, "max_retries": NO_LIMIT
        }]}
    });
    if own {
        more["circuit_breakers"] = json!({"thresholds": [{
            "max_connections": ENVOY_LIMIT, "max_pending_requests": ENVOY_LIMIT, "max_requests": ENVOY_LIMIT,
            "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}
        }]});
        more["outlier_detection"] = json!({"max_ejection_percent": 50});
    }
    let cluster = Cluster {
        name: plan.cluster.clone(),
        hosts,
        more,
        http2: false,
    };
    Ok(bootstrap(wasm, &[listener], &[cluster]))
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

fn seconds(length: Duration) -> String {
    format!("{:.3}s", length.as_secs_f64())
}
