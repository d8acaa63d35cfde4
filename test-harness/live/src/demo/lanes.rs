//! The three lanes: the same routes to the same hosts, each with clusters of its own, since limits belong to clusters.

use std::path::Path;

use serde_json::{Value, json};

use super::native::Native;
use super::shared::{NOTHING, OPTIONAL, PARTS, TOTAL};
use crate::envoy::bootstrap::{self, Cluster, Listener, Route};
use crate::upstream::Upstream;

/// The lanes, which are also the names of their listeners.
pub(super) const NAMES: [&str; 3] = ["bare", "native", "seawall"];

/// The bootstrap of the demo's Envoy, which is of this version.
pub(super) fn bootstrap(wasm: &Path, upstreams: &[Upstream], version: &str) -> Value {
    let native = Native::of(version);
    let mut listeners = Vec::new();
    let mut clusters = Vec::new();
    for lane in NAMES {
        let is_native = lane == "native";
        let routes = PARTS.iter().map(|part| Route {
            prefix: format!("/{part}"),
            cluster: format!("{lane}-{part}"),
            action: if is_native {
                Native::action()
            } else {
                json!({"timeout": "4s"})
            },
            filters: if is_native {
                Native::on_route(part)
            } else {
                Value::Null
            },
            ..Route::default()
        });
        listeners.push(Listener {
            name: lane.to_owned(),
            policy: (lane == "seawall").then(policy),
            routes: routes.collect(),
            filters: if is_native {
                native.filters()
            } else {
                Vec::new()
            },
            ..Listener::default()
        });
        for (part, upstream) in PARTS.iter().zip(upstreams) {
            clusters.push(Cluster {
                name: format!("{lane}-{part}"),
                hosts: vec![upstream.address()],
                more: if is_native {
                    native.cluster(part)
                } else {
                    Value::Null
                },
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
                "timeout": {"total": TOTAL},
                "breaker": {
                    "failure_rate": 40, "slow_call": {"over": "500ms", "rate": 50}, "minimum_calls": 10,
                    "window": {"over": "5s"}, "open": {"for": "2s", "up_to": "4s", "jitter": 10},
                    "half_open": {"permits": 5, "wait": "5s"}, "ramp": "2s"
                }
            },
            "optional": {
                "extends": "default",
                "fallback": [{"static": {"content_type": "application/json", "body": NOTHING}}]
            }
        },
        "upstreams": [{"cluster": format!("*-{OPTIONAL}"), "policy": "optional"}]
    })
}
