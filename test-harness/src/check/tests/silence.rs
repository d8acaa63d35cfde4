//! Where everything that ends a silent request is no verdict, that is said.

use super::retries::{is_quiet, warns, with};
use super::*;
use serde_json::json;

const ROUTE: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0/route";

fn policy(policy: Value) -> String {
    json!({"version": 1, "policies": {"default": policy}}).to_string()
}

#[test]
fn callers_whose_deadlines_are_all_shorter_than_a_slow_call_are_found() {
    for (key, value, path) in [
        (
            "max_grpc_timeout",
            json!("1.5s"),
            "routes[0].route.max_grpc_timeout",
        ),
        (
            "max_stream_duration",
            json!({"grpc_timeout_header_max": "1s"}),
            "routes[0].route.max_stream_duration.grpc_timeout_header_max",
        ),
    ] {
        let at = format!("{ROUTE}/{key}");
        let found = |written| with(&policy(written), &at, value.clone());
        warns(&found(json!({})), path, "shorter than slow_call.over (2s)");
        let off = json!({"breaker": {"mode": "off"}});
        let lower = json!({"breaker": {"slow_call": {"over": "900ms"}}});
        let attempt = json!({"timeout": {"per_try": "500ms"}});
        let without = json!({"breaker": {"slow_call": {"rate": 0}}});
        for seen in [off, lower, attempt, without] {
            is_quiet(&found(seen));
        }
    }
    // No bound, a longer one, and Envoy's way to say that there is none.
    for limit in ["0s", "2s", "10s"] {
        let at = format!("{ROUTE}/max_grpc_timeout");
        is_quiet(&with(&policy(json!({})), &at, json!(limit)));
    }
    // The route's own limit is the operator's: what it ends has failed.
    is_quiet(&with(
        &policy(json!({})),
        &format!("{ROUTE}/timeout"),
        json!("1s"),
    ));
}

#[test]
fn an_adaptive_limit_that_is_always_shorter_than_a_slow_call_is_found() {
    let adaptive = |more: Value| json!({"timeout": {"adaptive": more}});
    let short = adaptive(json!({"min": "100ms", "max": "1s"}));
    let path = "policies.default.timeout.adaptive";
    let bare = findings(&policy(short.clone()));
    assert_eq!((bare.errors, paths(&bare.warnings)), (vec![], vec![path]));
    let stats = with(&policy(short), "/static_resources/clusters/1", json!({}));
    // The same before and behind the router is one.
    warns(
        &stats,
        &format!("configuration: {path}"),
        "breaker.slow_call.over below 1s",
    );
    let mut off = adaptive(json!({}));
    off["breaker"] = json!({"slow_call": {"rate": 0}});
    let found = findings(&policy(off));
    assert!(
        found.warnings[0].problem.contains("slow_call.rate is 0"),
        "{found:?}"
    );
    let mut attempt = adaptive(json!({"max": "1s"}));
    attempt["timeout"]["per_try"] = json!("500ms");
    for quiet in [
        adaptive(json!({})),
        adaptive(json!({"min": "100ms", "max": "2s"})),
        attempt,
    ] {
        is_quiet(&findings(&policy(quiet)));
    }
}
